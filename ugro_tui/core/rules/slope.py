"""Where a series is heading: slopes that a few odd points do not move."""

from __future__ import annotations

import numpy as np

from ugro_tui.core.rules.latch import Floats

NORMAL_95 = 1.96


def resistant_slope(times: Floats, values: Floats) -> Floats:
    """The slope of each column per second: Tukey's resistant line, from the medians of the first and last third.

    `times` has shape `[n]`, ascending, `values` `[n, columns]`; NaN where a third has no values, or `n` is below 6.
    """
    third = len(times) // 3
    if third < 2:
        return np.full(values.shape[1], np.nan)
    span = np.median(times[-third:]) - np.median(times[:third])
    slope: Floats = (_median(values[-third:]) - _median(values[:third])) / span
    return slope


def _median(values: Floats) -> Floats:
    """Of each column; NaN where one of its values is."""
    middle: Floats = np.median(values, axis=0)
    return middle


def flat(x: Floats, y: Floats) -> bool:
    """Whether the 95 % interval of the slope of a straight line through the points includes 0."""
    x = x - x.mean()
    spread = float((x**2).sum())
    if spread <= 0:
        return False
    slope = float((x * y).sum()) / spread
    residual = y - y.mean() - slope * x
    error = float(np.sqrt((residual**2).sum() / (len(x) - 2) / spread))
    return abs(slope) <= NORMAL_95 * error
