"""The ranks of a job, one row each: their newest values as columns, their histories as series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.columns import WIDTH, Column
from ugro_tui.core.fields import MAX_NAMES
from ugro_tui.core.records import Batch, End, ErrorReport, Heartbeat, Matrix, PhaseMark, Start, Steps, Tally
from ugro_tui.core.series import CAPACITY, Series
from ugro_tui.core.states import ENDED_WORDS, Ended

SPARK_WIDTH: Final = 16
"""Points of a rank's loss sparkline."""

HISTORY_BUDGET: Final = 1 << 19
"""Rows kept over all ranks of a job (84 MiB at 168 B a row): few ranks keep long histories, many keep short ones."""

MIN_HISTORY: Final = 128
"""Rows per rank that the series statistics of the alert rules need at the least."""

CLEAR_AFTER: Final = 10
"""Finite losses in a row that clear a non-finite one (alerts.md: latched until 10 finite)."""

_INTERVAL_ROWS: Final = 33


@dataclass(slots=True)
class BadLoss:
    """The first non-finite record of an episode: `since` in the collector's monotonic seconds."""

    step: float
    since: float
    value: float
    finite: int = 0


@dataclass(slots=True)
class Rank:
    """One rank as its files tell it. Times are the collector's monotonic seconds, NaN before the first."""

    rank: int
    row: int
    series: Series
    node: str = ""
    start: Start | None = None
    end: End | None = None
    heartbeat: Heartbeat | None = None
    error: ErrorReport | None = None
    tally: Tally = field(default_factory=Tally)
    attempt: int = 1
    phase: str = ""
    next_seq: int = 0
    lost: int = 0
    bad: BadLoss | None = None
    ended_at: float = np.nan
    throughput_sum: float = 0.0
    throughput_rows: int = 0
    records: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


class RankTable:
    """All ranks of a job. Columns grow with the ranks; row order is the order of arrival."""

    def __init__(self) -> None:
        self.by_rank: dict[int, Rank] = {}
        self.latest: Matrix = np.empty((0, WIDTH))
        self.spark: npt.NDArray[np.float32] = np.empty((0, SPARK_WIDTH), np.float32)
        self.step_at = np.empty(0)
        self.write_at = np.empty(0)
        self.beat_at = np.empty(0)
        self.interval = np.empty(0)
        self.ended = np.empty(0, np.int8)
        self.paused = np.empty(0, bool)
        self.attempt = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self.by_rank)

    def rank(self, number: int) -> Rank:
        """The rank's row, made on first sight."""
        found = self.by_rank.get(number)
        if found is None:
            row = len(self.by_rank)
            self._grow(row + 1)
            capacity = min(CAPACITY, max(MIN_HISTORY, HISTORY_BUDGET // (row + 1)))
            found = self.by_rank[number] = Rank(number, row, Series(capacity))
        return found

    def _grow(self, rows: int) -> None:
        if rows <= len(self.interval):
            return
        extra = max(16, rows // 2)
        for name, empty in _EMPTY.items():
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.full((extra, *old.shape[1:]), empty, old.dtype)]))

    def wrote(self, rank: Rank, at: float) -> None:
        """The rank's metrics file was last written `at` (collector's monotonic seconds)."""
        self.write_at[rank.row] = np.fmax(self.write_at[rank.row], at)

    def apply(self, rank: Rank, batch: Batch, at: float) -> None:
        """Take in decoded records of one rank. `at`: when the newest of them was written, monotonic seconds."""
        rank.tally += batch.tally
        for item in batch.items:
            match item:
                case Steps():
                    self._steps(rank, item, at)
                case Start():
                    self._start(rank, item, at)
                case PhaseMark():
                    _note_seq(rank, item.seq, item.seq)
                    rank.phase = item.name if item.begins else ""
                    self.paused[rank.row] = item.begins and item.name != "train"
                case End():
                    _note_seq(rank, item.seq, item.seq)
                    rank.end, rank.ended_at = item, at
                    self.ended[rank.row] = ENDED_WORDS.get(item.status, Ended.STOPPED)

    def beat(self, rank: Rank, heartbeat: Heartbeat, at: float) -> None:
        """Take in a heartbeat that was written `at`."""
        rank.heartbeat = heartbeat
        row = rank.row
        self.beat_at[row] = np.fmax(self.beat_at[row], at)
        if not np.isnan(heartbeat.step_age):
            self.step_at[row] = np.fmax(self.step_at[row], at - heartbeat.step_age)
        for name, column in _GPU_COLUMNS:
            if name in heartbeat.gpu:
                self.latest[row, column] = heartbeat.gpu[name]

    def _start(self, rank: Rank, start: Start, at: float) -> None:
        rank.start, rank.end, rank.bad = start, None, None
        rank.attempt = start.attempt
        rank.node = start.host or rank.node
        rank.next_seq = start.seq + 1
        rank.phase = ""
        rank.throughput_sum, rank.throughput_rows = 0.0, 0
        self.step_at[rank.row] = at  # until the first step, its age counts from the start
        self.ended[rank.row] = Ended.NO
        self.paused[rank.row] = False
        self.attempt[rank.row] = start.attempt

    def _steps(self, rank: Rank, steps: Steps, at: float) -> None:
        rows, row = steps.rows, rank.row
        _note_seq(rank, int(np.nan_to_num(rows[0, Column.SEQ])), int(np.nan_to_num(rows[-1, Column.SEQ])), len(rows))
        rank.series.append(rows)
        rank.records += len(rows)
        for name, value in steps.metrics.items():
            if name in rank.metrics or len(rank.metrics) < MAX_NAMES:
                rank.metrics[name] = value
        throughput = rows[:, Column.THROUGHPUT]
        known = np.isfinite(throughput)
        rank.throughput_sum += float(throughput[known].sum())
        rank.throughput_rows += int(known.sum())
        self.latest[row] = np.where(np.isnan(rows[-1]) & _STICKY, self.latest[row], rows[-1])
        self.step_at[row] = np.fmax(self.step_at[row], at)
        self.spark[row] = _spark(rank.series.column(Column.LOSS))
        recent = rank.series.column(Column.TS)[-_INTERVAL_ROWS:]
        self.interval[row] = np.median(np.diff(recent)) if len(recent) > 5 else np.nan
        _latch_bad(rank, rows, at)


_EMPTY: Final[dict[str, float]] = {
    "latest": np.nan,
    "spark": np.nan,
    "step_at": np.nan,
    "write_at": np.nan,
    "beat_at": np.nan,
    "interval": np.nan,
    "ended": Ended.NO,
    "paused": False,
    "attempt": 1,
}

_GPU_COLUMNS: Final = (
    ("util", Column.GPU_UTIL),
    ("mem_used", Column.GPU_MEM_USED),
    ("mem_total", Column.GPU_MEM_TOTAL),
    ("temp", Column.GPU_TEMP),
    ("power", Column.GPU_POWER),
)
_STICKY: Final = np.isin(np.arange(WIDTH), [column for _, column in _GPU_COLUMNS])
"""Columns that keep their value where a record has none: the heartbeat samples the GPU more often than records do."""


def _note_seq(rank: Rank, first: int, last: int, count: int = 1) -> None:
    """Count lost lines: `seq` grows by one with each line of a run (protocol v1)."""
    if rank.start is not None:
        rank.lost += max(0, first - rank.next_seq) + max(0, last - first + 1 - count)
    rank.next_seq = last + 1


def _latch_bad(rank: Rank, rows: Matrix, at: float) -> None:
    bad = np.flatnonzero(rows[:, Column.BAD] > 0)
    if len(bad):
        first, last = rows[bad[0]], int(bad[-1])
        rank.bad = rank.bad or BadLoss(float(first[Column.STEP]), at, float(first[Column.LOSS]))
        rank.bad.finite = len(rows) - 1 - last
    elif rank.bad is not None:
        rank.bad.finite += len(rows)
    if rank.bad is not None and rank.bad.finite >= CLEAR_AFTER:
        rank.bad = None


def _spark(loss: Matrix) -> npt.NDArray[np.float32]:
    """The last losses as `SPARK_WIDTH` points: the newest ones, each the mean of its bucket of at most 4 rows."""
    recent = loss[-4 * SPARK_WIDTH :]
    size = -(-len(recent) // SPARK_WIDTH)
    recent = recent[len(recent) % size :]
    points = recent.reshape(-1, size).mean(axis=1)
    spark = np.full(SPARK_WIDTH, np.nan, np.float32)
    spark[-len(points) :] = points
    return spark
