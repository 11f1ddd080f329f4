"""Charts of metrics. The one file that knows plotext, fed with nothing that could hurt it.

Measured on plotext 5.3: infinity raises, so do numbers whose products overflow, and a spike far outside the limits
costs seconds. So only few, finite points go in, cut to the limits (`strokes.py`), as shares of width and height; what
is not finite is drawn as a mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
from textual.app import RenderResult
from textual.color import Color
from textual.content import Content, Span
from textual.style import Style
from textual_plotext import PlotextPlot

from ugro_tui.core.archive import Floats
from ugro_tui.core.chart_view import ChartView
from ugro_tui.core.numbers import count, plain
from ugro_tui.ui.chart_title import name_of
from ugro_tui.ui.plane import Field, Plane
from ugro_tui.ui.shade import NO_DOTS, shade
from ugro_tui.ui.spark import sparkline
from ugro_tui.ui.strokes import Band, Drawing, Stroke, Trace, drawing, sign_places
from ugro_tui.ui.ticks import x_ticks, y_ticks

SMALLEST: Final = (24, 6)
"""Cells below which axes would leave no room for the data."""

_AXES = 2
"""Lines below the data: the axis and its labels."""

_X_CELLS, _Y_CELLS = 14, 3
"""Cells a tick along the axes."""

_TONES: Final = {
    "line0": ("accent", 1.0), "line1": ("success", 1.0), "line2": ("primary", 1.0), "line3": ("foreground", 1.0),
    "raw0": ("accent", 0.4), "raw1": ("success", 0.4), "raw2": ("primary", 0.4), "raw3": ("foreground", 0.4),
    "outlier": ("error", 1.0), "bad": ("error", 1.0), "restart": ("warning", 0.6), "axes": ("foreground", 0.55),
    "band": ("foreground", 0.22), "cursor": ("foreground", 0.7), "point": ("foreground", 1.0),
}  # fmt: skip
"""What is drawn in which of the theme's colours, and how much of it is mixed into the background."""

BAD, POINT = "✖", "◆"
"""What stands where a record was no number, and where the cursor is."""


class ChartCanvas(PlotextPlot):
    """Curves on one scale: a band, outlier ranks, marks where something was no number and where a run began anew."""

    DEFAULT_CSS = "ChartCanvas { background: $surface; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._traces: tuple[Trace, ...] = ()
        self._view = ChartView()
        self._note = "nothing recorded yet"
        self._edition = 0
        self._drawn: tuple[object, ...] = ()
        self._picture: RenderResult = ""
        self._made: Drawing | None = None
        self._like: tuple[object, ...] = ()
        self._field: Field | None = None

    def put(self, traces: Sequence[Trace], view: ChartView, note: str | None = None) -> None:
        """Draw these from now on, when that is something else than before; `note` is said where there is nothing."""
        before = self._identity()
        self._traces, self._view = tuple(traces), view
        self._note = self._note if note is None else note
        if self._identity() != before:
            self._edition += 1
            self.refresh()

    def made(self) -> Drawing | None:
        """What is drawn, made now where it was not drawn yet."""
        self.render()
        return self._made

    @property
    def columns(self) -> int:
        """How many columns the data have; 0 before they are drawn, and where there is no room for axes."""
        return 0 if self._field is None else self._field.columns

    def x_at(self, column: int) -> float | None:
        """The x at a column of the widget; None where nothing is drawn there."""
        return None if self._field is None else self._field.x_at(column)

    def _identity(self) -> tuple[object, ...]:
        return (*((trace.name, id(trace.curve)) for trace in self._traces), self._view, self._note)

    def render(self) -> RenderResult:
        """The chart, drawn again only when curves, view, size or theme changed."""
        width, height = self.size
        key = (self._edition, width, height, self.app.theme)
        if key != self._drawn:
            self._drawn, self._picture = key, self._draw(width, height)
        return self._picture

    def _draw(self, width: int, height: int) -> RenderResult:
        self._field = None
        like = (self._view, width, height, *(trace.name for trace in self._traces))
        before = self._made.plane if self._made is not None and like == self._like else None
        self._like = like
        self._made = made = drawing(self._traces, self._view, width, before)
        if made is None:
            return Content.styled(self._excuse(), "$text-muted")
        if width < SMALLEST[0] or height < SMALLEST[1]:
            return brief(next(trace for trace in self._traces if len(trace.curve.median)), width)
        self.plt.clear_figure()
        self._field = self._axes(made, width, height)
        self._data(made, self._field)
        return self._built(made.band, self._field)

    def _excuse(self) -> str:
        """Why there is nothing to see, and what to do where something can be done."""
        if self._view.log and any((trace.curve.median <= 0).any() for trace in self._traces):
            return "nothing above 0 to draw on a log scale: y goes back"
        bad = next((trace.curve.bad for trace in self._traces if trace.curve.bad), ())
        return f"no number among its values: NaN or infinite since step {count(bad[0][1])}" if bad else self._note

    def _axes(self, made: Drawing, width: int, height: int) -> Field:
        plot, plane = self.plt, made.plane
        rows = height - _AXES
        plot.xaxes(True, False)
        plot.yaxes(True, False)
        plot.xlim(0, 1)
        plot.ylim(0, 1)
        x = x_ticks(self._view.axis, plane.left, plane.right, max(2, width // _X_CELLS))
        y = y_ticks(plane.bottom, plane.top, max(3, rows // _Y_CELLS), log=self._view.log)
        for ticks, place, put in ((x, plane.across, plot.xticks), (y, plane.up, plot.yticks)):
            put(place(np.array([at for at, _ in ticks])).tolist(), [text for _, text in ticks])
        labels = max((len(text) for _, text in y), default=0)
        return Field(plane, labels + 1, max(1, width - labels - 1), rows)

    def _data(self, made: Drawing, field: Field) -> None:
        plane = field.plane
        for x in plane.across(made.restarts).tolist():
            self._upright(x, field.rows, "restart")
        if made.cursor is not None:
            self._upright(float(plane.across(made.cursor.x)[0]), field.rows, "cursor")
        for stroke in made.strokes:
            self._line(stroke, plane)
        for stroke, x, y in sign_places(made.strokes, field):
            self._scatter(x, y, stroke.tone, stroke.glyph)
        self._scatter(plane.across(made.bad), np.ones(len(made.bad)), "bad", BAD)
        if made.cursor is not None:
            self._scatter(plane.across(made.cursor.x), np.clip(plane.up(made.cursor.y), 0, 1), "point", POINT)

    def _line(self, stroke: Stroke, plane: Plane) -> None:
        color = self._rgb(stroke.tone)
        for x, y in stroke.pieces:
            self.plt.plot(plane.across(x).tolist(), plane.up(y).tolist(), color=color, marker="braille")

    def _upright(self, x: float, rows: int, tone: str) -> None:
        """A line from below to above: plotext's own would lie behind the band."""
        self._scatter(np.full(rows, x), np.linspace(0, 1, rows), tone, "│")

    def _scatter(self, x: Floats, y: Floats, tone: str, marker: str) -> None:
        if len(x):
            self.plt.scatter(x.tolist(), y.tolist(), color=self._rgb(tone), marker=marker)

    def _built(self, band: Band | None, field: Field) -> Content:
        """What plotext makes of it, taken from its cells: its text would first have to be made and then be read."""
        plot: Any = self.plt  # its own parts, not those of its wrapper
        plot.plotsize(*self.size)
        plot._set_size(*self.size)  # as textual-plotext does: without it a new size is not always taken
        plot.ticks_color(self._rgb("axes"))
        plot._set_sizes()
        plot._build_matrix()
        matrix = plot.monitor.matrix
        if band is not None:
            self._fill(matrix.marker, matrix.fullground, shade(band, field), field.first)
        rows = zip(reversed(matrix.marker), reversed(matrix.fullground), strict=True)
        return Content("\n").join(_row(markers, colors) for markers, colors in rows)

    def _fill(self, markers: list[list[str]], colors: list[list[object]], cells: list[str], first: int) -> None:
        """Put the band behind all: where nothing else stands. Through plotext it would cost more than all the rest."""
        color = self._rgb("band")
        for row, text in enumerate(cells, _AXES):
            line = markers[row]
            for column, dots in enumerate(text, first):
                if dots != NO_DOTS and line[column] == " ":
                    line[column], colors[row][column] = dots, color

    def _rgb(self, tone: str) -> tuple[int, int, int]:
        name, strength = _TONES[tone]
        return self._color("surface").blend(self._color(name), strength).rgb

    def _color(self, name: str) -> Color:
        return Color.parse(self.app.theme_variables[name])


def _row(markers: list[str], colors: list[object]) -> Content:
    """One line of cells, those of one colour in one span."""
    spans, begin = [], 0
    for color, run in groupby(colors):
        end = begin + len(list(run))
        if isinstance(color, tuple):
            spans.append(Span(begin, end, Style(foreground=Color(*color))))
        begin = end
    return Content("".join(markers), spans)


def brief(trace: Trace, width: int) -> Content:
    """A chart for which there is no room: the newest value, and a sparkline beside it."""
    curve = trace.curve
    text = f"{name_of(trace)} {plain(float(curve.median[-1]))} "
    room = min(width - len(text), len(curve.median))
    if room < 4:
        return Content(text.rstrip())
    places = np.linspace(0, len(curve.median) - 1, room).astype(int)
    return Content.assemble(text, (sparkline(curve.median[places].tolist()), "$accent"))
