"""`TrainingDashboard`: the story of one run on one screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ugro_tui.core.alerts import worst
from ugro_tui.core.beside import MEAN_OF
from ugro_tui.core.chart_view import ChartView
from ugro_tui.core.commands import Acknowledge
from ugro_tui.core.rank_fields import FILTER_EXAMPLE
from ugro_tui.core.snapshot import JobView
from ugro_tui.ui.charted import CHART_KEYS, SMOOTHING, ChartedScreen
from ugro_tui.ui.filter_bar import FilterBar
from ugro_tui.ui.heatmap import PhaseHeatmap
from ugro_tui.ui.job_columns import AGE_WORDS
from ugro_tui.ui.job_curves import LOSS, JobCurves
from ugro_tui.ui.listing import FilteredScreen
from ugro_tui.ui.log_tail import broken_rank, log_tail
from ugro_tui.ui.metric_chart import MetricChart
from ugro_tui.ui.metric_question import MetricQuestion
from ugro_tui.ui.panels import alert_lines, alerts_title, empty, header, job_bar, marks, verdict
from ugro_tui.ui.rank_table import RankTable
from ugro_tui.ui.screen import GoTo
from ugro_tui.ui.table import LineTable
from ugro_tui.ui.wording import cut

MOST_ALERTS = 20
"""Alerts that are listed, and as many nodes in trouble; the pane scrolls."""

HEATED_FROM = 120
"""Cells from which on the phases have a place beside the chart."""

SHORT_BELOW = 36
"""Lines below which alerts and log have less room."""

VERDICT = 2
"""Lines of the verdict: the advice stands at its end."""

_AROUND, _CHART = 6, 8
"""Lines of all that stands above and below the panes, and those that a chart below the ranks needs at the least."""

PANES = ("ranks", "loss", "phases", "alerts", "log")

_ROWS = {"loss": "middle", "phases": "middle", "alerts": "bottom", "log": "bottom"}
"""What each pane stands in."""

_KEPT = "panes"
"""The name under which it is kept which pane is how large."""

_LEADS_TO = {"alerts": "alerts", "log": "logs"}
"""The screen that tells more than a pane."""


class Pane(Container, can_focus=True):
    """A pane whose content takes no keys of its own."""


class TrainingDashboard(FilteredScreen, ChartedScreen):
    """One job at a time: header, verdict, ranks, loss, phases, alerts, the log of the rank under the cursor."""

    NAME = "job"
    HELP_WORDS = AGE_WORDS
    SAYS = "Job"
    CSS_PATH = "dashboard.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "pane", tooltip="Next, previous pane", show=True),
        Binding("shift+tab", "pane(-1)", "pane", tooltip="Next, previous pane", show=False),
        Binding("z", "zoom", "zoom", tooltip="Pane: normal, half, full", show=True),
        Binding("m", "metric", "metric", tooltip="Chart another metric", show=True),
        *CHART_KEYS,
        *SMOOTHING,
        Binding("a", "acknowledge", "ack", tooltip="Acknowledge the worst alert"),
        Binding("enter", "more", "more", tooltip="Alerts, log: their screen", show=False),
    ]

    _pane = 0
    _zoom = 0
    _drawn_job = ""
    _chose = ""
    """The job in which the cursor was put on a rank."""
    _pictured = False
    """Whether a picture of a job was painted: what is read from files waits for it, so that it comes sooner."""

    def parts(self) -> Iterable[Widget]:
        """All parts, those of every size; classes say which are shown."""
        self._curves = JobCurves(self.desk.archive)
        self._question = MetricQuestion(self, self.metric_names, lambda: self._curves.metric, self._choose)
        yield Static(id="jobs", classes="line")
        yield Static(id="header", classes="line")
        yield Static(id="verdict", classes="line")
        yield Static(id="pane-title", classes="line")
        yield FilterBar(FILTER_EXAMPLE)
        yield Container(RankTable(id="table"), id="ranks", classes="pane")
        with Horizontal(id="middle", classes="row"):
            yield Container(MetricChart(id="chart"), id="loss", classes="pane")
            yield Pane(PhaseHeatmap(id="heat"), id="phases", classes="pane")
        with Horizontal(id="bottom", classes="row"):
            yield VerticalScroll(Static(id="alert-lines"), id="alerts", classes="pane")
            yield Pane(Static(id="log-tail"), id="log", classes="pane")
        yield Static(id="empty")

    def on_mount(self) -> None:
        """Keys go to the ranks at first; panes have the sizes that they had."""
        self.query_one(RankTable).focus()
        kept: dict[str, object] = self.desk.kept(_KEPT, {})
        pane, zoom = kept.get("pane"), kept.get("zoom")
        if pane in PANES and zoom in (1, 2):
            self._zoom = 1 if zoom == 1 else 2
            self.call_after_refresh(self._go_to, str(pane))

    # --- what is shown

    def draw(self) -> None:
        """The job in hand, or what to do when there is none."""
        desk, view = self.desk, self.desk.view
        self._arrange(view)
        if view is None:
            return
        if view.job_id != self._drawn_job:
            self._drawn_job = view.job_id
            self.chart.look(ChartView())  # another run has other steps
            self.table.clear_marks()
        self.put("jobs", job_bar(desk.views(desk.shown), desk.job, self.size.width))
        self.put("header", header(view, desk.snapshot.reading, self.size.width))
        accused = {alert.rank for alert in view.summary.alerts if alert.rank is not None}
        self.query_one(RankTable).show(view.ranks, accused)
        if self._is_shown("phases"):
            self.query_one(PhaseHeatmap).show(view.ranks)

    def draw_ages(self) -> None:
        """Verdict and alerts tell times, files grow; the empty screen tells of nodes."""
        desk, view = self.desk, self.desk.view
        if view is None:
            lines = empty(desk.snapshot, desk.place, ready=desk.ready, size=self.size, elapsed=desk.elapsed)
            self.put("empty", lines)
            return
        self.put("verdict", cut(verdict(view, desk.snapshot, desk.elapsed), self.size.width, VERDICT, "(4: all)"))
        self.put("alert-lines", alert_lines(view, desk.snapshot, MOST_ALERTS, desk.elapsed))
        if self._is_shown("loss"):
            chart = self.chart
            zoomed = chart.view.window is not None
            chart.show(*self._curves.traces(view, zoomed=zoomed, validation=self._pictured))
        self._draw_tail()
        self._name_panes(view)
        if not self._pictured:
            self.call_after_refresh(self._draw_files)

    def _draw_files(self) -> None:
        if not self._pictured:
            self._pictured = True
            self.show()

    @property
    def _told(self) -> int | None:
        """The rank whose log is shown: until a line was chosen, the one that broke, else that under the cursor."""
        broken = None if self._chose == self.desk.job else broken_rank(self.desk.view)
        return self.query_one(RankTable).rank if broken is None else broken

    def _draw_tail(self) -> None:
        view = self.desk.view
        if self._pictured and view is not None and self._is_shown("log"):
            self.put("log-tail", log_tail(self.desk.archive, view.job_id, self._told, self.query_one("#log-tail").size))

    # --- where it stands

    def _arrange(self, view: JobView | None) -> None:
        """Say which panes are shown; where it is one, few ranks leave room for the loss below them."""
        width, height = self.size
        one = self.has_class("-compact") or self._zoom == 2
        ranks = 0 if view is None else len(view.ranks)
        leave_room = ranks + 1 <= max(height // 3, height - _AROUND - _CHART)
        few = self.has_class("-compact") and leave_room and not self.has_class("-tiny")
        pane = PANES[self._pane]
        classes = {
            "-empty": view is None, "-single": len(self.desk.snapshot.jobs) < 2, "-one": one, "-few": few,
            "-half": self._zoom == 1, "-short": height < SHORT_BELOW,
            "-narrow": width < HEATED_FROM and pane != "phases",
        } | {f"-at-{name}": name == pane for name in PANES}  # fmt: skip
        shown = {pane, *({"loss"} if few and self._pane == 0 else ())}
        shown |= {_ROWS[name] for name in shown if name in _ROWS}
        self.dress(classes, {part: part in shown for part in (*PANES, "middle", "bottom")})

    def _is_shown(self, pane: str) -> bool:
        if self.has_class("-one"):
            return self.query_one(f"#{pane}").has_class("-shown")
        return pane != "phases" or not self.has_class("-narrow")

    def _name_panes(self, view: JobView) -> None:
        after, ranks = PANES[(self._pane + 1) % len(PANES)], self._ranks_title(view)
        both = self._pane == 0 and self.has_class("-few")
        tab = Content.styled(f"  tab: {after}  ", "$text-muted")
        width = self.size.width if self.has_class("-compact") else None  # else it has a frame
        beside = 0 if width is None else 1 + tab.cell_length + (ranks.cell_length if both else 0)
        titles = {
            "ranks": ranks,
            "loss": self.chart.title(beside=beside, width=width),
            "phases": Content(f"Phases, ms, {MEAN_OF} records"),
            "alerts": alerts_title(view, self.desk.snapshot),
            "log": Content("Log" if self._told is None else f"Log of rank {self._told}"),
        }
        for name, text in titles.items():
            if self.is_new(f"{name} title", text):
                self.query_one(f"#{name}").border_title = text
        parts = [Content(" "), titles[PANES[self._pane]], tab]
        self.put("pane-title", Content("").join([*parts, titles["loss"]] if both else parts))

    def _ranks_title(self, view: JobView) -> Content:
        said = f"Ranks {view.summary.ranks_ok}/{view.summary.world_size}"
        return Content.assemble(said, *((f" · {part}", "$accent") for part in self.table.title_parts))

    # --- keys

    @on(LineTable.Opened)
    def _opened(self, event: LineTable.Opened) -> None:
        """Explain the rank."""
        self.desk.rank = int(event.key)
        self.post_message(GoTo("rank"))

    def action_pane(self, direction: int) -> None:
        """Go to the next pane; where one is shown at a time, show it."""
        self._go_to(PANES[(self._pane + direction) % len(PANES)])

    def _go_to(self, pane: str) -> None:
        self._pane = PANES.index(pane)
        self.show()
        targets = {"ranks": RankTable, "loss": MetricChart}
        self.query_one(targets.get(pane, f"#{pane}")).focus()

    def action_zoom(self) -> None:
        """Give the pane half of the screen, then all of it, then its own place again; few ranks all at once."""
        whole = PANES[self._pane] == "ranks" and not self.table.max_scroll_y
        self._enlarge(2 if whole and not self._zoom else (self._zoom + 1) % 3)

    def _enlarge(self, zoom: int) -> None:
        self._zoom = zoom
        self.desk.keep(_KEPT, {"pane": PANES[self._pane], "zoom": zoom})
        self.show()

    def peel(self) -> bool:
        """Take the filter away, the cursor or the zoom of the chart, the other metric, the zoom of a pane."""
        if super().peel() or self.peel_chart():
            return True
        if self._curves.metric != LOSS:
            self._choose(LOSS)
        elif self._zoom:
            self._enlarge(0)
        else:
            return False
        return True

    def action_more(self) -> None:
        """Go to the screen that tells more than this pane."""
        if (place := _LEADS_TO.get(PANES[self._pane])) is not None:
            self.post_message(GoTo(place))

    def action_metric(self) -> None:
        """Let the user choose what the chart shows."""
        if self.desk.view is not None:
            self._question.ask()

    def _choose(self, metric: str | None) -> None:
        if metric is not None:
            self._curves.metric = metric
            self._go_to("loss")

    @on(LineTable.Moved)
    def _moved(self) -> None:
        if self.desk.view is not None:
            self._chose = self.desk.job or ""
            self._draw_tail()
            self._name_panes(self.desk.view)

    def on_descendant_focus(self) -> None:
        """A click into a pane goes there."""
        for name in PANES:
            if self.query_one(f"#{name}").has_focus_within and name != PANES[self._pane]:
                self._pane = PANES.index(name)
                self.show()

    def action_acknowledge(self) -> None:
        """Ring no more for the worst alert that is not acknowledged or snoozed yet."""
        view = self.desk.view
        known = {} if view is None else marks(self.desk.snapshot, view.job_id, view.summary.attempt)
        alerts = () if view is None else view.summary.alerts
        alert = worst([alert for alert in alerts if alert.subject not in known])
        if view is None or alert is None:
            self.say("all alerts are acknowledged" if known else "no alert to acknowledge", once=True)
            return
        self.ask(Acknowledge(view.job_id, alert.subject))
