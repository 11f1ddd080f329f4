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
    least, most = values[known].min(), values[known].max()
    span = most - least
    level = np.zeros(len(values), np.intp)
    if span > 0:
        level[known] = ((values[known] - least) / span * 7.999).astype(np.intp)
    cells = np.where(known, _BLOCKS[level], _BAD)
    cells[: int(known.argmax())] = " "
    return "".join(cells)
