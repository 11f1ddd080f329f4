"""`SecretsScreen`: the secrets of a launch that have no file, asked for one after another, shown nowhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.widgets import Static

from ugro_tui.core.launching import LaunchRequest
from ugro_tui.core.text import visible
from ugro_tui.ui.question import AskScreen, Line
from ugro_tui.ui.screen import UgroScreen


def with_secrets(screen: UgroScreen, request: LaunchRequest, go: Callable[[dict[str, str]], None]) -> None:
    """Call `go` with what was typed for each secret without a file; where one is left untyped, say so instead."""
    names = [name for name, path in request.secrets.items() if not path]

    def answered(typed: dict[str, str]) -> None:
        if typed:
            go(typed)
        else:
            screen.say("nothing was launched: a secret was not typed")

    if names:
        screen.app.push_screen(SecretsScreen(request.job_id, names, answered))
    else:
        go({})


class SecretsScreen(AskScreen):
    """Asks for the secrets of a launch one after another; `go` gets all of them, or none where one was left."""

    def __init__(self, job: str, names: Sequence[str], go: Callable[[dict[str, str]], None]) -> None:
        self._job, self._names, self._go = job, list(names), go
        self._typed: dict[str, str] = {}
        super().__init__(self._asks, title="Secret: never shown or kept", secret=True)

    @property
    def _asks(self) -> str:
        return f"Secret {visible(self._names[len(self._typed)], 80)} of job {self._job}"

    def answer(self, text: str) -> None:
        """Ask for the next one, or hand on all that was typed and close."""
        if text:
            self._typed[self._names[len(self._typed)]] = text
        if text and len(self._typed) < len(self._names):
            self.query_one("#asks", Static).update(Content(self._asks))
            self.query_one(Line).value = ""
            return
        typed, self._typed = self._typed if text else {}, {}
        self.dismiss()
        self._go(typed)
