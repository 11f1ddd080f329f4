"""`ResultAggregator`: the central directory with the copies of all nodes, and the one writer it may have."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ugro_tui.collect.below import private_folder
from ugro_tui.collect.copied import CopiedNode
from ugro_tui.collect.follower import Copy, Role, held
from ugro_tui.collect.lock import CentralLock
from ugro_tui.collect.mirror import Mirror
from ugro_tui.collect.node_notes import NodeNotes
from ugro_tui.collect.reader import JobReader, apply
from ugro_tui.collect.syncs import SyncRun
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.job import JobState
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.layout import FileKind, mirror_layout
from ugro_tui.core.ports import Clock
from ugro_tui.core.snapshot import SyncView
from ugro_tui.core.summary import JobSummary, summarise
from ugro_tui.nodes.local import LocalNode

TAKE_OVER_SECONDS = 1.0
"""How often a second application looks whether the first has ended."""


class ResultAggregator:
    """What was copied from `nodes` to `central`. Copies are written by the application that holds the lock alone.

    Any thread may call it.
    """

    def __init__(self, central: Path, clock: Clock, nodes: Sequence[str]) -> None:
        self.central = central
        self._clock = clock
        self._nodes = tuple(nodes)
        self._lock = CentralLock(central, nodes)
        self._asking = threading.Lock()
        self._role = Role.NONE
        self._said = ""
        self._watched: frozenset[str] | None = None
        self._asked_at = -math.inf
        self._begin: Callable[[str | None, Iterable[FileKind]], SyncRun] | None = None

    @property
    def jobs_dir(self) -> Path:
        """Where the jobs' copies are; TensorBoard shows this directory."""
        return self.central / "jobs"

    def use(self, begin: Callable[[str | None, Iterable[FileKind]], SyncRun]) -> None:
        """Have `begin` start syncs: the collector's threads do the work."""
        self._begin = begin

    def copy(self, node: str) -> Copy:
        """The copy of one node."""
        shown = CopiedNode(self.jobs_dir, self._clock.time, node, mirror_layout(node))
        shown.notes = notes = NodeNotes(self.central, node)
        mirror = Mirror(self.jobs_dir, node, self._clock)
        return Copy(mirror, shown, lambda: self._role_of(node), lambda: self._said_of(node), notes)

    def role(self) -> Role:
        """What this application does with the directory now; where it only reads, the lock is tried once a second."""
        with self._asking:
            now = self._clock.monotonic()
            if self._role is not Role.WRITES and now - self._asked_at >= TAKE_OVER_SECONDS:
                self._asked_at = now
                self._try()
            return self._role

    def said(self) -> str:
        """Why it is not written, for people; empty while it is."""
        return self._said

    def refusal(self) -> str:
        """Why no sync can be asked for here, and where it can; empty where none forbids it by now. Never waits."""
        if self._role is not Role.READS:
            return ""
        return f"{self._said} and syncs by itself once a minute: press S there, or end it first"

    def _role_of(self, node: str) -> Role:
        """What this application does with one node's copy: a node that the writer does not watch is asked by us."""
        role = self.role()
        return Role.NONE if role is Role.READS and self._is_left_out(node) else role

    def _said_of(self, node: str) -> str:
        if self._role is Role.READS and self._is_left_out(node):
            return f"{self._said} and does not watch {node}: that is read without a copy"
        return self._said

    def _is_left_out(self, node: str) -> bool:
        return self._watched is not None and node not in self._watched

    def _try(self) -> None:
        try:
            mine = self._lock.try_acquire()
            if mine:
                private_folder(self.jobs_dir)
        except (UgroError, OSError) as error:
            self._role, self._said = Role.NONE, str(error)
            return
        self._role = Role.WRITES if mine else Role.READS
        self._watched = None if mine else self._lock.watched()
        self._said = "" if mine else f"{self._lock.holder()} writes {self.central}"

    def close(self) -> None:
        """Let another application write."""
        with self._asking:
            self._lock.release()
            self._role, self._asked_at = Role.NONE, math.inf

    def sync_tensorboard(self, job_id: str | None = None, seconds: float = math.inf) -> SyncView:
        """Bring the event files of a job (of all that are followed) up to date, and say what came from which node.

        Raises:
            UgroError: no collector runs, or it took longer than `seconds`.
        """
        return self.sync(job_id, (FileKind.EVENTS,), seconds)

    def sync_logs(self, job_id: str | None = None, seconds: float = math.inf) -> SyncView:
        """Bring the ranks' logs up to date; as `sync_tensorboard`."""
        return self.sync(job_id, (FileKind.LOG,), seconds)

    def sync(
        self,
        job_id: str | None = None,
        kinds: Iterable[FileKind] = (FileKind.LOG, FileKind.EVENTS),
        seconds: float = math.inf,
    ) -> SyncView:
        """Bring the files of these kinds up to date; as `sync_tensorboard`."""
        if self._begin is None:
            raise UgroError("nothing can be synced: no collector runs on this central directory; start one first")
        run = self._begin(job_id if job_id is None else checked_job_id(job_id), kinds)
        if not run.wait(threading.TIMEOUT_MAX if math.isinf(seconds) else seconds):
            raise UgroError(f"the sync was not done within {seconds:.0f} s: it goes on; look at the nodes with doctor")
        return run.view(self._clock.monotonic())

    def get_job_summary(self, job_id: str) -> JobSummary:
        """A job in numbers, from its copies alone: no node is asked.

        Raises:
            BadInput: no job can have this id, or nothing of it was copied.
        """
        state = JobState(checked_job_id(job_id))
        for node in self._nodes:
            self._read(state, node)
        if not state.version:
            raise BadInput(
                f"no copy of job {job_id} in {self.jobs_dir}: watch it once, or run `ugro-tui sync {job_id}`"
            )
        return summarise(state, self._clock.monotonic())

    def _read(self, state: JobState, node: str) -> None:
        shown = LocalNode(self.jobs_dir, self._clock.time, node, mirror_layout(node))
        reader = JobReader(node, state.job_id, 0)
        for chunks in held(shown, reader):
            delivery, _ = reader.take(chunks, (), False, self._clock.monotonic())
            for piece in delivery.pieces:
                apply(state, piece, node)
