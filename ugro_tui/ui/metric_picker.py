"""The window in which a metric is chosen: type to narrow the list, `enter` or a click takes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ugro_tui.core.text import visible

MOST_SHOWN: Final = 200
"""Names that are listed at once: nobody reads more, and each costs."""

_NAME_LENGTH: Final = 120

_MOST_LINES: Final = 16
_AROUND: Final = 4
"""Lines of the list, and of what stands around it: borders, the line to type in, the number of names."""


def matching(names: Sequence[str], typed: str) -> list[str]:
    """The names that hold every word of `typed`, whatever the case; those that begin with it first."""
    words = typed.casefold().split()
    found = [name for name in names if all(word in name.casefold() for word in words)]
    return sorted(found, key=lambda name: not name.casefold().startswith(typed.strip().casefold()))


class MetricPicker(ModalScreen[str | None]):
    """A list of names; answers with one of them, or None where it is left."""

    DEFAULT_CSS = """
    MetricPicker { align: center middle; }
    MetricPicker > Vertical {
        width: 60; max-width: 100%; height: auto; max-height: 100%;
        border: round $accent; background: $panel; padding: 0 1;
    }
    MetricPicker Input, MetricPicker Input:focus { height: 1; border: none; padding: 0 1; background: $surface; }
    MetricPicker OptionList, MetricPicker OptionList:focus {
        height: auto; border: none; padding: 0; background: $panel; scrollbar-size-vertical: 1;
    }
    MetricPicker Static { height: 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave it", show=False),
        Binding("down", "move(1)", "Next name", show=False, priority=True),
        Binding("up", "move(-1)", "Previous name", show=False, priority=True),
    ]

    def __init__(self, names: Sequence[str], current: str = "") -> None:
        super().__init__()
        self._names = tuple(names)
        self._current = current
        self._found: list[str] = []

    def compose(self) -> ComposeResult:
        """A line to type in, the names, and how many there are."""
        with Vertical() as frame:
            frame.border_title = "Metric"
            frame.border_subtitle = "enter takes it, esc leaves"
            yield Input(placeholder="type to narrow the list")
            listed = OptionList(markup=False)
            listed.can_focus = False
            yield listed
            yield Static()

    def on_mount(self) -> None:
        """Show all names, the one that is drawn marked."""
        self.query_one(Input).focus()
        self._narrow("")
        if self._current in self._found:
            self.query_one(OptionList).highlighted = self._found.index(self._current)

    def on_resize(self, event: Resize) -> None:
        """However many the names, the line to type in and their number stay on the screen."""
        self.query_one(OptionList).styles.max_height = max(1, min(_MOST_LINES, event.size.height - _AROUND))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the names that fit."""
        self._narrow(event.value)

    def _narrow(self, typed: str) -> None:
        fitting = matching(self._names, typed)
        self._found = fitting[:MOST_SHOWN]
        listed = self.query_one(OptionList)
        listed.clear_options()
        listed.add_options(Option(Content(visible(name, _NAME_LENGTH))) for name in self._found)
        listed.highlighted = 0 if self._found else None
        self.query_one(Static).update(Content(self._said(len(fitting))))

    def _said(self, fitting: int) -> str:
        if not self._names:
            return "this run has recorded no metric yet"
        if not fitting:
            return "no name has all of these words"
        more = f", the first {MOST_SHOWN} are shown" if fitting > MOST_SHOWN else ""
        return f"{fitting} of {len(self._names)}{more}"

    def action_move(self, direction: int) -> None:
        """Go to the next or the previous name."""
        listed = self.query_one(OptionList)
        if direction > 0:
            listed.action_cursor_down()
        else:
            listed.action_cursor_up()

    def on_input_submitted(self) -> None:
        """Take the marked name."""
        place = self.query_one(OptionList).highlighted
        if place is not None:
            self.dismiss(self._found[place])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the name that was clicked."""
        self.dismiss(self._found[event.option_index])
