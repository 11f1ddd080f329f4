"""`LogsScreen`: what the ranks of a job print, as one text or of one rank; search, and the way to the first error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from ugro_tui.core.archive import Finding
from ugro_tui.core.log_inquiry import LogError, LogErrors, LogFirstError, LogPage, LogPlace, LogText
from ugro_tui.core.log_level import Level
from ugro_tui.core.log_lines import ranks_text
from ugro_tui.core.numbers import size
from ugro_tui.core.text import visible
from ugro_tui.ui.log_view import LogView
from ugro_tui.ui.screen import UgroScreen
from ugro_tui.ui.wording import shortened

LOOK_SECONDS = 0.25


class LogsScreen(UgroScreen):
    """The logs of the job in hand."""

    NAME = "logs"
    SAYS = "Logs"

    DEFAULT_CSS = """
    LogsScreen #log-title { color: $text-muted; }
    LogsScreen #log-text { height: 1fr; }
    LogsScreen #log-empty { display: none; height: 1fr; padding: 0 2; content-align: center middle; }
    LogsScreen.-empty #log-empty { display: block; text-align: center; }
    LogsScreen.-empty #log-text { height: 1; } /* not hidden: the keys stay with it */
    LogsScreen #log-search { display: none; border: none; height: 1; padding: 0; background: $panel; }
    LogsScreen.-searching #log-search { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", tooltip="Search; n and N go on", show=True),
        Binding("e", "first_error", "first error", tooltip="First error of the whole logs", show=True),
        Binding("comma", "rank(-1)", "rank", tooltip="Previous rank; before the first: all of them", show=False),
        Binding("full_stop", "rank(1)", "rank", tooltip="One rank alone, then the next one", show=True),
    ]

    _job: str | None = None
    _rank: int | None = None
    _around: LogPlace | None = None
    _shown: tuple[LogText | None, LogPage | None] = (None, None)
    _ranks: tuple[int, ...] = ()
    _seeking = False
    _problem = ""

    def parts(self) -> Iterable[Widget]:
        """A title, the text, and the line to type in."""
        yield Static(id="log-title", classes="line")
        yield LogView(id="log-text")
        yield Static(id="log-empty")
        yield Input(id="log-search", placeholder="search: enter goes to it, esc leaves", compact=True)

    def copied(self) -> str:
        """The line that was gone to, else the first one that is visible."""
        return self._text.line_text

    def on_mount(self) -> None:
        """Keys go to the text; what is new is looked for often while this is in front."""
        self._text.focus()
        self.set_interval(LOOK_SECONDS, self._look)

    @property
    def _text(self) -> LogView:
        return self.query_one(LogView)

    def _look(self) -> None:
        if self.is_current:  # and not while the application ends
            self.draw()

    def draw(self) -> None:
        """What is known of the logs by now."""
        if self.desk.job != self._job:
            self._take_job(self.desk.job)
        if self.desk.logs_of is not None:
            self._choose(self.desk.logs_of)
            self._text.follow, self.desk.logs_of = True, None
        if self._job is None:
            self._say_nothing("no job: its logs are shown here when there is one")
            self._draw_title()
            return
        ask = LogText(self._job, self._rank, self._around)
        self._take(ask, self.desk.archive.look(ask))
        if self._seeking:
            self._seek(self.desk.archive.look(LogFirstError(self._job, self._rank)))
        self._draw_title()

    def _take_job(self, job: str | None) -> None:
        self._job, self._ranks = job, ()
        self._choose(None)
        self._text.clear()

    def _choose(self, rank: int | None, around: LogPlace | None = None) -> None:
        """Show this rank, or all; its newest lines, or those around a place."""
        self._rank, self._around, self._seeking = rank, around, False

    def _take(self, ask: LogText, found: Finding[LogPage]) -> None:
        page, self._problem = found.content, found.problem
        if page is None or not page.lines:
            self._say_nothing(found.problem or ("reading the logs …" if found.loading else "the logs are empty so far"))
            return
        self.set_class(False, "-empty")
        asked, shown = self._shown
        if page is shown:
            return
        self._shown = (ask, page)
        if self._around is None and self._rank is None:
            self._ranks = page.ranks
        self._text.show(page, anew=ask != asked)
        if page.at >= 0:
            self._text.go_to(page.at)

    def _say_nothing(self, why: str) -> None:
        if not self.has_class("-empty"):
            self.set_class(True, "-empty")
            self._text.show(LogPage((), ()), anew=True)
        self._shown = (None, None)
        self.put("log-empty", Content(why))

    def _draw_title(self) -> None:
        text = self._text
        short = self._job is None or self.has_class("-tiny")
        name = "Logs" if short else f"Logs of {shortened(self._job or '', self.size.width // 3)}"
        parts = [name, self._who(), text.matches.said, *self._states()]
        if self._seeking:
            parts.append("looking for the first error …")
        line = Content(" " + " · ".join(visible(part, 80) for part in parts if part))
        if self._problem and not self.has_class("-empty"):
            line = Content.assemble(line, (f" · ⚠ {self._problem}", "$warning"))
        self.put("log-title", line)

    def _who(self) -> str:
        if self._rank is not None:
            return f"rank {self._rank}"
        return f"ranks {ranks_text(self._ranks)}" if len(self._ranks) > 1 else ""

    def _states(self) -> list[str]:
        """How the text is shown."""
        text, page = self._text, self._shown[1]
        if page is None:
            return []
        skipped = f"{size(page.skipped)} before not shown" if page.skipped else ""
        way = "around its first error (f: newest)" if self._around else "following" if text.follow else "not following"
        aside = f"from column {text.aside + 1} (←)" if text.aside else ""
        return [way, aside, self._order(), "wrapped" if text.wraps else "", skipped]

    def _order(self) -> str:
        """By what the lines of several ranks are ordered, where that is not their time."""
        untimed, every = self._text.untimed, len(self._ranks)
        if not untimed or self._rank is not None or every < 2:
            return ""
        if len(untimed) == every:
            return "no times told: their order is a guess"
        who = f"rank {untimed[0]} tells" if len(untimed) == 1 else f"ranks {ranks_text(untimed)} tell"
        return f"{who} no times"

    def on_log_view_changed(self) -> None:
        """The title tells of the view."""
        self._draw_title()

    def on_log_view_followed(self) -> None:
        """Whoever follows wants the newest lines."""
        if self._around is not None:
            self._choose(self._rank)
            self.draw()

    def action_search(self) -> None:
        """Let the user type what to search for."""
        self.set_class(True, "-searching")
        line = self.query_one(Input)
        line.value = ""
        line.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the first place."""
        self._close_search()
        self._text.search(event.value)

    def _close_search(self) -> None:
        self.set_class(False, "-searching")
        self._text.focus()

    def peel(self) -> bool:
        """Take away the line to type in, what is searched for, the part around an error, the choice of a rank."""
        if self.has_class("-searching"):
            self._close_search()
        elif self._text.matches.needle:
            self._text.search("")
        elif self._around is not None:
            self._text.action_follow(True)
        elif self._rank is not None:
            self._choose(None)
            self.draw()
        else:
            return False
        return True

    def action_rank(self, direction: int) -> None:
        """Show the next rank alone, or the one before; all of them before the first and behind the last."""
        view = self.desk.view
        choices = [None, *(self._ranks or (() if view is None else view.ranks.rank.tolist()))]
        if len(choices) < 3:
            return
        place = choices.index(self._rank) if self._rank in choices else 0
        self._choose(choices[(place + direction) % len(choices)])
        self._text.follow = True
        self.draw()

    def action_first_error(self) -> None:
        """Go to the first error in all that the logs hold, however long ago it was."""
        self._seeking = self._job is not None
        self.draw()

    def _seek(self, found: Finding[LogErrors]) -> None:
        """Go to the first error once it is known."""
        if found.content is None:
            self._seeking = not found.problem
            if found.problem:
                self.say(f"✖ first error: {found.problem}", problem=True)
            return
        self._seeking = False
        first = found.content.first
        if first is None:
            self.say(f"no error in the logs ({size(found.content.searched)} searched)")
        else:
            self._go_to(first)

    def _go_to(self, error: LogError) -> None:
        page = self._shown[1]
        told_apart = error.attempt > 1  # the page does not say which attempt a line is of
        held = page is not None and self._around is None and page.holds(error.place) and not told_apart
        line = self._text.find(Level.ERROR, error.place.rank) if held else None
        if line is not None:
            self._text.go_to(line)
        elif error.place != self._around:
            self._choose(error.place.rank, error.place)
            self.draw()
        view = self.desk.view
        older = view is not None and 0 < error.attempt < view.summary.attempt
        of = f" of attempt {error.attempt}" if older else ""
        self.say(f"first error{of}: rank {error.place.rank}: {error.what}")
