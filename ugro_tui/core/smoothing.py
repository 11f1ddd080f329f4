"""Smoothing as TensorBoard does it, so that a line looks the same in both."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ugro_tui.core.archive import Floats

WEIGHTS: Final = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
"""The levels that keys step through: TensorBoard's slider goes from 0 to 0.99, and 0.6 is where it stands at first."""


def smoothed(values: Floats, weight: float) -> Floats:
    """The exponential moving average of `values` (shape `[points]`), without the pull of its start towards zero.

    The same as `classicSmoothing` in TensorBoard's `line_chart_v2/data_transformer.ts`: each step keeps `weight` of
    what was and takes the rest from the value; what is not finite is passed on and changes nothing. `weight` < 1.
    """
    if weight <= 0:
        return values
    found = np.empty(len(values))
    kept, told = 0.0, 1.0
    for index, value in enumerate(values.tolist()):
        if math.isfinite(value):
            kept = kept * weight + (1 - weight) * value
            told *= weight
            value = kept / (1 - told)
        found[index] = value
    return found
