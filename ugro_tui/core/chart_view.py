"""How a chart is looked at: its axes, smoothing, window and cursor, and what the keys make of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from ugro_tui.core.archive import Floats
from ugro_tui.core.curve import Axis, Curve
from ugro_tui.core.smoothing import WEIGHTS
from ugro_tui.core.sorting import distinct

Range: TypeAlias = tuple[float, float]
"""From where to where on the x axis, left below right."""

NEAREST: Final = 1e-4
"""The least part of a run that a window shows: 10 steps of 100,000."""

ZOOM: Final = 0.5
PAN: Final = 0.25
"""Of the window: what is left of it by one zoom, and how far one pan goes."""


@dataclass(frozen=True, slots=True)
class ChartView:
    """How a chart is looked at. `window`: the part of the x axis that is shown; None is all, and follows what is new.

    `cursor` is the x of a point. All numbers are in the unit of `axis`.
    """

    axis: Axis = Axis.STEP
    log: bool = False
    level: int = 0
    outliers: bool = True
    window: Range | None = None
    cursor: float | None = None

    @property
    def weight(self) -> float:
        """How much is smoothed, 0 to 0.99."""
        return WEIGHTS[self.level]

    def smoother(self, levels: int) -> ChartView:
        """Smooth by so many levels more; less where negative."""
        return replace(self, level=max(0, min(len(WEIGHTS) - 1, self.level + levels)))

    def zoomed(self, extent: Range, factor: float, at: float | None = None) -> ChartView:
        """Show `factor` times as much, around `at`, else the cursor, else the middle; all where that is all.

        `extent` is the whole x axis, here and below.
        """
        left, right = self.window or extent
        whole = extent[1] - extent[0]
        size = max((right - left) * factor, whole * NEAREST)
        if not 0 < size < whole:
            return replace(self, window=None)
        middle = next((x for x in (at, self.cursor) if x is not None and left <= x <= right), (left + right) / 2)
        share = (middle - left) / (right - left)
        return self._within(extent, middle - share * size, size)

    def panned(self, extent: Range, share: float) -> ChartView:
        """Move the window by a share of its width; nothing where all is shown."""
        if self.window is None:
            return self
        size = self.window[1] - self.window[0]
        return self._within(extent, self.window[0] + share * size, size)

    def pointed(self, x: float) -> ChartView:
        """Put the cursor there."""
        return replace(self, cursor=x)

    def moved(self, points: Floats, by: int, extent: Range) -> ChartView:
        """Move the cursor by so many of `points` (ascending, finite); it begins at the newest that is shown.

        The window goes along where the cursor would leave it.
        """
        if not len(points):
            return self
        if self.cursor is None:
            right = points[-1] if self.window is None else self.window[1]
            place = int(np.searchsorted(points, right, side="right")) - 1
        else:
            place = int(np.abs(points - self.cursor).argmin()) + by
        cursor = float(points[max(0, min(len(points) - 1, place))])
        return replace(self, cursor=cursor)._following(extent)

    def over(self, axis: Axis, curve: Curve) -> ChartView:
        """Draw over another axis; window and cursor stay with the points of `curve` that they were at."""
        old, new = curve.x(self.axis), curve.x(axis)
        known = np.isfinite(old) & np.isfinite(new)
        changed = replace(self, axis=axis, window=None, cursor=None)
        if not known.any():
            return changed
        old, new = old[known], new[known]
        cursor = None if self.cursor is None else float(np.interp(self.cursor, old, new))
        left, right = (float(np.interp(x, old, new)) for x in self.window or (0.0, 0.0))
        return replace(changed, cursor=cursor, window=(left, right) if left < right else None)

    def peeled(self) -> ChartView:
        """Without the cursor; without the window where there was none."""
        return replace(self, cursor=None) if self.cursor is not None else replace(self, window=None)

    def _within(self, extent: Range, left: float, size: float) -> ChartView:
        left = max(extent[0], min(left, extent[1] - size))
        return replace(self, window=(left, left + size))

    def _following(self, extent: Range) -> ChartView:
        if self.window is None or self.cursor is None or self.window[0] <= self.cursor <= self.window[1]:
            return self
        size = self.window[1] - self.window[0]
        return self._within(extent, self.cursor - size / 2, size)


def next_axis(axis: Axis, curve: Curve) -> Axis:
    """The axis after this one that `curve` can be drawn over."""
    axes = list(Axis)
    place = axes.index(axis)
    return next((other for other in axes[place + 1 :] + axes[:place] if curve.has(other)), axis)


def between(axis: Axis, found: Axis) -> list[Axis]:
    """The axes that are passed over on the way from `axis` on to `found`."""
    axes = list(Axis)
    place = axes.index(axis) + 1
    onward = axes[place:] + axes[:place]
    return onward[: onward.index(found)]


def extent_of(curves: tuple[Curve, ...], axis: Axis) -> Range | None:
    """From the first to the last point of all curves, and to the records that were no number; None without any."""
    found = [x[np.isfinite(x)] for curve in curves for x in (curve.x(axis), bad_x(curve, axis))]
    ends = [end for x in found if len(x) for end in (float(x[0]), float(x[-1]))]
    return (min(ends), max(ends)) if ends else None


def bad_x(curve: Curve, axis: Axis) -> Floats:
    """Where the records that were no number lie, ascending; beyond the last point only steps are known."""
    steps = distinct(np.array([step for _, step in curve.bad], float))
    if axis is Axis.STEP:
        return steps
    x = curve.x(axis)
    known = np.isfinite(x)
    return np.interp(steps, curve.steps[known], x[known]) if known.any() else np.empty(0)


@dataclass(frozen=True, slots=True)
class Reading:
    """The values of a curve at one point: `outliers` are (rank, value). `x` is on the axis that was asked for."""

    x: float
    step: float
    median: float
    low: float
    high: float
    outliers: tuple[tuple[int, float], ...]


def reading(curve: Curve, axis: Axis, x: float) -> Reading | None:
    """The values at the point nearest to `x`; None where no point lies on the axis."""
    along = curve.x(axis)
    if not np.isfinite(along).any():
        return None
    return _read_at(curve, along, int(np.nanargmin(np.abs(along - x))))


def reading_before(curve: Curve, axis: Axis, x: float) -> Reading | None:
    """The values at the last point that was not behind `x`: what was known there; None where there was none."""
    along = curve.x(axis)
    known = np.flatnonzero(along <= x)  # those that are not known are not
    return _read_at(curve, along, int(known[along[known].argmax()])) if len(known) else None


def _read_at(curve: Curve, along: Floats, at: int) -> Reading:
    told = tuple((line.rank, float(line.values[at])) for line in curve.outliers if np.isfinite(line.values[at]))
    x, step, median, low, high = (float(part[at]) for part in (along, curve.steps, curve.median, curve.low, curve.high))
    return Reading(x, step, median, low, high, told)
