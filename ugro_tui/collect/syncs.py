"""A sync: how far each node is with bringing its event files or logs, for the screen and for the report."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ugro_tui.core.layout import FileKind
from ugro_tui.core.snapshot import NodeSync, SyncView
from ugro_tui.nodes.base import Chunk, Denied

WHAT = {FileKind.EVENTS: "tensorboard", FileKind.LOG: "logs"}


@dataclass(slots=True)
class _Part:
    view: NodeSync
    paths: set[tuple[str, str]] = field(default_factory=set)
    others: int = 0


class SyncRun:
    """One sync over all nodes. Each node's part is told by one thread; any thread may look."""

    def __init__(self, job_id: str | None, kinds: Iterable[FileKind], nodes: Sequence[str], begun: float) -> None:
        self.job_id = job_id
        self.kinds = frozenset(kinds)
        self._begun = begun
        self._parts = {node: _Part(NodeSync(node)) for node in nodes}
        self._changed = threading.Condition()

    def brought(self, node: str, chunks: Iterable[Chunk], kinds: Iterable[FileKind], denied: Iterable[Denied]) -> None:
        """Count what came from `node`; `kinds` are those of the chunks."""
        with self._changed:
            part = self._parts[node]
            size = 0
            for chunk, kind in zip(chunks, kinds, strict=True):
                if kind in self.kinds and self._mine(chunk.job_id) and chunk.data:
                    part.paths.add((chunk.job_id, chunk.path))
                    size += len(chunk.data)
            said = tuple(f"{one.job_id}: {one.what}" for one in denied if self._mine(one.job_id))
            part.view = replace(
                part.view, files=len(part.paths) + part.others, bytes=part.view.bytes + size, denied=said
            )

    def counted(self, node: str, job_id: str, files: int, size: int) -> None:
        """Count files of a job that came from `node` by other means."""
        with self._changed:
            part = self._parts[node]
            if self._mine(job_id):
                part.others += files
                part.view = replace(part.view, files=len(part.paths) + part.others, bytes=part.view.bytes + size)

    def ended(self, node: str, error: str = "") -> None:
        """This node has brought everything, or failed."""
        with self._changed:
            part = self._parts[node]
            if not part.view.done:
                part.view = replace(part.view, done=True, error=error)
            self._changed.notify_all()

    def view(self, now: float) -> SyncView:
        """How far it is."""
        with self._changed:
            parts = tuple(part.view for part in self._parts.values())
        what = "+".join(word for kind, word in WHAT.items() if kind in self.kinds)
        return SyncView(what, max(0.0, now - self._begun), parts, self.job_id)

    def wait(self, seconds: float) -> bool:
        """Wait until every node has ended; False if that took longer than `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: all(part.view.done for part in self._parts.values()), seconds)

    def _mine(self, job_id: str) -> bool:
        return self.job_id is None or job_id == self.job_id
