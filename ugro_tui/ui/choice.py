"""`Choice`: one of a few words, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static


class Choice(Static, can_focus=True):
    """`left`, `right` and `space` go to another word; so does a click."""

    DEFAULT_CSS = """
    Choice { height: 1; width: 1fr; padding: 0 1; color: $foreground; }
    Choice:focus { background: $primary 30%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space", "choose(1)", "Next word", show=False),
        Binding("left", "choose(-1)", "Word before", show=False),
    ]

    class Changed(Message):
        """Another word was chosen."""

    def __init__(self, words: Sequence[str], value: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._words = tuple(words)
        self.value = value if value in self._words else self._words[0]

    def on_mount(self) -> None:
        """Show all words, the chosen one marked."""
        self._paint()

    def _paint(self) -> None:
        parts = [
            (f"[{word}] ", "bold $accent") if word == self.value else (f" {word}  ", "$text-muted")
            for word in self._words
        ]
        self.update(Content.assemble(*parts))

    def action_choose(self, step: int) -> None:
        """Choose the word so many places on."""
        self.value = self._words[(self._words.index(self.value) + step) % len(self._words)]
        self._paint()
        self.post_message(self.Changed())

    def on_click(self) -> None:
        """Choose the next word."""
        self.focus()
        self.action_choose(1)
