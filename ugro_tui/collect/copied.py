"""A node as its copy shows it, for an application that only reads: files, and what was noted of its processes."""

from __future__ import annotations

from dataclasses import replace

from ugro_tui.collect.node_notes import NodeNotes
from ugro_tui.nodes.base import Ask, Examined, Reply
from ugro_tui.nodes.local import LocalNode


class CopiedNode(LocalNode):
    """Reads the copies of one node in place."""

    notes: NodeNotes | None = None

    def poll(self, ask: Ask) -> Reply:
        """What is new in the copies, and what the application that writes them was told of processes."""
        reply = super().poll(ask)
        note = None if self.notes is None else self.notes.read()
        if note is None or not note.processes:
            return reply
        stamps = {(job, path): known.stamp for job, files in ask.jobs.items() for path, known in files.items()}
        stamps |= {(chunk.job_id, chunk.path): chunk.stamp for chunk in reply.chunks}
        told = tuple(
            Examined(one.job_id, one.path, stamps[one.job_id, one.path], one.vital)
            for one in note.processes
            if (one.job_id, one.path) in stamps
        )
        return replace(reply, processes=told)
