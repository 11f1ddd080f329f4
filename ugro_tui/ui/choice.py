"""`Choice`: one of a few words, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Key
from textual.message import Message
from textual.widgets import Static

_BESIDE: Final = 3
"""Cells beside a word: brackets or blanks around it, and a blank."""


class Choice(Static, can_focus=True):
    """`left`, `right` and `space` go to another word, a letter and a click to one."""

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
        self._value = value if value in self._words else self._words[0]

    @property
    def value(self) -> str:
        """The chosen word; one that is none of them chooses the first."""
        return self._value

    @value.setter
    def value(self, word: str) -> None:
        self._value = word if word in self._words else self._words[0]
        self._paint()

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
        self.post_message(self.Changed())

    def on_key(self, event: Key) -> None:
        """A letter goes to the next word that begins with it, and nowhere else: who fills in a form types letters."""
        letter = event.character or ""
        if not letter.isalnum():
            return
        event.stop()
        place = self._words.index(self.value)
        after = [*self._words[place + 1 :], *self._words[: place + 1]]
        found = next((steps for steps, word in enumerate(after, 1) if word.startswith(letter)), None)
        if found is not None:
            self.action_choose(found)

    def on_click(self, event: Click) -> None:
        """Choose the word under the mouse."""
        self.focus()
        left = event.x - self.styles.padding.left
        for place, word in enumerate(self._words):
            if 0 <= left < len(word) + _BESIDE:
                self.action_choose(place - self._words.index(self.value))
            left -= len(word) + _BESIDE
