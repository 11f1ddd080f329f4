"""What the newest rows of a rank say: its sparkline and the time between its records."""

from __future__ import annotations

import math
import statistics
from enum import IntEnum
from itertools import pairwise
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

UNSETTLED_INTERVAL: Final = 24.0
"""Seconds between records assumed at the least during the warm-up: compilation, first batches (5 times that: 2 min)."""


def interval(rows: Matrix) -> float:
    """Median seconds between the newest of `rows` (shape `[n, WIDTH]`); NaN where they carry no sane times."""
    times = rows[-_INTERVAL_ROWS:, Column.TS]
    if len(times) < 2:
        return np.nan
    # A few numbers: Python's own are ten times as fast here as numpy's, and this is done for every delivery of a rank.
    gaps = [after - before for before, after in pairwise(times.tolist())]
    median = statistics.median(gaps) if all(map(math.isfinite, gaps)) else np.nan
    if not abs(median) < _LONGEST_INTERVAL:
        return np.nan
    iterations = rows[-1, Column.STEP] - rows[0, Column.STEP]
    return median if iterations >= WARM_UP_STEPS else max(median, UNSETTLED_INTERVAL)


def rounds(rows: Matrix, before: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The last `ROUNDS` records, shape `[ROUNDS, len(Round)]`: the newest of `rows`, and of those `before` them."""
    newest = rows[-ROUNDS:, ROUND_COLUMNS]
    return newest if len(newest) == ROUNDS else np.concatenate([before[len(newest) :], newest])


def spark(rows: Matrix) -> npt.NDArray[np.float32]:
    """The last losses as `SPARK_WIDTH` points, each the mean of the same number of rows; NaN where one is not finite.

    Rows without a loss are left out: a rank may record it less often than the rest.
    """
    rows = rows[-4 * SPARK_WIDTH :]
    loss = rows[:, Column.LOSS]
    missing = np.isnan(loss)
    if missing.any():
        loss = loss[~missing | (rows[:, Column.BAD] > 0)]
    size = max(1, len(loss) // SPARK_WIDTH)
    recent = loss[-size * SPARK_WIDTH :]
    points = np.full(SPARK_WIDTH, np.nan, np.float32)
    if len(recent):
        with np.errstate(over="ignore", invalid="ignore"):
            means = (np.add.reduce(recent.reshape(-1, size), axis=1) / size).astype(np.float32)
        points[-len(means) :] = np.where(np.isfinite(means), means, np.nan)
    return points
