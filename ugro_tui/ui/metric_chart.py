"""A chart that keys and mouse can look into: cursor, zoom, pan, smoothing, axes, outliers, another metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Final

import numpy as np
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from ugro_tui.core.chart_view import PAN, ZOOM, ChartView, Range, between, extent_of, next_axis
from ugro_tui.core.curve import Axis, Curve, curve_of
from ugro_tui.core.sorting import distinct
from ugro_tui.ui.chart import ChartCanvas
from ugro_tui.ui.chart_title import metric_title, name_of
from ugro_tui.ui.strokes import MOST_TRACES, Trace

NOTHING: Final = "nothing recorded yet"

LEGEND_FROM: Final = 90
"""Cells from which on the title explains the lines."""

_CORNERS: Final = 2
"""Cells of a frame's upper edge beside those of its title, as wide as the chart below."""


@dataclass(frozen=True, slots=True, eq=False)
class _Detail:
    """What a window shows of a curve, made of its lines."""

    trace: Trace
    axis: Axis
    window: Range
    near: Curve

    def fits(self, trace: Trace, view: ChartView) -> bool:
        """Whether it is still what is to be shown."""
        same = trace.lines is self.trace.lines and trace.curve is self.trace.curve
        return same and (view.axis, view.window) == (self.axis, self.window)


class MetricChart(ChartCanvas, can_focus=True):
    """Curves that can be looked into. What they are comes by `show`; how they are looked at is `view`."""

    HELP_NAME = "Chart"
    HELP_WORDS: ClassVar[Mapping[str, str]] = {
        "line, band": "The ranks' median; lowest to highest",
        "last, min": "Mean of the newest; lowest of all",
    }

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "cursor(-1)", "Cursor: values at a point", show=False),
        Binding("right", "cursor(1)", "Cursor: values at a point", show=False),
        Binding("shift+left", "pan(-1)", "Pan", show=False),
        Binding("shift+right", "pan(1)", "Pan", show=False),
        Binding("plus,equals_sign", "zoom(1)", "Zoom in, out", show=False),
        Binding("minus", "zoom(-1)", "Zoom in, out", show=False),
        Binding("comma", "smooth(-1)", "Smooth less, more", show=False),
        Binding("full_stop", "smooth(1)", "Smooth less, more", show=False),
        Binding("x", "axis", "Over steps, time or tokens", show=False),
        Binding("y", "log", "Log scale", show=False),
        Binding("o", "outliers", "Outlier ranks on or off", show=False),
        Binding("m", "metric", "metric", tooltip="Another metric", show=True),
        Binding("escape", "peel", "Cursor away, then the zoom", show=False),
    ]

    class Changed(Message):
        """The chart is looked at in another way: its title says something else."""

    @dataclass
    class Said(Message):
        """Why a key changes less than one thinks."""

        text: str

    @dataclass
    class ChooseMetric(Message):
        """Someone wants to see another metric than this one."""

        name: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._given: tuple[Trace, ...] = ()
        self._details: dict[int, _Detail] = {}
        self._newest = ""
        """What of the view was set last."""

    def show(self, traces: Sequence[Trace], note: str = NOTHING) -> None:
        """Show these curves from now on; `note` is said where there is no point of them. How it is looked at stays."""
        self._given = tuple(traces[:MOST_TRACES])
        self._look(self._view, note)

    @property
    def view(self) -> ChartView:
        """How the curves are looked at."""
        return self._view

    def look(self, view: ChartView) -> None:
        """Look at them in another way: as at first for another job, or as was kept."""
        if view != self._view:
            changed = (
                field.name for field in fields(view) if getattr(view, field.name) != getattr(self._view, field.name)
            )
            self._newest = next(changed, "")
            self._look(view)
            self.post_message(self.Changed())

    def title(self, *, beside: int = 0, width: int | None = None) -> Content:
        """What stands above the chart, in `width` cells (None: as wide as it is) of which other words take `beside`."""
        wide = self.size.width - _CORNERS if width is None else width
        room = max(0, wide - beside) if wide > 0 else None
        brief = 0 < self.size.width < LEGEND_FROM
        return metric_title(self._traces, self._view, self.made(), brief=brief, room=room, newest=self._newest)

    def _look(self, view: ChartView, note: str | None = None) -> None:
        if self._given and not self._given[0].curve.has(view.axis):
            view = replace(view, axis=Axis.STEP, window=None, cursor=None)
        self.put([self._near(place, trace, view) for place, trace in enumerate(self._given)], view, note)

    def _near(self, place: int, trace: Trace, view: ChartView) -> Trace:
        """The curve, in more detail where a window is shown and there is more of it."""
        if view.window is None or trace.lines is None or not trace.curve.has(view.axis):
            return trace
        detail = self._details.get(place)
        if detail is None or not detail.fits(trace, view):
            whole = trace.curve
            near = curve_of(trace.lines, window=steps_of(whole, view.axis, view.window), begin=whole.begin)
            near = replace(near, ends=whole.ends, restarts=whole.restarts)
            detail = self._details[place] = _Detail(trace, view.axis, view.window, near)
        return replace(trace, curve=detail.near) if len(detail.near.steps) else trace

    @property
    def _extent(self) -> Range | None:
        return extent_of(tuple(trace.curve for trace in self._given), self._view.axis)

    def action_cursor(self, direction: int) -> None:
        """Move the cursor by about one column, along the first curve."""
        if not self._traces or (extent := self._extent) is None:
            return
        x = self._traces[0].curve.x(self._view.axis)
        points = distinct(x[np.isfinite(x)])
        left, right = self._view.window or (-np.inf, np.inf)
        shown = int(((points >= left) & (points <= right)).sum())
        columns = self.columns or self.size.width
        self.look(self._view.moved(points, direction * max(1, round(shown / max(1, columns))), extent))

    def action_pan(self, direction: int) -> None:
        """Move what is shown by a quarter of it."""
        if (extent := self._extent) is not None:
            self.look(self._view.panned(extent, direction * PAN))

    def action_zoom(self, direction: int) -> None:
        """Show half or twice as much."""
        self._zoom(direction, None)

    def _zoom(self, direction: int, at: float | None) -> None:
        if (extent := self._extent) is not None:
            self.look(self._view.zoomed(extent, ZOOM**direction, at))

    def action_smooth(self, levels: int) -> None:
        """Smooth more or less."""
        self.look(self._view.smoother(levels))

    def action_axis(self) -> None:
        """Draw over the next axis that the curve has; say which one it has not."""
        if not self._given:
            return
        trace, axis = self._given[0], self._view.axis
        found = next_axis(axis, trace.curve)
        passed = [one.words for one in between(axis, found) if not trace.curve.has(one)]
        self.look(self._view.over(found, trace.curve))
        if passed:
            self.post_message(self.Said(f"{name_of(trace)} tells no {' and no '.join(passed)}: over {found.words}"))

    def action_log(self) -> None:
        """Switch the log scale."""
        self.look(replace(self._view, log=not self._view.log))

    def action_outliers(self) -> None:
        """Show or hide the lines of outlier ranks."""
        self.look(replace(self._view, outliers=not self._view.outliers))
        if not any(trace.curve.outliers for trace in self._given):
            self.post_message(self.Said("no rank is far outside the others: o shows or hides lines of such ranks"))

    def action_metric(self) -> None:
        """Ask whoever holds the chart for another metric."""
        self.post_message(self.ChooseMetric(self._given[0].name if self._given else ""))

    def action_peel(self) -> None:
        """Take the cursor away, or the zoom; where there is neither, escape is someone else's."""
        if self._view.cursor is None and self._view.window is None:
            raise SkipAction
        self.look(self._view.peeled())

    def on_click(self, event: Click) -> None:
        """Put the cursor where the mouse is."""
        if (x := self.x_at(event.x)) is not None:
            self.look(self._view.pointed(x))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Zoom in around the mouse."""
        self._wheel(1, event)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Zoom out around the mouse."""
        self._wheel(-1, event)

    def _wheel(self, direction: int, event: MouseScrollUp | MouseScrollDown) -> None:
        if (x := self.x_at(event.x)) is not None:
            event.stop()
            self._zoom(direction, x)


def steps_of(curve: Curve, axis: Axis, window: Range) -> Range:
    """Which steps a window of an axis holds, with some beyond where the curve tells it no closer than by its points."""
    x = curve.x(axis)
    known = np.isfinite(x)
    x, steps = x[known], curve.steps[known]
    first = max(0, int(np.searchsorted(x, window[0])) - 1)
    last = min(len(x) - 1, int(np.searchsorted(x, window[1], side="right")))
    return (window[0], window[1]) if axis is Axis.STEP else (float(steps[first]), float(steps[last]))
