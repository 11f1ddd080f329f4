"""Round numbers for an axis."""

from __future__ import annotations

import math


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round values within `[low, high]`, evenly apart by 1, 2 or 5 times a power of ten.

    Empty where the span is not a finite, positive number.
    """
    span = high - low
    if not math.isfinite(span) or span <= 0 or most < 1:
        return []
    magnitude = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 5, 10, 20, 50):
        step = factor * magnitude
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first + 1 <= most:
            return [index * step for index in range(first, last + 1)]
    return []


def tick_label(value: float, step: float) -> str:
    """`value` with as many decimals as the distance between ticks needs."""
    if step >= 1 or step <= 0:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.1e}"
    decimals = min(6, -math.floor(math.log10(step)))
    return f"{value:.{decimals}f}"
