"""The message above the last line: the answer to a key, until it was read."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

SAID_SECONDS = 60.0
"""How long a message stands: a URL has to be read, and copied."""

MOST_LINES = 2

_HINTS = ("   esc takes this away", "   esc", "")


@dataclass(frozen=True, slots=True)
class Message:
    """Something said `at` that second of the screen's clock. A problem stands until somebody has seen it."""

    text: str = ""
    at: float = 0.0
    problem: bool = False

    def over(self, now: float) -> bool:
        """Whether it goes by itself."""
        return bool(self.text) and not self.problem and now - self.at >= SAID_SECONDS

    def lines(self, width: int) -> Content:
        """The message, and behind it how to take it away where there is room for that."""
        if not self.text:
            return Content()
        said = Content.styled(f" {self.text}", "bold $error" if self.problem else "$accent")
        whole = [Content.assemble(said, (hint, "$text-muted")) for hint in _HINTS]
        return next((one for one in whole if len(one.wrap(max(1, width))) <= MOST_LINES), said)
