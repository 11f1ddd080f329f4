"""One job: the ranks that report for it, what its launcher wrote, and what follows from both."""

from __future__ import annotations

from typing import Final

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.liveness import States, judge
from ugro_tui.core.ranks import Rank, RankTable
from ugro_tui.core.records import Batch, ErrorReport, Heartbeat, Manifest
from ugro_tui.core.states import Ended, JobStatus, RankState

_OVER: Final = {"finished": JobStatus.FINISHED, "failed": JobStatus.FAILED, "stopped": JobStatus.STOPPED}


class JobState:
    """Everything known of a job. Owned by one thread; readers see snapshots. `now` and `at` are monotonic seconds."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.table = RankTable()
        self.manifest: Manifest | None = None
        self.version = 0
        """Grows with every change, so that readers can tell whether anything is new."""

    @property
    def ranks(self) -> list[Rank]:
        """The ranks, by number."""
        return [self.table.by_rank[number] for number in sorted(self.table.by_rank)]

    @property
    def attempt(self) -> int:
        """The newest attempt that a rank or the launcher speaks of."""
        newest = int(self.table.attempt[: len(self.table)].max()) if len(self.table) else 1
        return max(newest, self.manifest.attempt if self.manifest else 1)

    def current(self) -> list[Rank]:
        """The ranks of the newest attempt, by number."""
        attempt = max((rank.attempt for rank in self.table.by_rank.values()), default=1)
        return [rank for rank in self.ranks if rank.attempt == attempt]

    def apply(self, number: int, batch: Batch, at: float, node: str) -> None:
        """Take in decoded records of rank `number`, the newest of them written `at`."""
        rank = self.table.rank(number)
        rank.node = rank.node or node
        self.table.wrote(rank, at)
        self.table.apply(rank, batch, at)
        self.version += 1

    def apply_heartbeat(self, number: int, heartbeat: Heartbeat, at: float, node: str) -> None:
        """Take in a heartbeat of rank `number`, written `at`."""
        rank = self.table.rank(number)
        rank.node = rank.node or node
        self.table.beat(rank, heartbeat, at)
        self.version += 1

    def apply_manifest(self, manifest: Manifest) -> None:
        """Take in the launcher's manifest."""
        self.manifest = manifest
        self.version += 1

    def apply_error(self, number: int, error: ErrorReport, node: str) -> None:
        """Take in the torch elastic error file of rank `number`."""
        rank = self.table.rank(number)
        rank.node = rank.node or node
        rank.error = error
        self.version += 1

    def states(self, now: float) -> States:
        """The state of each rank in row order, shape `[ranks]`."""
        return judge(self.table, now, attempt=self._ranks_attempt(), over=self._launcher_says() is not None)

    def status(self, now: float) -> JobStatus:
        """What the job as a whole is doing. A rank that failed fails the job: DDP does not survive it."""
        current = self.current()
        said = self._launcher_says()
        ended = [Ended(int(self.table.ended[rank.row])) for rank in current]
        if Ended.FAILED in ended:
            return JobStatus.FAILED
        if said is not None:
            return said
        if not current:
            return JobStatus.PENDING if self.manifest else JobStatus.UNKNOWN
        if all(end != Ended.NO for end in ended) and len(current) >= self.world_size:
            return JobStatus.STOPPED if Ended.STOPPED in ended else JobStatus.FINISHED
        return self._living(now, current)

    def _living(self, now: float, current: list[Rank]) -> JobStatus:
        states = self.states(now)
        of_current = [RankState(int(states[rank.row])) for rank in current]
        if all(state in (RankState.DEAD, RankState.UNKNOWN) for state in of_current):
            return JobStatus.UNKNOWN if RankState.DEAD not in of_current else JobStatus.FAILED
        if all(not len(rank.series) for rank in current):
            return JobStatus.STARTING
        return JobStatus.RUNNING

    @property
    def world_size(self) -> int:
        """Ranks that the run says it has; at least those of the newest attempt that were seen."""
        current = self.current()
        said = [rank.start.world_size for rank in current if rank.start and rank.start.world_size]
        if self.manifest and self.manifest.world_size:
            said.append(self.manifest.world_size)
        return max([len(current), *said])

    @property
    def total_steps(self) -> int | None:
        """Planned steps, where the emitter was told."""
        said = [rank.start.total_steps for rank in self.current() if rank.start and rank.start.total_steps]
        return max(said, default=None)

    def step(self) -> float:
        """The step that every rank of the attempt has reported; NaN before the first."""
        rows = [rank.row for rank in self.current()]
        steps = self.table.latest[rows, Column.STEP]
        return float(np.nanmin(steps)) if np.isfinite(steps).any() else np.nan

    def first_error(self) -> Rank | None:
        """The rank whose error file or failed `end` is the earliest: the cause, the others follow from it."""
        failed = [rank for rank in self.current() if _failed_at(rank) < np.inf]
        return min(failed, key=_failed_at, default=None)

    def _ranks_attempt(self) -> int:
        return int(self.table.attempt[: len(self.table)].max()) if len(self.table) else 1

    def _launcher_says(self) -> JobStatus | None:
        """The launcher's word on the end, unless a newer attempt has started since."""
        if self.manifest is None or self.manifest.attempt < self._ranks_attempt():
            return None
        return _OVER.get(self.manifest.status)


def _failed_at(rank: Rank) -> float:
    """When the rank failed, Unix seconds by its node's clock; infinite where it did not."""
    if rank.end is not None and rank.end.status == "failed":
        return rank.end.ts
    if rank.error is not None and rank.end is None:
        return rank.error.ts if np.isfinite(rank.error.ts) else 0.0
    return np.inf
