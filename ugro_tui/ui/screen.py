"""`UgroScreen`: what every full screen has: message, strip, keys, layouts by size, one way to show news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message as Event
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from ugro_tui.core.archive import Finding, MetricNames
from ugro_tui.core.commands import Command
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.key_line import KeyLine
from ugro_tui.ui.lines import Key
from ugro_tui.ui.message import SILENT, Message
from ugro_tui.ui.strip import strip

COMPACT_BELOW = (100, 30)
"""Cells below which one pane is shown at a time, without borders, and no line of keys."""

TINY_BELOW = (60, 15)
"""Cells below which only what matters most is left."""

TICK_SECONDS = 1.0
"""How often ages and countdowns go on without news."""


class GoTo(Event):
    """Asks the application for another screen, by its name.

    `said` is what it says there of what led to it, `line` the identity of the line that the cursor is to be on;
    `back`: the way up from there leads back to the screen that asks.
    """

    def __init__(self, place: str, said: Message = SILENT, line: Key | None = None, *, back: bool = False) -> None:
        super().__init__()
        self.place = place
        self.said = said
        self.line = line
        self.back = back


class UgroScreen(Screen[None]):
    """A screen over the desk. Subclasses give `parts`, and put what is new into them in `draw` and `draw_ages`."""

    NAME: ClassVar[str]
    """As the application finds it."""

    HELP_WORDS: ClassVar[Mapping[str, str]] = {}
    """What words on the screen mean, for the help."""
    SAYS: ClassVar[str]
    """As the help names it."""

    TYPES: ClassVar[bool] = False
    """Whether what is typed goes into fields: then no key of a letter is offered."""

    DEFAULT_CSS = """
    UgroScreen { background: $surface; layout: vertical; overflow: hidden; }
    UgroScreen .line {
        height: 1; width: 100%; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    UgroScreen .pane { border: round $primary 40%; background: $surface; border-title-color: $foreground; }
    UgroScreen .pane:focus-within { border: round $accent; }
    UgroScreen #parts { height: 1fr; }
    UgroScreen #message { display: none; height: auto; text-wrap: wrap; }
    UgroScreen.-said #message { display: block; }
    UgroScreen.-compact .pane { border: none; }
    UgroScreen Footer { background: $panel; }
    UgroScreen.-compact Footer { display: none; }
    UgroScreen.-tiny #sources { display: none; }
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._drawn: dict[str, Content] = {}
        self._whole = False

    def compose(self) -> ComposeResult:
        """The parts of this screen, and below them what all screens have."""
        with Vertical(id="parts"):
            yield from self.parts()
        yield Static(id="message", classes="line")
        yield Static(id="sources", classes="line")
        yield KeyLine()

    def parts(self) -> Iterable[Widget]:
        """The widgets that are this screen's own."""
        raise NotImplementedError

    def draw(self) -> None:
        """Put the desk's newest picture into the parts."""
        raise NotImplementedError

    def draw_ages(self) -> None:
        """Let what gets older by itself go on; called between two pictures."""

    def peel(self) -> bool:
        """Take away what lies over the parts, as a filter; whether there was anything."""
        return False

    @property
    def job(self) -> str | None:
        """The id of the job that is shown here, or on a list the one under the cursor: what keys are about."""
        return self.desk.job

    def metric_names(self) -> Finding[tuple[str, ...]]:
        """The metrics that a chart of the job in hand can show, as far as that is known by now."""
        view = self.desk.view
        if view is None:
            return Finding(problem="there is no job in hand")
        return self.desk.archive.look(MetricNames(view.job_id))

    def copied(self) -> str:
        """What is to be copied here: the line under the cursor; empty where there is none."""
        return ""

    def on_mount(self) -> None:
        """Take the first picture at once."""
        self._whole = True
        self.show()
        self.set_interval(TICK_SECONDS, self.tick)

    def on_resize(self, event: Resize) -> None:
        """Choose the layout that fits."""
        self._fit(*event.size)

    def on_screen_resume(self) -> None:
        """Catch up with what came, and with sizes that the terminal had, while another screen lay on top."""
        if self.is_mounted:
            self._fit(*self.app.size)

    def _fit(self, width: int, height: int) -> None:
        compact = width < COMPACT_BELOW[0] or height < COMPACT_BELOW[1]
        self.dress({"-compact": compact, "-tiny": width < TINY_BELOW[0] or height < TINY_BELOW[1]})
        self.show()

    @property
    def in_front(self) -> bool:
        """Whether no window lies over it; not in an application that is ending."""
        return self.is_current and self.app.screen is self

    def show(self) -> None:
        """Show the newest picture. Before the parts are made and while they go, nothing is shown."""
        if not self._whole or not self.query("#sources"):
            return
        with self.app.batch_update():
            self.draw()
            self._draw_own_ages()

    def tick(self) -> None:
        """Let ages and countdowns go on, and take away a message that has stood long enough."""
        if not self.in_front or not self.query("#sources"):
            return
        if self.desk.message.over(self.desk.clock()):
            self.desk.say("")
        if self.desk.job is None:
            self.desk.settle()
            self.show()
        else:
            self._draw_own_ages()

    def _draw_own_ages(self) -> None:
        desk = self.desk
        self.dress({"-said": bool(desk.message.text)})
        self.put("message", desk.message.lines(*self.size))
        keys = self.has_class("-compact") and not self.TYPES
        self.put("sources", strip(desk.snapshot, desk.view, desk.errands, self.size.width, desk.elapsed, keys=keys))
        self.draw_ages()

    def dress(self, classes: Mapping[str, bool], shown: Mapping[str, bool] | None = None) -> None:
        """Set or take away classes of the screen, and `-shown` of parts by their ids.

        All at once: with each change the styles of all parts are worked out anew.
        """
        wanted: list[tuple[Widget, str, bool]] = [(self, name, on) for name, on in classes.items()]
        wanted += [(self.query_one(f"#{part}"), "-shown", on) for part, on in (shown or {}).items()]
        changes = [one for one in wanted if one[0].has_class(one[1]) != one[2]]
        for widget, name, on in changes:
            widget.set_class(on, name, update=False)
        if changes:
            self.update_node_styles()

    def put(self, name: str, content: Content) -> None:
        """Show `content`, and paint nothing where it says what is there already: links are thin."""
        if self.is_new(name, content):
            self.query_one(f"#{name}", Static).update(content)

    def is_new(self, name: str, content: Content) -> bool:
        """Whether `content` differs from what was put there under this name before."""
        drawn = self._drawn.get(name)
        self._drawn[name] = content
        return drawn is None or not content.is_same(drawn)

    def say(self, text: str, *, problem: bool = False, once: bool = False) -> None:
        """Show a message for a while, a problem until it is taken away, `once`: until the next key; empty: take it
        away."""
        self.desk.say(text, problem=problem, once=once)
        self.show()

    def ask(self, command: Command) -> None:
        """Ask for this; what became of it is said when it is known."""
        self.desk.ask(command)
        self.show()
