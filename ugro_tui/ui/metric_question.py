"""`MetricQuestion`: the key `m` on screens with a chart: which metric is shown, once it is known which there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ugro_tui.core.archive import Finding
from ugro_tui.ui.metric_picker import MetricPicker
from ugro_tui.ui.screen import UgroScreen

LOOK_SECONDS: Final = 0.1
"""How often it is looked whether the names are known by now."""

READING: Final = "reading which metrics there are …"


class MetricQuestion:
    """Opens a `MetricPicker` over `screen`. `names` tells the metrics as far as they are known.

    `current` is the one that is shown; `choose` gets the one that was taken, or None.
    """

    def __init__(
        self,
        screen: UgroScreen,
        names: Callable[[], Finding[tuple[str, ...]]],
        current: Callable[[], str],
        choose: Callable[[str | None], None],
    ) -> None:
        self._screen = screen
        self._names = names
        self._current = current
        self._choose = choose

    def ask(self) -> None:
        """Let the user choose; where the names are being read, once they are, unless the user takes that back."""
        found = self._names()
        if found.loading:
            self._screen.say(READING)
            self._screen.set_timer(LOOK_SECONDS, self._again)
        elif found.content is None:
            self._screen.say(found.problem)
        else:
            if self._waits:
                self._screen.say("")
            self._screen.app.push_screen(MetricPicker(found.content, self._current()), self._choose)

    @property
    def _waits(self) -> bool:
        """Whether it still says that it reads: `esc`, another message and another screen take that away."""
        return self._screen.desk.message.text == READING

    def _again(self) -> None:
        if self._waits and self._screen.in_front:
            self.ask()
        elif self._waits and self._screen.is_current:  # a window lies over it
            self._screen.set_timer(LOOK_SECONDS, self._again)
