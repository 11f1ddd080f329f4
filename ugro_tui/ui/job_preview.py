"""`JobPreview`: the job under the cursor of a list, in the room that the list leaves: its loss, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from ugro_tui.core.chart_view import ChartView
from ugro_tui.core.snapshot import JobView
from ugro_tui.ui.chart import ChartCanvas
from ugro_tui.ui.chart_title import metric_title
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.job_curves import JobCurves
from ugro_tui.ui.metric_chart import LEGEND_FROM
from ugro_tui.ui.panels import alert_lines, alerts_title

MOST_ALERTS: Final = 12
"""Alerts that are listed at the most: their screen has all of them."""


class JobPreview(Horizontal):
    """A chart with its title, and where there is room the alerts beside it. Takes no keys: enter opens the job."""

    DEFAULT_CSS = """
    JobPreview { height: 1fr; border-top: solid $primary 40%; }
    JobPreview #preview-left { width: 2fr; padding: 0 1; }
    JobPreview #preview-right { width: 1fr; padding: 0 1; }
    JobPreview .line { color: $text-muted; }
    JobPreview ChartCanvas { height: 1fr; }
    JobPreview #preview-alerts { height: 1fr; }
    """

    def __init__(self, desk: Desk, put: Callable[[str, Content], None]) -> None:
        """`put` shows a text in the part of that name, where it says something new."""
        super().__init__()
        self._desk = desk
        self._put = put
        self._curves = JobCurves(desk.archive)
        self._view: JobView | None = None

    def compose(self) -> ComposeResult:
        """The loss on the left, the alerts on the right."""
        with Vertical(id="preview-left"):
            yield Static(id="preview-loss", classes="line")
            yield ChartCanvas()
        with Vertical(id="preview-right"):
            yield Static(id="preview-heading", classes="line")
            yield Static(id="preview-alerts")

    def show(self, view: JobView | None) -> None:
        """Show this job; None: one whose files were not read."""
        self._view = view
        chart, snapshot = self.query_one(ChartCanvas), self._desk.snapshot
        if view is None:
            chart.put((), ChartView(), "")
            for name in ("loss", "heading", "alerts"):
                self._put(f"preview-{name}", Content(""))
            return
        traces, note = self._curves.traces(view, zoomed=False, validation=False)
        chart.put(traces, ChartView(), note)
        width = chart.size.width
        title = metric_title(traces, ChartView(), chart.made(), brief=width < LEGEND_FROM, room=width)
        self._put("preview-loss", title)
        self._put("preview-heading", alerts_title(view, snapshot))
        self._put("preview-alerts", alert_lines(view, snapshot, MOST_ALERTS, self._desk.elapsed))

    def on_resize(self) -> None:
        """The title says as much as there is room for now."""
        self.call_after_refresh(lambda: self.show(self._view))
