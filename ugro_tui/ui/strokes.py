"""What a chart draws, as numbers: lines in pieces, a band, marks, and the part of the plane that holds them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ugro_tui.core.archive import Floats, Lines
from ugro_tui.core.binning import LARGEST
from ugro_tui.core.chart_view import ChartView, bad_x, extent_of
from ugro_tui.core.compared import SIGNS
from ugro_tui.core.curve import Curve
from ugro_tui.core.ends import Ends
from ugro_tui.core.smoothing import smoothed
from ugro_tui.core.sorting import distinct, median
from ugro_tui.ui.plane import Field, Plane, limits, steady

Piece: TypeAlias = tuple[Floats, Floats]
"""x (ascending) and y of points that are joined."""

GAP: Final = 8.0
"""A hole is this many times as wide as the usual distance between points, and a fiftieth of the chart at the least."""

DOT: Final = "●"
"""A point that no line leads to: one of braille would hardly be seen."""

MOST_TRACES: Final = len(SIGNS)
"""Curves that can be told apart in one chart."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A curve by its name. `lines`: what it was made of, where a zoom is to show more than the curve holds.

    `known`: what it came to, for the title, where someone knows that better than the curve.
    """

    name: str
    curve: Curve
    lines: Lines | None = None
    known: Ends | None = None

    @property
    def ends(self) -> Ends:
        """What it came to."""
        return self.curve.ends if self.known is None else self.known


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points that are drawn, x ascending; where `piece` changes the line begins anew. Shapes `[points]`."""

    x: Floats
    y: Floats
    piece: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """What lies between the lowest and the highest value, in pieces of x, low and high."""

    pieces: tuple[tuple[Floats, Floats, Floats], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """A line in its pieces. `tone` says how it is coloured, `glyph` what stands at its end: colour is not all."""

    pieces: tuple[Piece, ...]
    tone: str
    glyph: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """All that is drawn, `strokes` from back to front. `bad` and `restarts` are x values, `cursor` is one point.

    `hidden`: how many points a log scale cannot show.
    """

    plane: Plane
    strokes: tuple[Stroke, ...]
    band: Band | None
    bad: Floats
    restarts: Floats
    cursor: Points | None
    hidden: int


class _Shown:
    """A curve as a view shows it."""

    def __init__(self, curve: Curve, view: ChartView) -> None:
        self.curve, self._view = curve, view
        self.x = curve.x(view.axis)
        begins = np.zeros(len(self.x) + 1, np.intp)
        np.add.at(begins, np.searchsorted(curve.steps, np.array(curve.restarts)), 1)
        self._piece = np.cumsum(begins)[: len(self.x)]

    def points(self, values: Floats) -> Points:
        """Those of `values` (shape `[points]` of the curve) that can be drawn."""
        keep = np.isfinite(self.x) & np.isfinite(values)
        if self._view.log:
            keep &= values > 0
        y = np.log10(values[keep]) if self._view.log else np.clip(values[keep], -LARGEST, LARGEST)
        return Points(self.x[keep], y, self._piece[keep])

    @property
    def hidden(self) -> int:
        """How many points of the median cannot be drawn although they lie on the axis."""
        return int(np.isfinite(self.x).sum()) - len(self.points(self.curve.median).x)

    @property
    def banded(self) -> bool:
        """Whether lows and highs say more than the median."""
        return bool((self.curve.high > self.curve.low).any())

    @property
    def edges(self) -> tuple[Points, Points]:
        """Lows and highs of the same points; a low that a log scale cannot show lies far below all."""
        low, high = self.curve.low, self.curve.high
        if self._view.log:
            low = np.where(high > 0, np.maximum(low, np.finfo(float).tiny), np.nan)
        known = np.isfinite(low) & np.isfinite(high)
        return self.points(np.where(known, low, np.nan)), self.points(np.where(known, high, np.nan))

    @property
    def outliers(self) -> list[Points]:
        """The lines of outlier ranks, as far as they are wanted."""
        return [self.points(line.values) for line in self.curve.outliers] if self._view.outliers else []

    @property
    def smooth(self) -> Points:
        """The median, smoothed."""
        return self.points(smoothed(self.curve.median, self._view.weight))

    @property
    def restarts(self) -> Floats:
        """Where the run began anew, on the axis of the view."""
        steps = np.array(self.curve.restarts)
        places = np.searchsorted(self.curve.steps, steps)
        return self.x[places[places < len(self.x)]] if len(self.x) else np.empty(0)


def drawing(traces: Sequence[Trace], view: ChartView, columns: int, before: Plane | None = None) -> Drawing | None:
    """What a chart of `columns` cells shows, on the plane of `before` as long as all fits into that.

    None where there is no point that it could show.
    """
    shown = [_Shown(trace.curve, view) for trace in traces[:MOST_TRACES]]
    medians = [one.points(one.curve.median) for one in shown]
    extent = extent_of(tuple(one.curve for one in shown), view.axis)
    across = view.window or extent
    if across is None or not any(len(points.x) for points in medians):
        return None
    banded = [one for one in shown if one.banded]
    around = banded[0] if len(banded) == 1 else None
    plane = _plane(across, medians, around, [points for one in shown for points in one.outliers], view)
    plane = plane if view.window is not None else steady(plane, before)
    return Drawing(
        plane,
        tuple(_strokes(shown, view, plane, columns)),
        None if around is None else _band(around, plane),
        bad=_marks([bad_x(one.curve, view.axis) for one in shown], plane),
        restarts=_marks([one.restarts for one in shown], plane),
        cursor=_cursor(shown[0], view),
        hidden=sum(one.hidden for one in shown) if view.log else 0,
    )


def _plane(
    across: tuple[float, float], medians: list[Points], around: _Shown | None, outer: list[Points], view: ChartView
) -> Plane:
    inside = [_inside(points, across) for points in medians]
    if not any(len(y) for y in inside):
        inside = [points.y for points in medians]
    low, high = (_inside(points, across) for points in around.edges) if around is not None else (None, None)
    beside = [_inside(points, across) for points in outer]
    return limits(across, inside, None if low is None or high is None else (low, high), beside, log=view.log)


def _inside(points: Points, across: tuple[float, float]) -> Floats:
    return points.y[(points.x >= across[0]) & (points.x <= across[1])]


def _strokes(shown: list[_Shown], view: ChartView, plane: Plane, columns: int) -> Iterator[Stroke]:
    outer = [points for one in shown for points in one.outliers]
    for place, points in enumerate(outer):
        yield Stroke(pieces(points, plane, columns), "outlier", letter(place))
    for place, one in enumerate(shown):
        if view.weight:
            yield Stroke(pieces(one.points(one.curve.median), plane, columns), f"raw{place}")
    for place, one in enumerate(shown):
        alone = DOT if len(one.smooth.x) == 1 else ""
        sign = SIGNS[place] if len(shown) > 1 else alone
        yield Stroke(pieces(one.smooth, plane, columns), f"line{place}", sign)


def letter(place: int) -> str:
    """What the line of an outlier rank is called in a chart."""
    return "abcdefghijklmnopqrstuvwxyz"[place % 26]


def sign_places(strokes: Sequence[Stroke], field: Field) -> Iterator[tuple[Stroke, Floats, Floats]]:
    """Where the glyphs of strokes stand, as shares of the field in arrays of one: at their ends, or before them where
    another one stands."""
    taken = set[tuple[int, int]]()
    for stroke in strokes:
        if not (stroke.glyph and stroke.pieces):
            continue
        x, y = field.plane.across(stroke.pieces[-1][0]), field.plane.up(stroke.pieces[-1][1])
        back = range(len(x) - 1, -1, -1)
        at = next((place for place in back if _cell(x[place], y[place], field) not in taken), len(x) - 1)
        taken.add(_cell(x[at], y[at], field))
        yield stroke, x[at : at + 1], y[at : at + 1]


def _cell(x: float, y: float, field: Field) -> tuple[int, int]:
    """The cell of a point by its shares of the field."""
    return round(x * (field.columns - 1)), round(y * (field.rows - 1))


def _band(one: _Shown, plane: Plane) -> Band:
    low, high = one.edges
    parts = _parts(high, plane)
    low_y, high_y = (np.clip(points.y, plane.bottom, plane.top) for points in (low, high))
    return Band(tuple((high.x[part], low_y[part], high_y[part]) for part in parts))


def _marks(found: list[Floats], plane: Plane) -> Floats:
    marks = distinct(np.concatenate(found))
    return marks[plane.holds(marks)]


def _cursor(first: _Shown, view: ChartView) -> Points | None:
    points = first.smooth
    if view.cursor is None or not len(points.x):
        return None
    at = int(np.abs(points.x - view.cursor).argmin())
    here = slice(at, at + 1)
    return Points(points.x[here], points.y[here], points.piece[here])


def pieces(points: Points, plane: Plane, columns: int) -> tuple[Piece, ...]:
    """The line through `points` as far as it lies in `plane`, in joined pieces of few points."""
    cut = [_cut(points.x[part], points.y[part], plane) for part in _parts(points, plane)]
    return tuple(_thinned(x, np.clip(y, plane.bottom, plane.top), plane, columns) for x, y in cut if len(x))


def _parts(points: Points, plane: Plane) -> list[slice]:
    """What is joined: up to a restart, or a hole."""
    if not len(points.x):
        return []
    apart = np.diff(points.x)
    usual = median(apart) if len(apart) else 0.0
    holes = apart > max(GAP * usual, (plane.right - plane.left) / 50)
    ends = [0, *(np.flatnonzero(holes | (np.diff(points.piece) != 0)) + 1).tolist(), len(points.x)]
    return [slice(begin, end) for begin, end in pairwise(ends)]


def _cut(x: Floats, y: Floats, plane: Plane) -> Piece:
    """The part within the plane; where the line goes on beyond an edge, a point on the edge."""
    first, last = int(np.searchsorted(x, plane.left)), int(np.searchsorted(x, plane.right, side="right"))
    before = [plane.left] if 0 < first < len(x) and x[first] > plane.left else []
    after = [plane.right] if 0 < last < len(x) and x[last - 1] < plane.right else []
    inner = np.concatenate([before, x[first:last], after])
    return inner, np.concatenate([np.interp(before, x, y), y[first:last], np.interp(after, x, y)])


def _thinned(x: Floats, y: Floats, plane: Plane, columns: int) -> Piece:
    """The lowest and the highest point of each column, and both ends: spikes stay, and so does what is newest."""
    if len(x) <= 2:
        return x, y
    column = np.floor(plane.across(x) * (columns - 1) + 0.5)
    ends = [0, *(np.flatnonzero(np.diff(column)) + 1).tolist(), len(x)]
    kept = {0, len(x) - 1}
    for begin, end in pairwise(ends):
        part = y[begin:end]
        kept |= {begin + int(part.argmin()), begin + int(part.argmax())}
    order = sorted(kept)
    return x[order], y[order]
