"""The newest records of a rank that stragglers are told from."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.columns import Column
from ugro_tui.core.records import Matrix

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


TIMES: Final = slice(Round.STEP_TIME, Round.OPTIMIZER + 1)
"""Which of a `Round` are the seconds of a step and of its phases."""

TIME_COLUMNS: Final = ROUND_COLUMNS[TIMES]


def mean_times(recent: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean seconds of a step and of its phases over the newest records of ranks, shape `[ranks, TIME_COLUMNS]`.

    `recent`: these records, `[ranks, ROUNDS, len(Round)]`. Of records that do not tell one the others count; NaN where
    none does.
    """
    counts, sums = np.zeros((2, len(recent), len(TIME_COLUMNS)))
    for place in range(recent.shape[1]):  # an eighth of the time of reductions over this short axis
        told = recent[:, place, TIMES]
        finite = np.isfinite(told)
        counts += finite
        sums += np.where(finite, told, 0.0)
    means: npt.NDArray[np.float64] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means


def rounds(rows: Matrix, before: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The last `ROUNDS` records, shape `[ROUNDS, len(Round)]`: the newest of `rows`, and of those `before` them."""
    newest = rows[-ROUNDS:].take(_ROUND_PLACES, axis=1)
    return newest if len(newest) == ROUNDS else np.concatenate([before[len(newest) :], newest])
