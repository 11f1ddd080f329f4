"""Sparklines as strings of block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_BAD = "!"


def sparkline(values: Sequence[float]) -> str:
    """One character a value, scaled between the least and the greatest; blanks before the first that is known.

    A value between known ones that is not finite is marked `!`: there the loss was not a number.
    """
    halves = [value / 2 for value in values]  # the span of two floats may exceed what a float holds
    known = [half for half in halves if math.isfinite(half)]
    if not known:
        return " " * len(values)
    least = min(known)
    span = max(known) - least
    cells = [level((half - least) / span if span > 0 else 0.0) for half in halves]
    first = next(index for index, half in enumerate(halves) if math.isfinite(half))
    return " " * first + "".join(cells[first:])


def level(share: float) -> str:
    """The block that is so high: 0 to 1; `!` where that is no number."""
    return _BLOCKS[min(7, int(share * 8))] if math.isfinite(share) else _BAD
