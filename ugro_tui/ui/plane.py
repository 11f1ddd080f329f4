"""The part of the plane that a chart shows, and the cells that it is drawn in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ugro_tui.core.archive import Floats
from ugro_tui.core.chart_view import Range
from ugro_tui.core.sorting import median

Bools: TypeAlias = npt.NDArray[np.bool_]

LEAST_SPAN: Final = 1e-3
"""Of the size of the values, the height of a chart at the least: of noise in the last digit no drama is made."""

OUTLIER_REACH: Final = 2.0
"""Heights of the rest by which outlier ranks may widen a chart: they are to be seen, and the rest too."""

HEADROOM: Final = 0.2
"""Of its width, what a chart that grows leaves free on the right: until that is used up nothing else moves."""

LEAST_USED: Final = (0.75, 0.6)
"""Shares of width and height that have to be used: below them a chart shows more closely what there is."""

MARGIN: Final = 0.05
"""Of the height, what is left free above and below."""

_LOG_SPAN: Final = 0.02
"""Decades that a log scale shows at the least."""


@dataclass(frozen=True, slots=True)
class Plane:
    """What is drawn of the plane; y is the logarithm (base 10) on a log scale."""

    left: float
    right: float
    bottom: float
    top: float

    def holds(self, x: Floats) -> Bools:
        """Which of `x` lie in it."""
        return (x >= self.left) & (x <= self.right)

    def across(self, x: Floats) -> Floats:
        """How far to the right `x` lies, 0 to 1."""
        return (x - self.left) / (self.right - self.left)

    def up(self, y: Floats) -> Floats:
        """How far up `y` lies, 0 to 1."""
        return (y - self.bottom) / (self.top - self.bottom)


@dataclass(frozen=True, slots=True)
class Field:
    """The cells that data are drawn in: `first` of the widget's columns is theirs, and `columns` x `rows` of cells."""

    plane: Plane
    first: int
    columns: int
    rows: int

    def x_at(self, column: int) -> float:
        """The x of a column of the widget, at the edge for one beside the data."""
        place = max(0, min(self.columns - 1, column - self.first))
        share = place / max(1, self.columns - 1)
        return self.plane.left + share * (self.plane.right - self.plane.left)


def limits(
    across: Range, lines: Sequence[Floats], band: tuple[Floats, Floats] | None, outer: Sequence[Floats], *, log: bool
) -> Plane:
    """What to draw: all of `across`, and the values without those so far out that they would flatten the rest.

    `lines` are the y of what matters most, `band` the lows and highs around it, `outer` the y of outlier ranks. The
    band is seen as far as it is as wide as usual.
    """
    values = np.concatenate([line for line in lines if len(line)])
    low, high = _ends(values)
    size = max(abs(low), abs(high))
    span = max(high - low, _LOG_SPAN if log else size * LEAST_SPAN) or 1.0
    reach = OUTLIER_REACH * (span if log else max(span, size / 2))
    lows, highs = band if band is not None and len(band[0]) else (values, values)
    slack = max(span / 2, min(median(highs - lows), reach))
    bottom = max(min(float(lows.min()), float(values.min())), low - slack)
    top = min(max(float(highs.max()), float(values.max())), high + slack)
    beside = [line for line in outer if len(line)]
    if beside:
        far = np.concatenate(beside)
        bottom = min(bottom, max(float(far.min()), low - reach))
        top = max(top, min(float(far.max()), high + reach))
    if not top - bottom > 1e-9 * max(abs(top), abs(bottom)):
        bottom, top = bottom - span / 2, top + span / 2
    margin = (top - bottom) * MARGIN
    left, right = across
    if not right - left > 1e-9 * max(abs(left), abs(right)):
        right = left + max(1.0, abs(left) * 1e-3)
    return Plane(left, right, bottom - margin, top + margin)


def steady(plane: Plane, before: Plane | None) -> Plane:
    """What to draw after `before` was: the same as long as it fits, for what does not move need not be sent."""
    if before is None:
        return plane
    width, height = before.right - before.left, before.top - before.bottom
    slack = height * MARGIN
    fits = before.left <= plane.left and plane.right <= before.right
    fits &= plane.bottom >= before.bottom - slack and plane.top <= before.top + slack
    wide, high = LEAST_USED
    used = plane.right - plane.left >= wide * width and plane.top - plane.bottom >= high * height
    if fits and used:
        return before
    grows = before.left == plane.left and plane.right > before.right
    return replace(plane, right=plane.right + HEADROOM * (plane.right - plane.left)) if grows else plane


def _ends(values: Floats) -> tuple[float, float]:
    """Their 1st and 99th percentile, interpolated. As `np.percentile`, which imports `numpy.ma`: time of the start."""
    last = len(values) - 1
    low, high = np.interp((0.01 * last, 0.99 * last), np.arange(len(values)), np.sort(values))
    return float(low), float(high)
