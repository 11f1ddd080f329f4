"""The ranks of a job, one row each: their newest values as columns, their histories as series."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.badloss import followed
from ugro_tui.core.columns import MAX_COUNT, WIDTH, Beat, Column
from ugro_tui.core.fields import MAX_NAMES
from ugro_tui.core.newest import GPU_COLUMNS, LastBeat, beat_row, newest
from ugro_tui.core.pool import Pool
from ugro_tui.core.rank import LOCAL, MAX_STARTS, PACE, Life, Rank, note, note_losses
from ugro_tui.core.recent import ROUNDS, Round, rounds
from ugro_tui.core.records import (
    CHECKPOINT,
    Batch,
    End,
    ErrorReport,
    Heartbeat,
    Matrix,
    PhaseMark,
    Start,
    Steps,
    Unknown,
    Vital,
)
from ugro_tui.core.sample import MAX_SAMPLE, in_sample
from ugro_tui.core.series import CAPACITY, Series
from ugro_tui.core.states import ENDED_WORDS, Ended, ProcessState
from ugro_tui.core.trends import Trends

HISTORY_BUDGET: Final = 1 << 19
"""Rows kept over all ranks of a job (68 MiB at 136 B a row), up to `MOST_WHOLE` ranks: the more, the shorter."""

MOST_WHOLE: Final = 1_024
"""Ranks up to which all keep histories alike. Of more, those of `core.sample` keep `LONG_HISTORY` rows, for what is
told of the run, and the others `SHORT_HISTORY`, by which a rule compares a rank with itself."""

LONG_HISTORY, SHORT_HISTORY = 256, 22


class RankTable:
    """All ranks of a job. Columns grow with the ranks; row order is the order of arrival."""

    def __init__(self) -> None:
        self.by_rank: dict[int, Rank] = {}
        self.by_row: list[Rank] = []
        self.latest: Matrix = np.empty((0, WIDTH))
        self.step_at = np.empty(0)
        self.write_at = np.empty(0)
        self.beat_at = np.empty(0)
        self.ended = np.empty(0, np.int8)
        self.paused = np.empty(0, bool)
        self.errored = np.empty(0, bool)
        self.process = np.empty(0, np.int8)
        self.attempt = np.empty(0, np.int64)
        self.rounds = np.empty((0, ROUNDS, len(Round)))
        """The newest records of each rank, as stragglers are told from."""
        self.missing = np.empty(0, np.int64)
        """Lines that are no record, and records that never came."""
        self.bad = np.empty(0, np.int64)
        """Non-finite records of this attempt."""
        self.beats = np.empty((0, len(Beat)))
        """What the newest heartbeat of each rank says, by `Beat`."""
        self._trends = Trends()
        self._pool = Pool(SHORT_HISTORY)

    @property
    def spark(self) -> npt.NDArray[np.float32]:
        """The sparkline of each rank, shape `[rows, SPARK_WIDTH]`."""
        return self._trends.spark

    @property
    def interval(self) -> npt.NDArray[np.float64]:
        """Median seconds between the newest records of each rank; NaN where it is not known."""
        return self._trends.interval

    def __len__(self) -> int:
        return len(self.by_rank)

    def rank(self, number: int) -> Rank:
        """The rank's row, made on first sight."""
        found = self.by_rank.get(number)
        if found is None:
            row = len(self.by_rank)
            self._grow(row + 1)
            capacity = _capacity(number, row + 1)
            series = self._pool.series() if capacity == SHORT_HISTORY else Series(capacity)
            found = self.by_rank[number] = Rank(number, row, series)
            self.by_row.append(found)
            self._share(row + 1)
        return found

    def _share(self, ranks: int) -> None:
        """Shorten the histories when the ranks have doubled, so that all of them stay within the budget."""
        if (ranks - 1).bit_length() == (ranks - 2).bit_length():
            return
        for rank in self.by_row:
            capacity = _capacity(rank.rank, ranks)
            if isinstance(rank.series, Series):
                rank.series.limit(capacity)
                if capacity == SHORT_HISTORY:
                    rank.series = self._pool.adopted(rank.series)

    def _grow(self, rows: int) -> None:
        if rows <= len(self.step_at):
            return
        extra = max(16, rows // 8)
        for name, empty in _EMPTY.items():
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.full((extra, *old.shape[1:]), empty, old.dtype)]))
        self._trends.grow(len(self.step_at))

    def wrote(self, rank: Rank, at: float) -> None:
        """The rank's metrics file was last written `at` (collector's monotonic seconds)."""
        self.write_at[rank.row] = np.fmax(self.write_at[rank.row], at)

    def apply(self, rank: Rank, batch: Batch, at: float, source: str = LOCAL) -> None:
        """Take in decoded records of one rank. `at`: when the newest of them was written, monotonic seconds."""
        batch = rank.sources.fresh(source, batch)
        rank.lines += batch.tally.lines
        rank.skipped += batch.tally.skipped
        for item in batch.items:
            match item:
                case Steps():
                    self._steps(rank, item, at)
                case Start():
                    self._start(rank, item, at)
                case PhaseMark():
                    note(rank, [item.seq], [item.ts])
                    self._phase(rank, item, at)
                case End():
                    note(rank, [item.seq], [item.ts])
                    rank.end, rank.ended_at = item, at
                    self.ended[rank.row] = ENDED_WORDS.get(item.status, Ended.STOPPED)
                case Unknown():
                    note(rank, [item.seq], [item.ts])
        self.missing[rank.row] = rank.skipped + rank.lost
        self.bad[rank.row] = rank.bad_records

    def beat(self, rank: Rank, heartbeat: Heartbeat, at: float) -> None:
        """Take in a heartbeat that was written `at`; one that is older than what is known is no news."""
        row = rank.row
        if at < self.beat_at[row]:
            return
        if rank.heartbeat is not None and heartbeat.ts > rank.heartbeat.ts:
            rank.told = None  # it lived when it wrote this
        rank.heartbeat = LastBeat.of(heartbeat)
        self.beat_at[row] = at
        if not math.isnan(heartbeat.step_age):
            self.step_at[row] = np.fmax(self.step_at[row], at - max(0.0, heartbeat.step_age))
        for name, column in GPU_COLUMNS:
            if name in heartbeat.gpu:
                self.latest[row, column] = heartbeat.gpu[name]
        self.beats[row] = beat_row(heartbeat)
        self._note_process(rank)

    def examine(self, rank: Rank, vital: Vital) -> None:
        """Take in what the node says of a process of the rank."""
        rank.told = vital
        self._note_process(rank)

    def _note_process(self, rank: Rank) -> None:
        vital = rank.vital
        self.process[rank.row] = ProcessState.UNKNOWN if vital is None else vital.state

    def fail(self, rank: Rank, error: ErrorReport) -> None:
        """Take in the rank's error file, unless it is of a run before this one."""
        if rank.start is None or not error.precedes(rank.start.ts):
            rank.error = error
            self.errored[rank.row] = True

    def _start(self, rank: Rank, start: Start, at: float) -> None:
        if start == rank.start:  # the same run goes on in a file that was made anew
            return
        last = rank.series.last_step
        if rank.start is not None:
            last = float(np.fmax(last, rank.found_step))
            rank.before = (*rank.before, Life(rank.start.ts, rank.found_step, rank.end))[1 - MAX_STARTS :]
        rank.found_step = last
        again = rank.start is not None and rank.start.attempt == start.attempt
        rank.restarts = rank.restarts + 1 if again else 0
        rank.records = rank.records if again else 0
        rank.start, rank.end, rank.bad = start, None, None
        rank.ended_at = rank.first_step = rank.last_loss = np.nan
        rank.first_ts = rank.last_ts = start.ts
        if rank.error is not None and rank.error.precedes(start.ts):
            rank.error = None
        self.errored[rank.row] = rank.error is not None
        rank.attempt = start.attempt
        rank.next_seq = start.seq + 1
        rank.phase = ""
        rank.throughput_time, rank.throughput_rows = 0, 0
        rank.bad_records, rank.last_bad_step = 0, np.nan
        rank.bad_losses, rank.last_bad_loss = 0, np.nan
        self.step_at[rank.row] = at  # until the first step, its age counts from the start
        self.latest[rank.row] = np.nan
        self._trends.begin(rank.row)
        self.rounds[rank.row] = np.nan
        self.ended[rank.row] = Ended.NO
        self.paused[rank.row] = False
        self.attempt[rank.row] = start.attempt
        self._note_process(rank)

    def _phase(self, rank: Rank, mark: PhaseMark, at: float) -> None:
        paused = mark.begins and mark.name != "train"
        if self.paused[rank.row] and not paused:
            self.step_at[rank.row] = at  # the pause was no step's time
        self.paused[rank.row] = paused
        rank.phase = mark.name if paused else ""
        if mark.name == CHECKPOINT and not mark.begins:
            rank.saved_ts = mark.ts

    def _steps(self, rank: Rank, steps: Steps, at: float) -> None:
        rows, row = steps.rows, rank.row
        note(rank, rows[:, Column.SEQ].tolist(), rows[:, Column.TS].tolist())
        rewound = rank.series.append(rows)
        first = min(rows[:, Column.STEP].tolist())
        rank.first_step = first if math.isnan(rank.first_step) else min(first, rank.first_step)
        note_losses(rank, rows, rewound=rewound)
        rank.records += len(rows)
        if rank.end is not None:  # its `start` was lost, but who steps has not ended
            rank.end, rank.ended_at, self.ended[row] = None, np.nan, Ended.NO
        if steps.metrics:
            rank.metrics = _merged(rank.metrics, steps.metrics)
        known = [value for value in rows[:, Column.THROUGHPUT].tolist() if 1 / MAX_COUNT < value < MAX_COUNT]
        rank.throughput_time += sum(round(PACE / value) for value in known)
        rank.throughput_rows += len(known)
        self.latest[row] = newest(rows, self.latest[row])
        self.rounds[row] = rounds(rows, self.rounds[row])
        self.step_at[row] = np.fmax(self.step_at[row], at)
        if rewound:
            self._trends.forget(row)
            self._trends.add(row, rank.attempt_rows, rank.series.rows, rank.first_step)
        else:
            self._trends.add(row, rows, rows, rank.first_step)
        if rank.bad is None and not any(rows[:, Column.BAD].tolist()):
            return
        rank.bad = followed(rank.bad, rows, at)
        bad = rows[rows[:, Column.BAD] > 0]
        losses = bad[(bad[:, Column.BAD] > 1) | (bad[:, Column.LOSS] == 0), Column.STEP].tolist()
        rank.bad_records += len(bad)
        rank.bad_losses += len(losses)
        rank.last_bad_step = bad[-1, Column.STEP] if len(bad) else rank.last_bad_step
        rank.last_bad_loss = losses[-1] if losses else rank.last_bad_loss


_EMPTY: Final[dict[str, float]] = {
    "latest": np.nan,
    "step_at": np.nan,
    "write_at": np.nan,
    "beat_at": np.nan,
    "ended": Ended.NO,
    "paused": False,
    "errored": False,
    "process": ProcessState.UNKNOWN,
    "attempt": 1,
    "missing": 0,
    "bad": 0,
    "rounds": np.nan,
    "beats": np.nan,
}


def _merged(known: Mapping[str, float], fresh: Mapping[str, float]) -> Mapping[str, float]:
    """The newest values of both, of at most `MAX_NAMES`."""
    if [*known] == [*fresh]:  # as a rule
        return fresh
    added = [name for name in fresh if name not in known][: MAX_NAMES - len(known)]
    return {**{name: fresh.get(name, value) for name, value in known.items()}, **{name: fresh[name] for name in added}}


def _capacity(number: int, ranks: int) -> int:
    """Rows that the rank of that number keeps, of so many ranks: the same up to the next power of two."""
    if ranks <= MOST_WHOLE:
        return min(CAPACITY, HISTORY_BUDGET >> (ranks - 1).bit_length())
    return LONG_HISTORY if in_sample(number, ranks, MAX_SAMPLE) else SHORT_HISTORY
