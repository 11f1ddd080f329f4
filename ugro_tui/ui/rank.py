"""`RankScreen`: one rank explained: why it is in its state, and how it stands beside the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Static

from ugro_tui.core.alerts import Alert, worst
from ugro_tui.core.commands import OpenRank
from ugro_tui.core.rank_view import Ages, RankView
from ugro_tui.core.snapshot import JobView
from ugro_tui.core.states import RankState
from ugro_tui.core.text import visible
from ugro_tui.ui.charted import CHART_KEYS, ChartedScreen
from ugro_tui.ui.job_curves import LOSS
from ugro_tui.ui.log_tail import log_tail
from ugro_tui.ui.metric_chart import MetricChart
from ugro_tui.ui.metric_question import MetricQuestion
from ugro_tui.ui.panels import empty
from ugro_tui.ui.rank_curves import RankCurves
from ugro_tui.ui.rank_pane import RankPane
from ugro_tui.ui.rank_text import beside_text, facts_text, head, hint, trouble_text, trouble_title
from ugro_tui.ui.screen import GoTo
from ugro_tui.ui.wording import cut, shortened

LOOK_SECONDS = 0.25
"""How often the archive is asked for what is new, while this is in front."""

LEAST_LOG = 3
"""Newest lines of its log that are shown at the least."""

TROUBLE = 27
"""Per cent of the parts' height that what is wrong may take; the styles say the same."""

HEAD, HEAD_TINY = 3, 6
"""Lines for who and why; more of them where hardly anything else is shown."""

_METRIC_LENGTH = 24
"""Cells of a metric's name in a title that says more."""

_PANES = ("top", "loss", "trouble")

_WORDS = {"top": "facts", "loss": "loss", "trouble": "alerts, log"}
"""What a part is called by the one before it."""


class RankScreen(ChartedScreen):
    """The rank in hand, of the job in hand."""

    NAME = "rank"
    SAYS = "Rank"

    DEFAULT_CSS = """
    RankScreen #head { height: auto; text-wrap: wrap; background: $panel; }
    RankScreen #pane-title { display: none; color: $text-muted; }
    RankScreen #top { layout: horizontal; height: auto; max-height: 50%; }
    RankScreen #facts, RankScreen #beside { width: 1fr; height: auto; min-height: 5; }
    RankScreen #loss { height: 1fr; min-height: 8; }
    RankScreen #trouble { height: auto; min-height: 4; max-height: 27%; } /* TROUBLE */
    RankScreen RankPane { scrollbar-size-vertical: 1; }
    RankScreen RankPane Static { height: auto; }
    RankScreen #empty { display: none; height: 1fr; content-align: center middle; text-align: center; padding: 0 2; }
    RankScreen.-empty #empty { display: block; }
    RankScreen.-empty #top, RankScreen.-empty .pane, RankScreen.-empty #pane-title { display: none; }
    RankScreen.-nobody #head { display: none; }
    RankScreen.-compact #pane-title { display: block; }
    RankScreen.-compact #top { display: none; layout: vertical; max-height: 100%; height: 1fr; }
    RankScreen.-compact #facts, RankScreen.-compact #beside { width: 100%; }
    RankScreen.-compact #loss, RankScreen.-compact #trouble { display: none; max-height: 100%; height: 1fr; }
    RankScreen.-compact #top.-shown, RankScreen.-compact #loss.-shown, RankScreen.-compact #trouble.-shown {
        display: block;
    }
    RankScreen.-compact.-empty #top, RankScreen.-compact.-empty .pane { display: none; }
    RankScreen.-compact.-empty #pane-title { display: none; }
    RankScreen.-tiny #pane-title { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "rank(-1)", "rank", tooltip="Previous rank", show=False),
        Binding("full_stop", "rank(1)", "rank", tooltip="Next rank", show=True),
        Binding("l,3", "logs", "log", tooltip="The log of this rank", show=True),
        Binding("m", "metric", "metric", tooltip="Chart another metric", show=True),
        *CHART_KEYS,
        Binding("tab", "pane(1)", "part", tooltip="Next part", show=True),
        Binding("shift+tab", "pane(-1)", "part", tooltip="Previous part", show=False),
    ]

    _pane = 0
    _opened: OpenRank | None = None

    def parts(self) -> Iterable[Widget]:
        """Who and why, the facts and what the others do, the loss, what is wrong."""
        self._curves = RankCurves(self.desk.archive)
        self._question = MetricQuestion(self, self.metric_names, lambda: self._curves.metric, self._choose)
        yield Static(id="head")
        yield Static(id="pane-title", classes="line")
        yield RankPane(
            Container(Static(id="facts-text"), id="facts", classes="pane"),
            Container(Static(id="beside-text"), id="beside", classes="pane"),
            id="top",
        )
        yield Container(MetricChart(id="chart"), id="loss", classes="pane")
        yield RankPane(Static(id="trouble-text"), id="trouble", classes="pane")
        yield Static(id="empty")

    def on_mount(self) -> None:
        """Keys go to the facts; what is new in the files is looked for often while this is in front."""
        self.query_one("#top", RankPane).focus()
        self.query_one("#facts").border_title = "Facts"
        self.query_one("#beside").border_title = "Beside the other ranks"
        self.set_interval(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if self.in_front and self.desk.view is not None:
            self._draw_files(self.desk.view)

    def draw(self) -> None:
        """What is known of the rank by now, or why there is nothing."""
        view = self.desk.view
        nothing = self._nothing(view)
        self.set_class(nothing is not None, "-empty")
        self.set_class(view is None, "-nobody")
        if view is None or nothing is not None:
            self.put("empty", nothing or Content())
        if view is not None:
            self._open(view)
            self._draw_files(view)
            self._arrange()

    def _nothing(self, view: JobView | None) -> Content | None:
        """What is said where there is no such rank."""
        desk = self.desk
        if view is None:
            return empty(desk.snapshot, desk.place, ready=desk.ready, size=self.size, elapsed=desk.elapsed)
        size, rank = view.summary.world_size, self.rank
        if 0 <= rank < size or rank in view.ranks.rank:
            return None
        there = f"{view.job_id} has no rank {rank}: they are 0 to {size - 1}"
        return Content(f"{there}\n\n, and . go to them, esc goes back")

    @property
    def rank(self) -> int:
        """The rank that is shown: the one in hand, else the worst."""
        if self.desk.rank is None:
            view = self.desk.view
            first = None if view is None else worst([one for one in view.summary.alerts if one.rank is not None])
            return 0 if first is None or first.rank is None else first.rank
        return self.desk.rank

    def _open(self, view: JobView) -> None:
        """Have this rank explained from now on; asked once."""
        self.desk.rank = self.rank
        wanted = OpenRank(view.job_id, self.desk.rank)
        if wanted != self._opened:
            self._opened = wanted
            self.desk.feed.request(wanted)

    @property
    def known(self) -> RankView | None:
        """What is known of it, with ages of now; None while it is being read."""
        found, elapsed = self.desk.snapshot.rank, self.desk.elapsed
        if found is None or (found.job_id, found.rank) != (self.desk.job, self.rank):
            return None
        ages = Ages(*(age + elapsed for age in (found.ages.step, found.ages.write, found.ages.poll)))
        return replace(found, ages=ages)

    def draw_ages(self) -> None:
        """Who and why, facts, numbers; what is wrong."""
        view = self.desk.view
        if view is None:
            return
        known = self.known
        self.put("head", self._head(view, known))
        if known is None:
            self.put("facts-text", Content.styled(f"reading rank {self.rank} …", "$text-muted"))
            self.put("beside-text", Content())
            return
        self.put("facts-text", facts_text(known, self._width))
        self.put("beside-text", beside_text(known, self._width))

    @property
    def _width(self) -> int:
        """Cells for the numbers beside those of the others."""
        return self.size.width - 2 if self.has_class("-compact") else self.size.width // 2 - 4

    @property
    def _height(self) -> int:
        """Lines for what is wrong and for the log."""
        return self.size.height - 5 if self.has_class("-compact") else (self.size.height - 2) * TROUBLE // 100 - 2

    def _head(self, view: JobView, known: RankView | None) -> Content:
        ranks = view.ranks
        places = (ranks.rank == self.rank).nonzero()[0].tolist()
        state = RankState(int(ranks.state[places[0]])) if places else RankState.UNKNOWN
        node = ranks.node[places[0]] if places else ""
        why = "" if known is None else known.why
        line = head(view.job_id, self.rank, view.summary.world_size, node, state, why, self.size.width)
        said = hint(known) if known is not None and self.has_class("-compact") else ""
        most = HEAD_TINY if self.has_class("-tiny") else HEAD
        return cut(Content.assemble(line, (f"\n {said}" if said else "", "$warning")), self.size.width, most)

    def _draw_files(self, view: JobView) -> None:
        """The chart and the log, which lie in files, and what is wrong."""
        known = self.known
        self._entitle("top", Content("Facts"))
        self._draw_chart(view)
        alerts, error = (known.alerts, known.error) if known else ((), None)
        alerts += self._of_node(known)
        trouble = trouble_text(alerts, error)
        lines = max(LEAST_LOG, self._height - trouble.plain.count("\n") - 2)
        room = Size(self.query_one("#trouble-text").size.width or self.size.width, lines)
        tail = log_tail(self.desk.archive, view.job_id, self.rank, room)
        title = Content.styled("\nend of its log (l: all of it)\n", "$text-muted")
        self._entitle("trouble", trouble_title(alerts, error))
        self.put("trouble-text", Content.assemble(trouble, title, tail))

    def _of_node(self, known: RankView | None) -> tuple[Alert, ...]:
        """The alerts about its node."""
        node = "" if known is None else known.identity.node
        return tuple(alert for alert in self.desk.snapshot.alerts if node and alert.node == node)

    def _draw_chart(self, view: JobView) -> None:
        traces, note = self._curves.traces(view, self.rank)
        chart = self.chart
        chart.show(traces, note)
        told = self._curves.title
        name = (told.capitalize() if told == LOSS else shortened(visible(told), _METRIC_LENGTH), "bold")
        said = (f"  {note}", "$text-muted") if note else ""
        beside = Content.assemble(name, "  ", said).cell_length
        compact = self.has_class("-compact")  # then the title has the tab's word beside it, and no frame
        beside += 1 + self._tab.cell_length if compact else 0
        title = chart.title(beside=beside, width=self.size.width if compact else None)
        self._entitle("loss", Content.assemble(name, "  ", title, said))

    def _entitle(self, pane: str, title: Content) -> None:
        if self.is_new(f"{pane} title", title):
            self.query_one(f"#{pane}").border_title = title
        if pane == _PANES[self._pane]:
            self.put("pane-title", Content.assemble(" ", title, self._tab))

    @property
    def _tab(self) -> Content:
        """Where the tab key goes."""
        return Content.styled(f"  tab: {_WORDS[_PANES[(self._pane + 1) % len(_PANES)]]}", "$text-muted")

    def _arrange(self) -> None:
        """Say which part is shown where one is shown at a time."""
        for index, name in enumerate(_PANES):
            self.query_one(f"#{name}").set_class(index == self._pane, "-shown")

    def action_pane(self, direction: int) -> None:
        """Go to the next part; where one is shown at a time, show it."""
        self._go_to(_PANES[(self._pane + direction) % len(_PANES)])

    def _go_to(self, pane: str) -> None:
        self._pane = _PANES.index(pane)
        self.show()
        self.query_one("#chart" if pane == "loss" else f"#{pane}").focus()

    def action_metric(self) -> None:
        """Let the user choose what the chart shows."""
        if self.desk.view is not None:
            self._question.ask()

    def _choose(self, metric: str | None) -> None:
        if metric is not None:
            self._curves.metric = metric
            self._go_to("loss")

    def peel(self) -> bool:
        """Take the cursor or the zoom of the chart away, the other metric."""
        if self.peel_chart():
            return True
        if self._curves.metric == LOSS:
            return False
        self._choose(LOSS)
        return True

    def action_rank(self, direction: int) -> None:
        """Show the next or the previous rank; those that have written nothing yet as well."""
        view = self.desk.view
        if view is None:
            return
        numbers = sorted({*range(view.summary.world_size), *view.ranks.rank.tolist()})
        place = numbers.index(self.rank) + direction if self.rank in numbers else 0
        self.desk.rank = numbers[place % len(numbers)]
        self.show()

    def action_logs(self) -> None:
        """Go to the log of this rank."""
        self.desk.logs_of = self.rank
        self.post_message(GoTo("logs"))
