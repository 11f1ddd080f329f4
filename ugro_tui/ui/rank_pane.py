"""`RankPane`: a part of the screen of one rank."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll


class RankPane(VerticalScroll):
    """A part that may be longer than its place."""

    HELP_NAME = "Parts"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", "Down", show=False),
        Binding("k,up", "scroll_up", "Up", show=False),
        Binding("ctrl+d,pagedown", "page_down", "A page down", show=False),
        Binding("ctrl+u,pageup", "page_up", "A page up", show=False),
        Binding("g,home", "scroll_home", "Beginning", show=False),
        Binding("G,end", "scroll_end", "End", show=False),
    ]
