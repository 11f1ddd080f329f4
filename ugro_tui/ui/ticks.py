"""Round numbers for an axis."""

from __future__ import annotations

import math
from typing import Final

from ugro_tui.core.curve import Axis
from ugro_tui.core.numbers import compact

_CLOCK: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Seconds between the ticks of a time axis; beyond them round numbers of days."""

_DAY: Final = 86_400

_LONGEST_LABEL: Final = 9
"""Cells that a label takes only where it needs them all."""


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
    """`value` with as many digits as the distance between ticks needs; with an exponent where that is shorter."""
    place = math.floor(math.log10(step)) if step > 0 else 0
    whole = f"{value:,.{max(0, -place)}f}" if place > -_LONGEST_LABEL else ""
    if 0 < len(whole) < _LONGEST_LABEL:
        return whole
    if abs(value) < step / 2:
        return "0"
    short = f"{value:.{max(1, math.floor(math.log10(abs(value))) - place)}e}"
    return whole if 0 < len(whole) < len(short) else short


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between ten to the power of `low` and of `high`, at most `most`: 1, 2 and 5 where there is room.

    Within less than a decade they are evenly apart. Empty where the span is not a finite, positive number.
    """
    if not math.isfinite(high - low) or high <= low or most < 1:
        return []
    if high - low < 1 and abs(high) < 300:
        return [tick for tick in round_ticks(10.0**low, 10.0**high, most) if tick > 0]
    decades = range(max(-307, math.ceil(low)), min(307, math.floor(high)) + 1)
    for factors, every in ((1, 2, 5), 1), ((1,), 1), *(((1,), apart) for apart in (2, 5, 10, 20, 50, 100, 200, 500)):
        powers = [power for power in decades if power % every == 0]
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(ticks) <= most:
            return ticks
    return []


def time_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` times within `[low, high]` seconds that stand on a clock: whole minutes, hours or days."""
    if not math.isfinite(high - low) or high <= low or most < 1:
        return []
    for step in _CLOCK:
        if (high - low) / step < most + 1:
            first, last = math.ceil(low / step), math.floor(high / step)
            if last - first + 1 <= most:
                return [index * float(step) for index in range(first, last + 1)]
    return [day * _DAY for day in round_ticks(low / _DAY, high / _DAY, most)]


def time_label(seconds: float) -> str:
    """A time since the beginning, in the units that it needs: 45s, 10m, 1h30m, 2d6h; below a second as it is."""
    if seconds != round(seconds):
        return f"{seconds:.3g}s"
    whole = int(abs(seconds))
    if whole >= 1000 * _DAY:
        return compact(seconds / _DAY) + "d"
    parts = ((whole // _DAY, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    told = [f"{count}{unit}" for count, unit in parts if count]
    return ("-" if seconds < 0 else "") + ("".join(told[:2]) or "0")


def x_ticks(axis: Axis, low: float, high: float, most: int) -> list[tuple[float, str]]:
    """The ticks of an x axis and how they read."""
    if axis is Axis.TIME and high - low >= most:
        return [(tick, time_label(tick)) for tick in time_ticks(low, high, most)]
    ticks = round_ticks(low, high, most)
    if axis is not Axis.TIME:
        ticks = [tick for tick in ticks if tick == round(tick)]  # there is no half of a step
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    if axis is Axis.STEP and abs(high) < 1e6:
        return [(tick, tick_label(tick, step)) for tick in ticks]
    return [(tick, time_label(tick) if axis is Axis.TIME else count_label(tick, step)) for tick in ticks]


def y_ticks(low: float, high: float, most: int, *, log: bool) -> list[tuple[float, str]]:
    """The ticks of a y axis and how they read; on a log scale `low`, `high` and the ticks are powers of ten."""
    if log:
        return [(math.log10(tick), log_label(tick)) for tick in log_ticks(low, high, most)]
    ticks = round_ticks(low, high, most)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return [(tick, tick_label(tick, step)) for tick in ticks]


def count_label(value: float, step: float) -> str:
    """A large count as short as the distance between ticks allows: 950, 12.3k, 1.25M, 20B tokens read as 20G."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size <= abs(value) < 1000 * size:
            decimals = max(0, -math.floor(math.log10(step / size) + 1e-9)) if step > 0 else 0
            return f"{value / size:.{min(6, decimals)}f}{unit}"
    return tick_label(value, step)


def log_label(value: float) -> str:
    """A value on a log scale, in as few digits as it has."""
    return f"{value:,.6g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3g}"
