"""`TrainingDashboard`: the story of one run on one screen, and the way to the next one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Static

from ugro_tui.core.commands import Acknowledge, Answer, Command, Diagnose, OpenJob, OpenTensorBoard, Refresh, Sync
from ugro_tui.core.ports import Feed
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.core.watch import worst
from ugro_tui.ui.chart import LossChart, title
from ugro_tui.ui.message import Message
from ugro_tui.ui.panels import alert_lines, alerts_title, empty, header, job_bar, verdict
from ugro_tui.ui.question import Questions
from ugro_tui.ui.rank_table import RankTable
from ugro_tui.ui.requests import Requests, about
from ugro_tui.ui.strip import Errands, port, strip

COMPACT_BELOW = (100, 30)
"""Cells below which one pane is shown at a time."""

TINY_BELOW = (60, 15)
"""Cells below which only status, verdict and ranks are left."""

MOST_ALERTS = 20
"""Alerts that are listed, and as many nodes in trouble; the pane scrolls."""

TICK_SECONDS = 1.0
"""How often ages and countdowns go on without news."""

PATIENCE = 2.0
"""Seconds after which jobs are shown although a node has not answered yet: it may be switched off."""

_PANES = ("ranks", "loss", "alerts")


class TrainingDashboard(Screen[None]):
    """One job at a time: header, verdict, ranks, loss, alerts."""

    CSS_PATH = "dashboard.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "flip(-1)", "Previous job"),
        Binding("right_square_bracket", "flip(1)", "Next job"),
        Binding("backspace", "last_job", "Job shown before this one"),
        Binding("r", "refresh_now", "Look at all sources now"),
        Binding("S", "sync", "Copy event files and logs here now"),
        Binding("T", "tensorboard", "Open TensorBoard"),
        Binding("d", "diagnose", "Diagnosis bundle: stacks, logs, a report"),
        Binding("a", "acknowledge", "Acknowledge the alert of the second line"),
        Binding("escape", "hush", "Take the message away"),
        Binding("tab", "pane(1)", "Next pane"),
        Binding("shift+tab", "pane(-1)", "Previous pane"),
    ]

    def __init__(
        self, feed: Feed, place: str, job: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._feed = feed
        self._clock = clock
        self._requests = Requests(feed)
        self.questions = Questions(feed)
        self._board = ""
        self._message = Message()
        self._begun = self._taken = clock()
        self._place = place
        self._snapshot = Snapshot()
        self._order: list[str] = []
        self._pane = 0
        self._previous: str | None = None
        self._shown: dict[str, Content] = {}
        self.job = job

    def compose(self) -> ComposeResult:
        """All parts, those of every size; classes say which are shown."""
        yield Static(id="jobs", classes="line")
        yield Static(id="header", classes="line")
        yield Static(id="verdict", classes="line")
        yield Static(id="pane-title", classes="line")
        with Container(id="ranks", classes="pane -shown"):
            yield RankTable(id="table")
        with Container(id="loss", classes="pane"):
            yield LossChart(id="chart")
        with VerticalScroll(id="alerts", classes="pane", can_focus=False):
            yield Static(id="alert-lines")
        yield Static(id="empty")
        yield Static(id="message", classes="line")
        yield Static(id="sources", classes="line")

    def on_mount(self) -> None:
        """Take the first picture at once."""
        self.query_one(RankTable).focus()
        self.show(self._feed.snapshot())
        self.set_interval(TICK_SECONDS, self.tick)

    def on_resize(self, event: Resize) -> None:
        """Choose the layout that fits."""
        self._fit(*event.size)

    def on_screen_resume(self) -> None:
        """The terminal may have changed its size while another screen lay on top of this one."""
        if self.query("#sources"):
            self._fit(*self.app.size)

    def _fit(self, width: int, height: int) -> None:
        self.set_class(width < COMPACT_BELOW[0] or height < COMPACT_BELOW[1], "-compact")
        self.set_class(width < TINY_BELOW[0] or height < TINY_BELOW[1], "-tiny")
        self._put("message", self._message.lines(width))
        self.show(self._snapshot)

    def show(self, snapshot: Snapshot) -> None:
        """Show this picture from now on. Before the parts are made and while they go, it is only kept."""
        if snapshot.version != self._snapshot.version:
            self._taken = self._clock()
        self._snapshot = snapshot
        if not self.query("#sources"):
            return
        for command, answer in self._requests.answered(snapshot.answers):
            self._hear(command, answer)
        known = {job.job_id for job in snapshot.jobs}
        self._order = [job for job in self._order if job in known]
        self._order += [job.job_id for job in snapshot.jobs if job.job_id not in self._order]
        if self.job is None and self._order and self._ready():
            self.job = self._order[0]
        view = self._view()
        self.set_class(view is None, "-empty")
        self.set_class(len(self._order) < 2, "-single")
        with self.app.batch_update():
            if view is not None:
                self._show_job(view)
            self._show_ages(view)

    def tick(self) -> None:
        """Let ages and countdowns go on, and take away a message that has stood long enough."""
        if self._message.over(self._clock()):
            self.say("")
        if self.job is None and self._order and self._ready():
            self.show(self._snapshot)
        elif self.query("#sources"):
            self._show_ages(self._view())

    def _view(self) -> JobView | None:
        return self._snapshot.job(self.job) if self.job else None

    def _ready(self) -> bool:
        """Whether what there is has been looked at, so that the first job is the worst one."""
        away = any(not node.state.reached for node in self._snapshot.nodes)
        return bool(self._snapshot.cycles) or (away and self._clock() - self._begun >= PATIENCE)

    def _show_ages(self, view: JobView | None) -> None:
        """What gets older by itself."""
        elapsed, snapshot = self._clock() - self._taken, self._snapshot
        asked = self._requests.waits_for(Sync)
        board = "starting …" if self._requests.waits_for(OpenTensorBoard) else self._board
        self._put(
            "sources",
            strip(snapshot, view, Errands(asked, board, self._requests.waits_for(Diagnose)), self.size.width, elapsed),
        )
        if view is None:
            lines = empty(snapshot, self._place, ready=self._ready(), size=self.size, elapsed=elapsed)
            self._put("empty", lines)
        else:
            self._put("verdict", verdict(view, snapshot, elapsed))
            self._put("alert-lines", alert_lines(view, snapshot, MOST_ALERTS, elapsed))

    def _show_job(self, view: JobView) -> None:
        width = self.size.width
        jobs = [job for name in self._order if (job := self._snapshot.job(name)) is not None]
        self._put("jobs", job_bar(jobs, self.job, width))
        self._put("header", header(view, self._snapshot.reading, width))
        self.query_one(RankTable).show(view.ranks)
        self.query_one(LossChart).show(view.curve)
        self._arrange(len(view.ranks))
        self._name_panes(view)

    def say(self, text: str, *, problem: bool = False) -> None:
        """Show a message for a while, a problem until it is taken away; empty: take it away."""
        self._message = Message(text, self._clock(), problem)
        self.set_class(bool(text), "-said")
        self._put("message", self._message.lines(self.size.width))

    def _hear(self, command: Command, answer: Answer) -> None:
        """Say what became of a command; a sync that went well shows in the strip."""
        what = about(command)
        if answer.problem:
            self.say(f"✖ {what}: {answer.problem}", problem=True)
        elif isinstance(command, OpenTensorBoard):
            self._board = port(answer.said)
            self.say(f"TensorBoard: {answer.said}")
        elif answer.said:
            self.say(f"{what}: {answer.said}")

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
            Content(f"Ranks {summary.ranks_ok}/{summary.world_size}"),
            title(view.curve, summary, brief=self.has_class("-compact")),
            alerts_title(view, self._snapshot),
        )
        for name, text in zip(_PANES, titles, strict=True):
            if self._is_new(f"{name} title", text):
                self.query_one(f"#{name}").border_title = text
        few = self._pane == 0 and self.has_class("-few")
        parts = [Content(" "), titles[self._pane]]
        parts += [Content.styled(f"  tab: {_PANES[(self._pane + 1) % len(_PANES)]}  ", "$text-muted")]
        self._put("pane-title", Content("").join([*parts, titles[1]] if few else parts))

    def _put(self, name: str, content: Content) -> None:
        """Show `content`, and paint nothing where it says what is there already: links are thin."""
        if self._is_new(name, content):
            self.query_one(f"#{name}", Static).update(content)

    def _is_new(self, name: str, content: Content) -> bool:
        shown = self._shown.get(name)
        self._shown[name] = content
        return shown is None or not content.is_same(shown)

    def action_flip(self, direction: int) -> None:
        """Show the next or the previous job."""
        if len(self._order) > 1 and self.job in self._order:
            self._go(self._order[(self._order.index(self.job) + direction) % len(self._order)])

    def action_last_job(self) -> None:
        """Show the job that was shown before this one."""
        if self._previous in self._order:
            self._go(self._previous)

    def _go(self, job: str | None) -> None:
        if job is None:
            return
        self._previous, self.job = self.job, job
        self._feed.request(OpenJob(job))
        self.show(self._snapshot)

    def action_refresh_now(self) -> None:
        """Look at all sources now, and put the questions again that were passed over."""
        self.questions.ask_again()
        self._feed.request(Refresh())

    def action_sync(self) -> None:
        """Bring the central copies of the shown job up to date now; of all jobs where none is shown."""
        self._requests.ask(Sync(self.job))
        self._show_ages(self._view())

    def action_tensorboard(self) -> None:
        """Open TensorBoard; the answer says where."""
        self._requests.ask(OpenTensorBoard())
        self._show_ages(self._view())

    def action_diagnose(self) -> None:
        """Gather what explains the shown job; the answer says where the report is."""
        if self.job is not None:
            self._requests.ask(Diagnose(self.job))
            self._show_ages(self._view())

    def ask(self, command: Command) -> None:
        """Ask for this, and say what became of it when that is known."""
        self._requests.ask(command)

    def action_acknowledge(self) -> None:
        """Ring no more for the alert that the verdict tells."""
        view = self._view()
        alert = worst(view.summary.alerts) if view is not None else None
        if view is None or alert is None:
            self.say("no alert to acknowledge")
            return
        self.ask(Acknowledge(view.job_id, alert.subject))

    def action_hush(self) -> None:
        """Take the message away."""
        self.say("")

    def action_pane(self, direction: int) -> None:
        """Go to the next pane; where one is shown at a time, show it."""
        self._pane = (self._pane + direction) % len(_PANES)
        if self._pane == 0:
            self.query_one(RankTable).focus()
        else:
            self.set_focus(None)
        self.show(self._snapshot)
