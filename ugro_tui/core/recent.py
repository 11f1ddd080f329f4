"""What the newest rows of a rank say: its sparkline and the time between its records."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.columns import Column
from ugro_tui.core.eta import WARM_UP_STEPS
from ugro_tui.core.records import Matrix

SPARK_WIDTH: Final = 16
"""Points of a rank's loss sparkline."""

_INTERVAL_ROWS: Final = 33

_LONGEST_INTERVAL: Final = 1e9  # seconds: beyond 30 years a time is damage

ROUNDS: Final = 5
"""Newest records of each rank that stragglers are told from (alerts.md: 3 of 5)."""


class Round(IntEnum):
    """What is kept of each of them, in this order; seconds but for the step, `TS` by the node's clock."""

    STEP = 0
    STEP_TIME = 1
    DATA = 2
    FORWARD = 3
    BACKWARD = 4
    SYNC_WAIT = 5
    OPTIMIZER = 6
    TS = 7


ROUND_COLUMNS: Final = [Column[name] for name in Round.__members__]
"""The columns of a row that a `Round` is made of, in its order."""

_ROUND_PLACES: Final = np.array(ROUND_COLUMNS, np.intp)

TAIL: Final = 4 * SPARK_WIDTH
"""Newest rows of a rank that its sparkline and its interval are made of."""


class Tail(IntEnum):
    """What is looked at of them, in this order."""

    TS = 0
    STEP = 1
    LOSS = 2
    BAD = 3


UNSETTLED_INTERVAL: Final = 24.0
"""Seconds between records assumed at the least during the warm-up: compilation, first batches (5 times that: 2 min)."""


def tails(histories: Sequence[Matrix]) -> Matrix:
    """The newest `TAIL` rows of each history, as `Tail` has them; NaN before them. Shape `[ranks, TAIL, len(Tail)]`."""
    found = np.full((len(histories), TAIL, len(Tail)), np.nan)
    for tail, rows in zip(found, histories, strict=True):
        newest = rows[-TAIL:]
        place = tail[TAIL - len(newest) :]
        place[:, : Tail.BAD] = newest[:, Column.TS : Column.LOSS + 1]
        place[:, Tail.BAD] = newest[:, Column.BAD]
    return found


def intervals(tail: Matrix, first: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Median seconds between the newest records of each rank, NaN where they carry no sane times; shape `[ranks]`.

    `tail` as from `tails`; `first`: the step that each rank's attempt began with, NaN where it has made none.
    """
    found = np.full(len(tail), np.nan)
    steps = tail[:, :, Tail.STEP]
    used = np.minimum((steps >= first[:, None]).sum(axis=1), _INTERVAL_ROWS)
    for count in np.unique(used[used > 1]).tolist():
        alike = used == count
        with np.errstate(over="ignore", invalid="ignore"):
            gaps = np.diff(tail[alike, TAIL - count :, Tail.TS], axis=1)
            found[alike] = np.where(np.isfinite(gaps).all(axis=1), np.median(gaps, axis=1), np.nan)
    found[~(np.abs(found) < _LONGEST_INTERVAL)] = np.nan
    return np.where(steps[:, -1] - first >= WARM_UP_STEPS, found, np.maximum(found, UNSETTLED_INTERVAL))


def rounds(rows: Matrix, before: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The last `ROUNDS` records, shape `[ROUNDS, len(Round)]`: the newest of `rows`, and of those `before` them."""
    newest = rows[-ROUNDS:].take(_ROUND_PLACES, axis=1)
    return newest if len(newest) == ROUNDS else np.concatenate([before[len(newest) :], newest])


def sparks(tail: Matrix) -> npt.NDArray[np.float32]:
    """The last losses of each rank as points, each the mean of the same number of rows; NaN where one is not finite.

    `tail` as from `tails`; shape `[ranks, SPARK_WIDTH]`. Rows without a loss are left out: a rank may record it less
    often than the rest.
    """
    loss = tail[:, :, Tail.LOSS]
    told = ~np.isnan(loss) | (tail[:, :, Tail.BAD] > 0)
    counts = told.sum(axis=1)
    if not told.all():
        loss = np.take_along_axis(loss, np.argsort(told, axis=1, kind="stable"), axis=1)
    points = np.full((len(tail), SPARK_WIDTH), np.nan, np.float32)
    for count in np.unique(counts[counts > 0]).tolist():
        alike, size = counts == count, max(1, count // SPARK_WIDTH)
        recent = loss[alike, TAIL - min(count, size * SPARK_WIDTH) :]
        with np.errstate(over="ignore", invalid="ignore"):
            means = (np.add.reduce(recent.reshape(len(recent), -1, size), axis=2) / size).astype(np.float32)
        points[alike, SPARK_WIDTH - means.shape[1] :] = np.where(np.isfinite(means), means, np.nan)
    return points
