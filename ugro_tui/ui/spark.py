"""Sparklines as strings of block characters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BLOCKS = np.array(list("▁▂▃▄▅▆▇█"))
_BAD = "!"


def sparkline(values: npt.NDArray[np.floating]) -> str:
    """One character a value, scaled between the least and the greatest; a blank where there is none.

    A NaN between known values is marked `!`: there the loss was not a number.
    """
    known = np.isfinite(values)
    if not known.any():
        return " " * len(values)
    halves = values[known].astype(np.float64) / 2  # the span of two floats may exceed what a float holds
    span = halves.max() - halves.min()
    level = np.zeros(len(values), np.intp)
    if span > 0:
        level[known] = np.minimum((halves - halves.min()) / span * 8, 7).astype(np.intp)
    cells = np.where(known, _BLOCKS[level], _BAD)
    cells[: int(known.argmax())] = " "
    return "".join(cells)
