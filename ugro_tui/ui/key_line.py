"""The line of keys at the bottom: only whole ones, and whatever the width, those that lead to all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.app import ComposeResult
from textual.events import Resize
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

_ALWAYS: Final = ("help", "command_palette", "leave")
"""Actions whose keys stay longest: all else can be found from there."""


class KeyLine(Footer):
    """The keys of the screen in front, as many as there is room for."""

    def __init__(self) -> None:
        super().__init__(compact=True, show_command_palette=False)
        self._every: list[tuple[str, int]] = []
        self._shown: list[int] = []

    def compose(self) -> ComposeResult:
        """The keys that fit."""
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        self._every = [(key.action, len(key.key_display) + len(key.description) + 2) for key in keys]
        self._shown = fitting(self._every, self.app.size.width)
        yield from (keys[place] for place in self._shown)

    def on_resize(self, event: Resize) -> None:
        """Show more of them, or fewer."""
        if fitting(self._every, event.size.width) != self._shown:
            self.call_after_refresh(self.recompose)


def fitting(keys: Sequence[tuple[str, int]], width: int) -> list[int]:
    """The places of the keys, each an action and its cells, that fit into `width`: the last go first."""
    kept = list(range(len(keys)))
    while sum(keys[place][1] for place in kept) - 1 > width:
        others = [place for place in kept if keys[place][0] not in _ALWAYS]
        if not others:
            break
        kept.remove(others[-1])
    return kept
