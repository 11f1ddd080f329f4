"""Which ranks lie far outside the others and stay there."""

from __future__ import annotations

from typing import Final

import numpy as np

from ugro_tui.core.archive import Floats
from ugro_tui.core.binning import median_of

MOST: Final = 5
"""Lines of their own that a chart bears."""

FAR: Final = 3.5
"""Modified z-scores above this are outliers: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993)."""

LEAST_LINES, LEAST_POINTS = 4, 8
"""Below so many the spread of the others cannot be told, or one bad batch would make an outlier."""

_SCALE: Final = 0.6745
"""Turns a median absolute deviation into a standard deviation, as in the modified z-score."""

_LEAST_SPREAD: Final = 1e-3
"""Of the median's size: ranks that agree to the last digit must not make one out of a rounding error."""


def outliers(means: Floats, median: Floats) -> list[int]:
    """Rows of `means` (shape `[lines, points]`, NaN where unknown) that lie far from `median`, the farthest first.

    Far means: over the newest quarter of the points, the median of a row's modified z-scores, with their sign, exceeds
    `FAR`. The sign makes it persistent: noise changes sides, a broken rank does not.
    """
    lines, points = means.shape
    newest = max(LEAST_POINTS, points // 4)
    if lines < LEAST_LINES or points < LEAST_POINTS:
        return []
    away = means[:, -newest:] - median[-newest:]
    spread = np.maximum(median_of(np.abs(away)), _LEAST_SPREAD * np.abs(median[-newest:]))
    with np.errstate(over="ignore", invalid="ignore"):  # values of any size come from nodes
        scores = np.abs(median_of((_SCALE * away / np.maximum(spread, 1e-300)).T))
    known = np.count_nonzero(~np.isnan(away), axis=1) >= LEAST_POINTS
    far = np.flatnonzero(known & (scores > FAR))
    return [int(row) for row in far[np.argsort(-scores[far], kind="stable")][:MOST]]
