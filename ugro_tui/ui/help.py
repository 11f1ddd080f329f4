"""The help screen, made from the bindings themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from textwrap import wrap
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Static

from ugro_tui.ui.screen import UgroScreen

BESIDE = 120
"""Cells from which on the groups of keys stand in two columns."""

WIDTH = 55
"""Cells of a line of it: in two columns there are no more."""

INDENT = 19
"""Cells before what a key does."""

_KEY_NAMES = {
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "question_mark": "?",
    "exclamation_mark": "!",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "comma": ",",
    "full_stop": ".",
    "at": "@",
    "colon": ":",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "shift+left": "shift+←",
    "shift+right": "shift+→",
    "equals_sign": "=",
}


class Group(NamedTuple):
    """A name, the bindings below it, and what words on the screen mean that no key has."""

    name: str
    bindings: Iterable[BindingType]
    words: Mapping[str, str] = MappingProxyType({})


def help_text(group: Group) -> Content:
    """The keys of a group, one line an action, keys named as they are printed on the keyboard."""
    lines = [Content.styled(group.name, "bold $accent")]
    for text, keys in _by_action(group.bindings):
        lines += _entry(keys, text, "bold")
    for word, text in group.words.items():
        lines += _entry(word, text, "$text-muted")
    return Content("\n").join(lines)


def _entry(head: str, text: str, style: str) -> list[Content]:
    """A line, and more of them where either part is too long for its column."""
    heads = wrap(head, INDENT - 3)
    texts = wrap(text, WIDTH - INDENT)
    return [
        Content.assemble((f"  {keys}".ljust(INDENT), style), said)
        for keys, said in zip_longest(heads, texts, fillvalue="")
    ]


def key_name(binding: Binding) -> str:
    """A key as it is printed on the keyboard."""
    return _KEY_NAMES.get(binding.key, binding.key)


def _by_action(bindings: Iterable[BindingType]) -> list[tuple[str, str]]:
    keys: dict[str, list[str]] = {}
    for binding in Binding.make_bindings(bindings):
        keys.setdefault(binding.tooltip or binding.description, []).append(key_name(binding))
    return [(text, " ".join(names)) for text, names in keys.items()]


def groups_of(front: UgroScreen) -> list[Group]:
    """The keys of a screen, then those of the widgets on it."""
    kinds = {type(widget) for widget in front.query("*") if hasattr(widget, "HELP_NAME") and widget.can_focus}
    own = [vars(kind).get("BINDINGS", ()) for kind in type(front).__mro__ if issubclass(kind, UgroScreen)]
    screen = Group(front.SAYS, [key for keys in own for key in keys], front.HELP_WORDS)
    told = (Group(kind.HELP_NAME, kind.BINDINGS, getattr(kind, "HELP_WORDS", {})) for kind in kinds)
    return [screen, *sorted(told, key=lambda group: group.name)]


def halves(texts: Sequence[Content]) -> tuple[list[Content], list[Content]]:
    """`texts` in two columns, in order, neither much longer than the other."""
    heights = [len(text.plain.splitlines()) + 1 for text in texts]
    cut = min(range(len(texts) + 1), key=lambda place: abs(sum(heights[:place]) - sum(heights[place:])))
    return list(texts[:cut]), list(texts[cut:])


class HelpScreen(ModalScreen[None]):
    """All keys; any of `?`, `esc`, `q` closes it."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 64; max-width: 100%; height: auto; max-height: 100%;
        border: round $accent; background: $panel; padding: 0 2;
    }
    HelpScreen Static { height: auto; }
    HelpScreen .stacked { display: block; }
    HelpScreen .beside { display: none; height: auto; }
    HelpScreen .beside Static { width: 1fr; }
    HelpScreen.-wide > VerticalScroll { width: 118; }
    HelpScreen.-wide .stacked { display: none; }
    HelpScreen.-wide .beside { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,escape,q", "dismiss", "Close", show=False),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, groups: Iterable[Group]) -> None:
        super().__init__()
        self._texts = [help_text(group) for group in groups]

    def compose(self) -> ComposeResult:
        """The groups in a frame: below each other, or in two columns where there is room for them."""
        with VerticalScroll() as frame:
            frame.border_title = "Keys"
            frame.border_subtitle = "esc closes"
            yield Static(Content("\n\n").join(self._texts), classes="stacked")
            with Horizontal(classes="beside"):
                for half in halves(self._texts):
                    yield Static(Content("\n\n").join(half))

    def on_resize(self, event: Resize) -> None:
        """Choose the layout that fits."""
        self.set_class(event.size.width >= BESIDE, "-wide")

    def action_scroll(self, lines: int) -> None:
        """Scroll the text."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
