"""Which rows of a long series stay when it is thinned."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ugro_tui.core.records import Matrix

Mask: TypeAlias = npt.NDArray[np.bool_]


def thinning(step: Matrix, value: Matrix, bad: Mask) -> Mask:
    """Which rows stay when half of those go that lie densest, by groups of four; all arrays have shape `[4 * n]`.

    To thin everything alike would halve the oldest rows again each time: nothing would be left of a run's beginning.
    """
    steps = step.reshape(-1, 4)
    dense = np.argsort(steps[:, 3] - steps[:, 0], kind="stable")[: max(1, len(steps) // 2)]
    keep = np.ones(steps.shape, bool)
    keep[dense] = _extremes(value.reshape(-1, 4)[dense], bad.reshape(-1, 4)[dense])
    return keep.ravel()


def _extremes(value: Matrix, bad: Mask) -> Mask:
    """Of every four values the lowest and the highest, shape `[n, 4]`. A bad one counts as the highest."""
    high = np.where(bad, np.inf, np.where(np.isnan(value), -np.inf, value)).argmax(axis=1)
    low = np.where(bad | np.isnan(value), np.inf, value).argmin(axis=1)
    low = np.where(low == high, (high + 2) % 4, low)  # all alike or all missing: take a spread
    keep = np.zeros(bad.shape, bool)
    every = np.arange(len(value))
    keep[every, low] = keep[every, high] = True
    return keep
