"""One job: the ranks that report for it, what its launcher wrote, and what follows from both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ugro_tui.core.columns import Column
from ugro_tui.core.endings import MADE_OF, failed_at, lateness, only_stopped
from ugro_tui.core.liveness import GONE_SECONDS, LIVING, StallLimit, States, judge
from ugro_tui.core.rank import Rank
from ugro_tui.core.ranks import RankTable
from ugro_tui.core.records import Batch, ErrorReport, Heartbeat, Manifest, Vital
from ugro_tui.core.states import Ended, JobStatus, ProcessState, RankState


@dataclass(frozen=True, slots=True)
class Away:
    """A node that does not answer. `age`: seconds since it last did, NaN if never; `sure`: it is no short blip.

    `next_step` is what to do first, `rule` the catalogue's key of what is wrong.
    """

    age: float
    why: str
    sure: bool
    next_step: str
    rule: str = "node_unreachable"


Rows: TypeAlias = npt.NDArray[np.intp]
"""Rows of a table of ranks."""

_NO_ROWS: Final = np.empty(0, np.intp)
_number = attrgetter("rank")

_OVER: Final = {"finished": JobStatus.FINISHED, "failed": JobStatus.FAILED, "stopped": JobStatus.STOPPED}


class JobState:
    """Everything known of a job. Owned by one thread; readers see snapshots. `now` and `at` are monotonic seconds."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.table = RankTable()
        self.manifest: Manifest | None = None
        self.away: Mapping[str, Away] = {}
        """The nodes that do not answer now, by name."""
        self.rewritten: Mapping[str, int] = {}
        """Metrics files that were replaced by others that do not begin as a run does, by node."""
        self.stall = StallLimit()
        """When a rank counts as stalled."""
        self._slow = np.zeros(0, bool)
        self._made = ((0, 0), np.nan)
        """An attempt and how many ranks have told a step of it, and the step that they were seen to have made."""
        self._current: tuple[npt.NDArray[np.int64], list[Rank], Rows] = (np.empty(0, np.int64), [], _NO_ROWS)
        self._planned: tuple[int, tuple[int, int | None]] = (-1, (0, None))
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
        """The ranks of the newest attempt, by number; the list is the caller's to read, not to change."""
        return self._seen()[0]

    def current_rows(self) -> Rows:
        """Their rows, in the same order; to read as well."""
        return self._seen()[1]

    def _seen(self) -> tuple[list[Rank], Rows]:
        told, ranks, rows = self._current
        attempts = self.table.attempt[: len(self.table)]
        if not np.array_equal(told, attempts):
            newest = np.flatnonzero(attempts == self._ranks_attempt()).tolist()
            ranks = sorted((self.table.by_row[row] for row in newest), key=_number)
            rows = np.array([rank.row for rank in ranks], np.intp)
            self._current = (attempts.copy(), ranks, rows)
        return ranks, rows

    def current_in(self, states: States, *wanted: RankState) -> list[Rank]:
        """The ranks of the newest attempt that are in one of these states."""
        rows = self.current_rows()
        found = np.isin(states[rows], [int(state) for state in wanted])
        return [self.table.by_row[row] for row in rows[found].tolist()]

    def expected(self) -> list[Rank]:
        """The ranks of the newest attempt and those of older ones that it should have too, by number."""
        newest, size = self._ranks_attempt(), self.world_size
        return [rank for rank in self.ranks if rank.attempt == newest or rank.rank < size]

    def apply(self, number: int, batch: Batch, at: float, node: str) -> None:
        """Take in decoded records of rank `number`, the newest of them written `at`."""
        rank = self._rank(number, node)
        self.table.wrote(rank, at)
        self.table.apply(rank, batch, at, node)
        rank.node = rank.host
        self.version += 1

    def apply_heartbeat(self, number: int, heartbeat: Heartbeat, at: float, node: str) -> None:
        """Take in a heartbeat of rank `number`, written `at`."""
        rank = self._rank(number, node)
        self.table.beat(rank, heartbeat, at)
        self.version += 1

    def apply_vital(self, number: int, vital: Vital, node: str) -> None:
        """Take in what `node` says of the process of rank `number`."""
        rank = self._rank(number, node)
        self.table.examine(rank, vital)
        self.version += 1

    def apply_manifest(self, manifest: Manifest) -> None:
        """Take in the launcher's manifest."""
        self.manifest = manifest
        self.version += 1

    def apply_error(self, number: int, error: ErrorReport, node: str) -> None:
        """Take in the torch elastic error file of rank `number`."""
        rank = self._rank(number, node)
        self.table.fail(rank, error)
        self.version += 1

    def _rank(self, number: int, node: str) -> Rank:
        rank = self.table.rank(number)
        rank.sources.add(node)
        rank.node = rank.host
        return rank

    def states(self, now: float) -> States:
        """The state of each rank in row order, shape `[ranks]`."""
        said = self._launcher_says()
        over = None if said is None else MADE_OF[said]
        states = judge(self.table, now, attempt=self._ranks_attempt(), over=over, stall=self.stall)
        slow = self._slow[: len(states)]
        states[: len(slow)][slow & (states[: len(slow)] == RankState.RUNNING)] = RankState.SLOW
        for rank in self.unreachable() if over is None else ():
            states[rank.row] = RankState.UNREACHABLE
        if said is JobStatus.STOPPED:
            for row in np.flatnonzero(states == RankState.DEAD).tolist():
                states[row] = RankState.STOPPED if only_stopped(self.table.by_row[row]) else RankState.DEAD
        return states

    def mark_slow(self, rows: npt.NDArray[np.bool_]) -> None:
        """From now on the ranks of these rows are slow when they run: the others wait for them."""
        self._slow = rows

    def unreachable(self) -> list[Rank]:
        """The ranks of which nothing can be heard now, as no node that shows their files answers."""
        if not self.away:
            return []
        away = self.away.keys()
        return [rank for rank in self.table.by_rank.values() if rank.sources.names <= away and not self._is_over(rank)]

    def _is_over(self, rank: Rank) -> bool:
        """Whether a rank's end is known, whatever its node says now."""
        table, row = self.table, rank.row
        return bool(table.ended[row] != Ended.NO or table.errored[row] or ProcessState(int(table.process[row])).over)

    def status(self, now: float) -> JobStatus:
        """What the job as a whole is doing.

        A rank that failed fails the job, as DDP does not survive it; not so when someone stopped the job, for then the
        ranks that are stopped later lose their peers.
        """
        current = self.current()
        said = self._launcher_says()
        ended = set(self.table.ended[self.current_rows()].tolist())
        if self.relaunched(now):
            waits = self.manifest is not None and self.manifest.status == "pending"
            return JobStatus.PENDING if waits else JobStatus.STARTING
        if Ended.FAILED in ended and said is not JobStatus.STOPPED:
            return JobStatus.FAILED
        if said is not None:
            return said
        if not current:
            return JobStatus.PENDING if self.manifest else JobStatus.UNKNOWN
        if Ended.NO not in ended:
            return self._ended(now, current, ended)
        return self._living(now)

    def relaunched(self, now: float) -> bool:
        """Whether the launcher has begun an attempt that no rank has joined yet."""
        manifest = self.manifest
        if manifest is None or manifest.attempt <= self._ranks_attempt() or manifest.status in _OVER:
            return False
        return len(self.table) > 0 and not np.isin(self.states(now), LIVING).any()

    def _ended(self, now: float, current: list[Rank], ended: set[int]) -> JobStatus:
        """All ranks that were seen have ended; one that was never seen is waited for, but not for ever.

        So is the word of Slurm, where they were stopped: it may run them again.
        """
        last = max(rank.ended_at for rank in current)
        told = self.manifest is None or (self.manifest.backend, self.manifest.status) != ("slurm", "running")
        waits = len(current) < self.world_size or (Ended.STOPPED in ended and not told)
        if waits and now - last < GONE_SECONDS:
            return JobStatus.RUNNING
        return JobStatus.STOPPED if Ended.STOPPED in ended else JobStatus.FINISHED

    def _living(self, now: float) -> JobStatus:
        states = self.states(now)[self.current_rows()]
        if np.isin(states, LIVING).any():
            return JobStatus.STARTING if np.isnan(self.step()) else JobStatus.RUNNING
        return JobStatus.FAILED if RankState.DEAD in states else JobStatus.UNKNOWN

    @property
    def world_size(self) -> int:
        """Ranks that the run says it has; at least those of the newest attempt that were seen."""
        return self._plan()[0]

    @property
    def total_steps(self) -> int | None:
        """Planned steps, where the emitter was told."""
        return self._plan()[1]

    def _plan(self) -> tuple[int, int | None]:
        """The size and the planned steps, which are asked for several times at each look."""
        if self._planned[0] != self.version:
            self._planned = self.version, (self._size(), self._steps())
        return self._planned[1]

    def _size(self) -> int:
        current = self.current()
        said = [rank.start.world_size for rank in current if rank.start and rank.start.world_size]
        if self.manifest and self.manifest.world_size and self.manifest.attempt >= self._ranks_attempt():
            said.append(self.manifest.world_size)
        return max([len(current), *said])

    def _steps(self) -> int | None:
        said = [rank.start.total_steps for rank in self.current() if rank.start and rank.start.total_steps]
        return max(said, default=None)

    def step(self) -> float:
        """The step that every rank has made, of those of the attempt that have reported one; NaN before the first.

        Ranks that cannot be heard do not count while others can: the run is where those are. When they are heard again
        they may be told late, step by step: the run goes back only when no rank has come as far any more, or when one
        tells its first step, which is less: the ranks of a run are read one after the other.
        """
        rows = self.current_rows()
        away = [rank.row for rank in self.unreachable()]
        heard = rows[~np.isin(rows, away)] if away else rows
        steps = self.table.latest[heard if len(heard) else rows, Column.STEP]
        if not np.isfinite(steps).any():
            return np.nan
        every = self.table.latest[rows, Column.STEP]
        told = (self._ranks_attempt(), int(np.isfinite(every).sum()))
        before, made = self._made
        least = float(np.nanmin(steps))
        back = told != before or float(np.nanmax(every)) < made
        self._made = (told, least if back else max(made, least))
        return self._made[1]

    def first_failure(self, now: float) -> Rank | None:
        """The rank that the failure began with, as far as the files tell; the others follow from it.

        The earliest error comes first, but an error that only says that a peer is gone comes after a rank that vanished
        without a word: a rank that is killed writes nothing, and its peers complain.
        """
        states = self.states(now)
        dead = self.current_in(states, RankState.DEAD)
        return min(dead, key=lambda rank: (lateness(rank, self.exit_code(rank)), failed_at(rank)), default=None)

    def exit_code(self, rank: Rank) -> int | None:
        """How the process of a rank that failed ended, as its launcher says: minus a signal's number, or a code."""
        told = self.manifest.exits.get(rank.rank) if self.manifest is not None else None
        return None if told is None or self._launcher_says() is None else told

    def _ranks_attempt(self) -> int:
        return int(self.table.attempt[: len(self.table)].max()) if len(self.table) else 1

    def _launcher_says(self) -> JobStatus | None:
        """The launcher's word on the end, unless a newer attempt has started since."""
        if self.manifest is None or self.manifest.attempt < self._ranks_attempt():
            return None
        return _OVER.get(self.manifest.status)
