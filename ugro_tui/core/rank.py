"""One rank as its files tell it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import numpy as np

from ugro_tui.core.badloss import BadLoss
from ugro_tui.core.columns import MAX_COUNT, Column
from ugro_tui.core.newest import LastBeat
from ugro_tui.core.pool import PooledSeries
from ugro_tui.core.records import End, ErrorReport, Matrix, Start, Vital
from ugro_tui.core.series import Series
from ugro_tui.core.shared import Sources

PACE: Final = 10**15
"""Parts of a second in which it is counted what a token took."""

MAX_STARTS: Final = 16
"""Starts remembered of a rank: enough to tell a loop."""

LOCAL: Final = "local"
"""The name of the watching machine among the nodes."""


_NO_METRICS: Final[Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Life:
    """A process of a rank that is over: when it started (Unix seconds), the step that the run had come to by then (NaN:
    none), and how it ended, as it said; None: without a word.
    """

    ts: float
    found_step: float
    end: End | None


@dataclass(slots=True)
class Rank:
    """One rank as its files tell it. Times are the collector's monotonic seconds, NaN before the first."""

    rank: int
    row: int
    series: Series | PooledSeries
    node: str = ""
    start: Start | None = None
    end: End | None = None
    heartbeat: LastBeat | None = None
    error: ErrorReport | None = None
    found_step: float = np.nan
    """The step that the run had come to when it started last; NaN: none."""
    before: tuple[Life, ...] = ()
    """What its newest processes before this one did."""
    told: Vital | None = None
    """What was last said of a process of this rank; `vital` is what to judge by."""
    lines: int = 0
    skipped: int = 0
    """Lines that were not blank, and those of them that are no record."""
    attempt: int = 1
    restarts: int = 0
    """How often it was started again within this attempt, as torchrun does after a failure."""
    first_step: float = np.nan
    """The lowest step of this attempt: older rows of `series` are from attempts before it."""
    phase: str = ""
    saved_ts: float = np.nan
    """When its last declared checkpoint ended, of any attempt; Unix seconds by the node's clock."""
    next_seq: int = 0
    lost: int = 0
    bad: BadLoss | None = None
    bad_records: int = 0
    last_bad_step: float = np.nan
    """Non-finite records of this attempt so far, and the step of the last one."""
    bad_losses: int = 0
    last_bad_loss: float = np.nan
    """The same of those in which it was the loss, or a loss of 0 stood for one, and not only a gradient norm."""
    last_loss: float = np.nan
    min_loss: float = np.nan
    """The last finite loss since it started last, and the least one of what no rewind has superseded."""
    ended_at: float = np.nan
    first_ts: float = np.nan
    last_ts: float = np.nan
    """First and last record of this attempt, Unix seconds by the node's clock."""
    throughput_time: int = 0
    """What a token took, summed over records (by `PACE`): whole numbers add up to the same whatever records came in one
    delivery, and so do all readers. As records cover as many tokens each, the mean rate is that of all tokens and all
    time, and a slow record counts for as long as it took."""
    throughput_rows: int = 0
    records: int = 0
    """Step records of this attempt so far."""
    metrics: Mapping[str, float] = field(default_factory=lambda: _NO_METRICS)
    """The newest value of each of the script's own."""
    sources: Sources = field(default_factory=Sources)

    @property
    def starts(self) -> list[tuple[float, float]]:
        """Its newest starts: when (Unix seconds), and the step that the run had come to by then (NaN: none)."""
        newest = [] if self.start is None else [(self.start.ts, self.found_step)]
        return [(life.ts, life.found_step) for life in self.before] + newest

    @property
    def host(self) -> str:
        """The node as users call it; where several nodes show the file, or only this machine: what the record says."""
        names = self.sources.names
        told = self.start.host if self.start is not None else ""
        return next(iter(names)) if len(names) == 1 and (not told or LOCAL not in names) else told

    @property
    def vital(self) -> Vital | None:
        """What the node says of the process that the rank is now; None while it has not said anything.

        It is about the newest heartbeat: it counts neither for a process that started later nor for another one.
        """
        told, beat, start = self.told, self.heartbeat, self.start
        if told is None or beat is None or (told.pid, told.pid_start) != (beat.pid, beat.pid_start):
            return None
        begun_anew = start is not None and start.run_id != beat.run_id and not start.ts <= beat.ts
        return None if begun_anew else told

    @property
    def mean_throughput(self) -> float:
        """Tokens/s over the records of this attempt, NaN before the first."""
        return round(self.throughput_rows * PACE / self.throughput_time, 6) if self.throughput_time else math.nan

    @property
    def attempt_rows(self) -> Matrix:
        """The kept rows of this attempt, shape `[n, WIDTH]` (a view)."""
        rows = self.series.rows
        return rows[np.searchsorted(rows[:, Column.STEP], self.first_step) :]  # behind all where that is NaN


def note(rank: Rank, seqs: Sequence[float], times: Sequence[float]) -> None:
    """Take in when records were made, and count lost lines: `seq` grows by one a line (protocol v1)."""
    known = [ts for ts in times if math.isfinite(ts)]
    if known:
        rank.first_ts = known[0] if math.isnan(rank.first_ts) else rank.first_ts
        rank.last_ts = known[-1]
    told = [int(seq) for seq in seqs if 0 <= seq <= MAX_COUNT]
    if not told:
        return
    if rank.start is not None:
        rank.lost += sum(max(0, after - before - 1) for before, after in pairwise([rank.next_seq - 1, *told]))
    rank.next_seq = told[-1] + 1


def note_losses(rank: Rank, rows: Matrix, *, rewound: bool) -> None:
    """Take in the losses of the rows that its series was given last; `rewound`: some that it had count no more."""
    if rewound:
        rank.last_loss = rank.min_loss = np.nan
    if finite := _finite_losses(rank.attempt_rows if rewound else rows):
        rank.last_loss = finite[-1]
    if finite := _finite_losses(rank.series.rows) if rewound else finite:
        rank.min_loss = min(finite) if math.isnan(rank.min_loss) else min(rank.min_loss, *finite)


def _finite_losses(rows: Matrix) -> list[float]:
    return [loss for loss in rows[:, Column.LOSS].tolist() if math.isfinite(loss)]
