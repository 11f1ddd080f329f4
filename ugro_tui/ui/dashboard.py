"""`TrainingDashboard`: the story of one run on one screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ugro_tui.core.commands import Acknowledge
from ugro_tui.core.snapshot import JobView
from ugro_tui.core.watch import worst
from ugro_tui.ui.chart import LossChart, title
from ugro_tui.ui.filter_bar import FilterBar
from ugro_tui.ui.listing import FilteredScreen
from ugro_tui.ui.panels import alert_lines, alerts_title, empty, header, job_bar, marks, verdict
from ugro_tui.ui.rank_table import RankTable
from ugro_tui.ui.screen import GoTo
from ugro_tui.ui.table import LineTable

MOST_ALERTS = 20
"""Alerts that are listed, and as many nodes in trouble; the pane scrolls."""

_PANES = ("ranks", "loss", "alerts")


class TrainingDashboard(FilteredScreen):
    """One job at a time: header, verdict, ranks, loss, alerts."""

    NAME = "job"
    SAYS = "Job"
    CSS_PATH = "dashboard.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "pane", tooltip="Next pane", show=True),
        Binding("shift+tab", "pane(-1)", "pane", tooltip="Previous pane", show=False),
        Binding("a", "acknowledge", "ack", tooltip="Acknowledge the worst alert that nobody has"),
    ]

    _pane = 0

    def parts(self) -> Iterable[Widget]:
        """All parts, those of every size; classes say which are shown."""
        yield Static(id="jobs", classes="line")
        yield Static(id="header", classes="line")
        yield Static(id="verdict", classes="line")
        yield Static(id="pane-title", classes="line")
        yield FilterBar("rank:8-15 node~gpu state:stalled wait<20 loss>3 -gpu:unknown")
        yield Container(RankTable(id="table"), id="ranks", classes="pane -shown")
        yield Container(LossChart(id="chart"), id="loss", classes="pane")
        yield VerticalScroll(Static(id="alert-lines"), id="alerts", classes="pane", can_focus=False)
        yield Static(id="empty")

    def on_mount(self) -> None:
        """Keys go to the ranks at first."""
        self.query_one(RankTable).focus()

    def draw(self) -> None:
        """The job in hand, or what to do when there is none."""
        desk, view = self.desk, self.desk.view
        self.set_class(view is None, "-empty")
        self.set_class(len(desk.order) < 2, "-single")
        if view is None:
            return
        width = self.size.width
        self.put("jobs", job_bar(desk.jobs, desk.job, width))
        self.put("header", header(view, desk.snapshot.reading, width))
        accused = {alert.rank for alert in view.summary.alerts if alert.rank is not None}
        self.query_one(RankTable).show(view.ranks, accused)
        self.query_one(LossChart).show(view.curve)
        self._arrange(len(view.ranks))
        self._name_panes(view)

    def draw_ages(self) -> None:
        """The verdict and the alerts tell times; the empty screen tells of nodes."""
        desk, view = self.desk, self.desk.view
        if view is None:
            lines = empty(desk.snapshot, desk.place, ready=desk.ready, size=self.size, elapsed=desk.elapsed)
            self.put("empty", lines)
        else:
            self.put("verdict", verdict(view, desk.snapshot, desk.elapsed))
            self.put("alert-lines", alert_lines(view, desk.snapshot, MOST_ALERTS, desk.elapsed))

    def _arrange(self, ranks: int) -> None:
        """Say which pane is shown where one is shown at a time; few ranks leave room for the loss below them."""
        few = ranks + 1 <= self.size.height // 3 and not self.has_class("-tiny")
        self.set_class(few, "-few")
        for index, name in enumerate(_PANES):
            beside = few and self._pane == 0 and name == "loss"
            self.query_one(f"#{name}").set_class(index == self._pane or beside, "-shown")

    def _name_panes(self, view: JobView) -> None:
        summary = view.summary
        titles = (
            self._ranks_title(view),
            title(view.curve, summary, brief=self.has_class("-compact")),
            alerts_title(view, self.desk.snapshot),
        )
        for name, text in zip(_PANES, titles, strict=True):
            if self.is_new(f"{name} title", text):
                self.query_one(f"#{name}").border_title = text
        few = self._pane == 0 and self.has_class("-few")
        parts = [Content(" "), titles[self._pane]]
        parts += [Content.styled(f"  tab: {_PANES[(self._pane + 1) % len(_PANES)]}  ", "$text-muted")]
        self.put("pane-title", Content("").join([*parts, titles[1]] if few else parts))

    def _ranks_title(self, view: JobView) -> Content:
        said = f"Ranks {view.summary.ranks_ok}/{view.summary.world_size}"
        return Content.assemble(said, *((f" · {part}", "$accent") for part in self.table.title_parts))

    @on(LineTable.Opened)
    def _opened(self, event: LineTable.Opened) -> None:
        """Explain the rank."""
        self.desk.rank = int(event.key)
        self.post_message(GoTo("rank"))

    def action_pane(self, direction: int) -> None:
        """Go to the next pane; where one is shown at a time, show it."""
        self._pane = (self._pane + direction) % len(_PANES)
        if self._pane == 0:
            self.query_one(RankTable).focus()
        else:
            self.set_focus(None)
        self.show()

    def action_acknowledge(self) -> None:
        """Ring no more for the worst alert that is not acknowledged or snoozed yet."""
        view = self.desk.view
        known = {} if view is None else marks(self.desk.snapshot, view.job_id, view.summary.attempt)
        alerts = () if view is None else view.summary.alerts
        alert = worst([alert for alert in alerts if alert.subject not in known])
        if view is None or alert is None:
            self.say("all alerts are acknowledged" if known else "no alert to acknowledge")
            return
        self.ask(Acknowledge(view.job_id, alert.subject))
