"""`CompareScreen`: two to four jobs or attempts: curves over each other, numbers side by side, options that differ."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ugro_tui.core.archive import Finding, Lines
from ugro_tui.core.chart_view import ChartView
from ugro_tui.core.commands import OpenJob
from ugro_tui.core.compared import FEWEST, MOST, RunName
from ugro_tui.core.comparing import Gathered, comparison_of, gather
from ugro_tui.core.comparison import LOSS, Comparison
from ugro_tui.core.curve import EMPTY, Curve, curve_of
from ugro_tui.core.ends import Ends
from ugro_tui.core.metric_names import OWN
from ugro_tui.core.text import visible
from ugro_tui.ui.charted import CHART_KEYS, SMOOTHING, ChartedScreen
from ugro_tui.ui.compare_panels import BEST, brief, brief_title, numbers, settings, signed_names
from ugro_tui.ui.metric_chart import NOTHING, MetricChart
from ugro_tui.ui.metric_question import MetricQuestion
from ugro_tui.ui.strokes import Trace
from ugro_tui.ui.wording import shortened

LOOK_SECONDS: Final = 0.25

PANES: Final = ("curves", "numbers", "options")

_FRAME: Final = 5
"""Cells that borders, margins and a scroll bar take of a pane."""

_BRIEF_BELOW: Final = (40, 8)
"""Cells below which a table of numbers would be scraps."""

_EDGES: Final = 3
"""Cells that margins and a scroll bar take where there are no borders."""

_METRIC_LENGTH: Final = 24

EMPTY_SAYS: Final = "mark two to four jobs with space on the Jobs screen (1), then c"


class CompareScreen(ChartedScreen):
    """The runs that `Desk.compared` names."""

    NAME = "compare"
    SAYS = "Compare"

    DEFAULT_CSS = """
    CompareScreen #compare-title { background: $panel; }
    CompareScreen #curves { height: 1fr; min-height: 8; }
    CompareScreen #tables { height: auto; max-height: 60%; }
    CompareScreen #numbers, CompareScreen #options { width: 3fr; height: auto; max-height: 100%; padding: 0 1; }
    CompareScreen #options { width: 2fr; }
    CompareScreen VerticalScroll { scrollbar-size-vertical: 1; }
    CompareScreen #pane-title { display: none; }
    CompareScreen #empty { display: none; height: 1fr; padding: 0 2; content-align: center middle; text-align: center; }
    CompareScreen.-empty #empty { display: block; }
    CompareScreen.-empty #curves, CompareScreen.-empty #tables, CompareScreen.-empty #pane-title { display: none; }
    CompareScreen.-compact #pane-title { display: block; }
    CompareScreen.-compact.-empty #pane-title { display: none; }
    CompareScreen.-compact #curves, CompareScreen.-compact #tables,
    CompareScreen.-compact #numbers, CompareScreen.-compact #options { display: none; height: 1fr; max-height: 100%; }
    CompareScreen.-compact #curves.-shown, CompareScreen.-compact #tables.-shown,
    CompareScreen.-compact #numbers.-shown, CompareScreen.-compact #options.-shown { display: block; }
    CompareScreen.-compact.-empty #curves, CompareScreen.-compact.-empty #tables { display: none; }
    CompareScreen.-compact #numbers, CompareScreen.-compact #options { width: 100%; min-height: 0; }
    CompareScreen.-compact #curves { min-height: 0; }
    CompareScreen.-tiny #pane-title { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "pane", tooltip="Next pane", show=True),
        Binding("shift+tab", "pane(-1)", "pane", tooltip="Previous pane", show=False),
        Binding("m", "metric", "metric", tooltip="Compare another metric", show=True),
        *CHART_KEYS,
        *SMOOTHING,
    ]

    _pane = 0
    _metric = LOSS
    _runs: tuple[RunName, ...] = ()
    _names: tuple[str, ...] = ()
    _reads = False
    """Whether the files of a run are being read."""
    _compared: tuple[tuple[object, ...], Comparison] | None = None

    def parts(self) -> Iterable[Widget]:
        """A title, the curves, the tables."""
        self._curves: dict[RunName, tuple[Lines, Curve]] = {}
        self._opened: set[str] = set()
        self._question = MetricQuestion(self, self.metric_names, lambda: self._metric, self._choose)
        yield Static(id="compare-title", classes="line")
        yield Static(id="pane-title", classes="line")
        yield Container(MetricChart(id="chart"), id="curves", classes="pane")
        with Horizontal(id="tables"):
            yield VerticalScroll(Static(id="number-lines"), id="numbers", classes="pane")
            yield VerticalScroll(Static(id="option-lines"), id="options", classes="pane")
        yield Static(id="empty")

    def on_mount(self) -> None:
        """Keys go to the curves; what is read is looked for often while this is in front."""
        self.chart.focus()
        self.set_interval(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        whole = all(self.query(name) for name in ("#chart", "#number-lines", "#option-lines", "#sources"))
        if whole and self.is_current:  # the parts of an application that ends go one by one
            with self.app.batch_update():
                self.draw()

    def draw(self) -> None:
        """What is known of the runs by now, or how to choose some."""
        self._take_runs(self.desk.compared)
        self.set_class(not self._runs, "-empty")
        self._arrange()
        if not self._runs:
            self.put("compare-title", Content.styled(" Compare", "bold"))
            self.put("empty", Content(self._missing()))
            return
        found = [self._gather(run) for run in self._runs]
        self._names = tuple(dict.fromkeys(name for one in found for name in one.names))
        self._reads = any(one.loading for one in found)
        self._draw_title(found)
        self.chart.show([self._trace(one) for one in found], self._note(found))
        self._draw_tables(found)
        self._name_panes()

    def _missing(self) -> str:
        """Why nothing is compared, and how to choose what is."""
        view = self.desk.view
        if view is None or view.summary.attempt < FEWEST:
            return EMPTY_SAYS
        return f"of the attempts of {view.job_id} fewer than two have records\n\n{EMPTY_SAYS}"

    def _take_runs(self, runs: tuple[RunName, ...]) -> None:
        if runs != self._runs:
            self._runs, self._metric, self._curves, self._compared = runs, LOSS, {}, None
            self.chart.look(ChartView())

    def _gather(self, run: RunName) -> Gathered:
        view = self.desk.snapshot.job(run.job_id)
        if view is None and run.job_id not in self._opened:
            self._opened.add(run.job_id)
            self.desk.feed.request(OpenJob(run.job_id))
        return gather(run, view, self.desk.archive.look, self._metric, self.desk.snapshot.book)

    def _trace(self, one: Gathered) -> Trace:
        """The curve of a run: an empty one keeps the place of a run that is not known yet."""
        lines, side, run = one.shown, one.side, one.side.run
        if lines is None:
            return Trace(run.text, EMPTY)
        if run not in self._curves or self._curves[run][0] is not lines:
            self._curves[run] = (lines, curve_of(lines))
        curve = self._curves[run][1]
        if side.fresh:
            return Trace(run.text, curve, lines, Ends())
        known = side.final.ends if side.final is not None and self._metric == LOSS else None
        return Trace(run.text, curve, lines, known)

    def _note(self, found: list[Gathered]) -> str:
        if self._reads:
            return f"reading {self._metric} …"
        return next((one.problem for one in found if one.problem), f"{self._metric}: {NOTHING}")

    def _draw_title(self, found: list[Gathered]) -> None:
        marked = len(self.desk.marked)
        more = f"  the first {MOST} of {marked} marked" if marked > MOST else ""
        problem = next((one.problem for one in found if one.problem and not one.loading), "")
        ends = Content.styled(f"{more}{f'  ⚠ {visible(problem, 200)}' if problem else ''}", "$warning")
        begin = Content.styled(" Compare  ", "bold")
        room = self.size.width - begin.cell_length - min(ends.cell_length, self.size.width // 3)
        names = signed_names([one.side.run.text for one in found], room)
        self.put("compare-title", Content("").join([begin, names, ends]))

    def _draw_tables(self, found: list[Gathered]) -> None:
        """Numbers and options, compared anew only where something of it is new."""
        key = (self._metric, *(part for one in found for part in _parts(one)))
        if self._compared is None or not _same(self._compared[0], key):
            self._compared = (key, comparison_of(found, self._metric))
        comparison = self._compared[1]
        compact, width = self.has_class("-compact"), self.size.width
        left = width if compact else width * 3 // 5
        if self._is_brief:
            self.put("compare-title", Content.styled(f" {brief_title(comparison)}", "bold"))
            self.put("number-lines", brief(comparison, width - _EDGES))
            return
        self.put("number-lines", numbers(comparison, left - _FRAME))
        self.put("option-lines", settings(comparison, (width if compact else width - left) - _FRAME))

    # --- where it stands

    @property
    def _is_brief(self) -> bool:
        """Whether there is room for a line of each run and no more."""
        return self.size.width < _BRIEF_BELOW[0] or self.size.height < _BRIEF_BELOW[1]

    def _arrange(self) -> None:
        shown = "numbers" if self.has_class("-tiny") else PANES[self._pane]
        for name in PANES:
            self.query_one(f"#{name}").set_class(name == shown, "-shown")
        self.query_one("#tables").set_class(shown != "curves", "-shown")

    def _name_panes(self) -> None:
        comparison = self._compared[1] if self._compared is not None else None
        told = "" if comparison is None else comparison.settings_text
        tab = f"  tab: {PANES[(self._pane + 1) % len(PANES)]}"
        compact = self.has_class("-compact")
        metric = shortened(visible(self._metric.removeprefix(OWN)), _METRIC_LENGTH)
        beside = len(metric) + 2 + (1 + len(tab) if compact else 0)
        curves = self.chart.title(beside=beside, width=self.size.width if compact else None)
        titles = {
            "curves": Content.assemble((metric.capitalize() if metric == LOSS else metric, "bold"), "  ", curves),
            "numbers": Content.assemble("Numbers  ", (f"{BEST} best beyond noise", "$success")),
            "options": Content(f"Options: {told}" if comparison is not None and comparison.settings else "Options"),
        }
        for name, text in titles.items():
            if self.is_new(f"{name} title", text):
                self.query_one(f"#{name}").border_title = text
        self.put("pane-title", Content.assemble(" ", titles[PANES[self._pane]], (tab, "$text-muted")))

    # --- keys

    def action_pane(self, direction: int) -> None:
        """Go to the next pane; where one is shown at a time, show it."""
        self._pane = (self._pane + direction) % len(PANES)
        self.show()
        (self.chart if self._pane == 0 else self.query_one(f"#{PANES[self._pane]}")).focus()

    def action_metric(self) -> None:
        """Let the user choose what is compared."""
        self._question.ask()

    def metric_names(self) -> Finding[tuple[str, ...]]:
        """The metrics that one of the runs has."""
        if not self._runs:
            return Finding(problem=EMPTY_SAYS)
        return Finding(None if self._reads and not self._names else self._names)

    def _choose(self, metric: str | None) -> None:
        if metric is not None and metric != self._metric:
            self._metric, self._curves = metric, {}
            self.chart.look(ChartView())
            self.show()

    def peel(self) -> bool:
        """Take the cursor or the zoom of the chart away; go back to the loss."""
        if self.peel_chart():
            return True
        if self._metric == LOSS:
            return False
        self._choose(LOSS)
        return True


def _parts(one: Gathered) -> tuple[object, ...]:
    """What a comparison is made of."""
    side = one.side
    return (side.run, side.summary, side.told, side.newest, side.loss, side.validation, side.metric, side.alerts)


def _same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(some) == len(others) and all(map(_is_same, some, others))


def _is_same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, str) and one == other)
