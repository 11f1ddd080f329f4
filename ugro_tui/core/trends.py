"""What the newest records of all ranks say: their sparklines, and the time between their records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.columns import Column
from ugro_tui.core.eta import WARM_UP_STEPS
from ugro_tui.core.records import Matrix
from ugro_tui.core.sorting import distinct

SPARK_WIDTH: Final = 16
"""Points of a rank's loss sparkline."""

_LOSSES: Final = 4 * SPARK_WIDTH
_GAPS: Final = 32
_LONGEST_INTERVAL: Final = 1e9  # seconds: beyond 30 years a time is damage
_HIGHEST: Final = float(np.finfo(np.float32).max)

UNSETTLED_INTERVAL: Final = 24.0
"""Seconds between records assumed at the least during the warm-up: compilation, first batches (5 times that: 2 min)."""

_Rows = npt.NDArray[np.intp]
_Values = npt.NDArray[np.float32]
"""Seven digits are enough of what is drawn in eight steps, or compared with times that people wait."""


class _Ring:
    """The newest values of each row, at most `width` of them. `counts`: how many each row was given."""

    def __init__(self, width: int) -> None:
        self.counts: list[int] = []
        self._width = width
        self._values: _Values = np.empty((0, width), np.float32)

    def grow(self, rows: int) -> None:
        """Have so many rows."""
        more = rows - len(self.counts)
        self.counts += [0] * more
        self._values = np.concatenate([self._values, np.full((more, self._width), np.nan, np.float32)])

    def push(self, row: int, values: Sequence[float]) -> None:
        """These are the newest values of a row, the last of them the newest."""
        for place, value in enumerate(values, self.counts[row]):
            self._values[row, place % self._width] = value if -_HIGHEST < value < _HIGHEST else np.nan
        self.counts[row] += len(values)

    def newest(self, rows: _Rows | slice) -> tuple[_Values, npt.NDArray[np.int64]]:
        """The values of these rows, the newest last, and how many each has; what stands before them says nothing."""
        counts = np.array(self.counts)[rows]
        places = counts % self._width
        shifts = distinct(places).tolist()
        if len(shifts) == 1:  # as a rule: ranks record together
            return np.roll(self._values[rows], -shifts[0], axis=1), np.minimum(counts, self._width)
        found = self._values[rows].copy()
        for place in shifts:
            alike = places == place
            found[alike] = np.roll(found[alike], -place, axis=1)
        return found, np.minimum(counts, self._width)


class Trends:
    """Takes in records one by one, and makes of all rows that have news at once what is made of many.

    Rank by rank that would cost ten times as much. Rows are those of the table of ranks.
    """

    def __init__(self) -> None:
        self._gaps, self._losses = _Ring(_GAPS), _Ring(_LOSSES)
        self._told: list[float | None] = []
        """When the newest record of each row was made; None before the first of an attempt."""
        self._is_bad: list[bool] = []
        """Whether the newest loss of each row is no number."""
        self._first = np.empty(0)
        self._last = np.empty(0)
        self._spark: npt.NDArray[np.float32] = np.empty((0, SPARK_WIDTH), np.float32)
        self._interval = np.empty(0)
        self._unspun: set[int] = set()
        self._untimed: set[int] = set()

    def grow(self, rows: int) -> None:
        """Have so many rows."""
        more = np.full(rows - len(self._interval), np.nan)
        for ring in (self._gaps, self._losses):
            ring.grow(rows)
        self._told += [None] * len(more)
        self._is_bad += [False] * len(more)
        self._first, self._last = np.append(self._first, more), np.append(self._last, more)
        self._interval = np.append(self._interval, more)
        self._spark = np.concatenate([self._spark, np.full((len(more), SPARK_WIDTH), np.nan, np.float32)])

    def add(self, row: int, attempt: Matrix, kept: Matrix, first_step: float) -> None:
        """Take in new rows (shape `[n, WIDTH]`): those of the rank's `attempt`, and of all that are `kept` of it.

        `first_step`: the step that the attempt began with.
        """
        self._take_times(row, attempt[-_GAPS - 1 :, Column.TS].tolist())
        told = [
            loss
            for loss, bad in zip(kept[:, Column.LOSS].tolist(), kept[:, Column.BAD].tolist(), strict=True)
            if loss == loss or bad > 0  # a rank may record it less often than the rest
        ]
        self._losses.push(row, self._without_doubles(row, told))
        self._first[row], self._last[row] = first_step, kept[-1, Column.STEP]
        self._news(row)

    def _without_doubles(self, row: int, losses: list[float]) -> list[float]:
        """Of losses that are no number one after another the first: else they would push out what was before them."""
        bad = [self._is_bad[row], *(not math.isfinite(loss) for loss in losses)]
        self._is_bad[row] = bad[-1]
        if not any(bad):
            return losses
        return [loss for loss, last, this in zip(losses, bad, bad[1:], strict=False) if not (last and this)]

    def _take_times(self, row: int, times: list[float]) -> None:
        before = self._told[row]
        known = times if before is None else [before, *times]
        self._gaps.push(row, [_bounded(after - before) for before, after in pairwise(known)])
        self._told[row] = known[-1] if known else None

    def begin(self, row: int) -> None:
        """A new attempt of a rank: its losses go on, its times do not."""
        self._gaps.counts[row], self._told[row] = 0, None
        self._news(row)

    def forget(self, row: int) -> None:
        """Some rows of a rank count no more: it is to be told anew."""
        self._gaps.counts[row] = self._losses.counts[row] = 0
        self._told[row], self._is_bad[row] = None, False

    def _news(self, row: int) -> None:
        self._unspun.add(row)
        self._untimed.add(row)

    @property
    def spark(self) -> npt.NDArray[np.float32]:
        """The last losses of each row as points, each the mean of the same number of them, shape `[rows, SPARK_WIDTH]`.

        NaN where one is not finite, and where there are none.
        """
        if self._unspun:
            rows = _taken(self._unspun)
            self._spark[rows] = _sparks(*self._losses.newest(rows))
        return self._spark

    @property
    def interval(self) -> npt.NDArray[np.float64]:
        """Median seconds between the newest records of each row; NaN where they carry no sane times."""
        if self._untimed:
            rows = _taken(self._untimed)
            settled = self._last[rows] - self._first[rows] >= WARM_UP_STEPS
            found = _medians(*self._gaps.newest(rows))
            self._interval[rows] = np.where(settled, found, np.maximum(found, UNSETTLED_INTERVAL))
        return self._interval


def _taken(rows: set[int]) -> _Rows | slice:
    """The rows, which are no news any more: a slice where they are all that lie between the first and the last."""
    found = np.sort(np.fromiter(rows, np.intp, len(rows)))
    rows.clear()
    return slice(found[0], found[-1] + 1) if found[-1] - found[0] + 1 == len(found) else found


def _bounded(gap: float) -> float:
    """The seconds between two times, within what four bytes hold."""
    if abs(gap) < _LONGEST_INTERVAL or not math.isfinite(gap):
        return gap
    return math.copysign(2 * _LONGEST_INTERVAL, gap)


def _medians(newest: _Values, counts: npt.NDArray[np.int64]) -> Matrix:
    """Median of the seconds. By sorting: numpy's own median of many short rows takes nine times as long."""
    found = np.full(len(newest), np.nan)
    for count in distinct(counts[counts > 0]).tolist():
        alike: npt.NDArray[np.bool_] | slice = counts == count if (counts != count).any() else slice(None)
        gaps = np.sort(newest[alike, _GAPS - count :], axis=1)
        middle = (gaps[:, (count - 1) // 2] + gaps[:, count // 2]) / 2
        found[alike] = np.where(np.isfinite(gaps).all(axis=1), middle, np.nan)
    found[~(np.abs(found) < _LONGEST_INTERVAL)] = np.nan
    return found


def _sparks(losses: _Values, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    points = np.full((len(losses), SPARK_WIDTH), np.nan, np.float32)
    for count in distinct(counts[counts > 0]).tolist():
        alike: npt.NDArray[np.bool_] | slice = counts == count if (counts != count).any() else slice(None)
        size = max(1, count // SPARK_WIDTH)
        recent = losses[alike, _LOSSES - min(count, size * SPARK_WIDTH) :]
        with np.errstate(over="ignore", invalid="ignore"):
            means = sum(recent[:, place::size] for place in range(size)) / np.float32(size)
        points[alike, SPARK_WIDTH - means.shape[1] :] = np.where(np.isfinite(means), means, np.nan)
    return points
