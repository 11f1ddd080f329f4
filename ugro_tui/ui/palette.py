"""What can be typed into the palette (`:`): `set gpu_underused.threshold 70`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from ugro_tui.core.commands import SetThreshold
from ugro_tui.core.rules.catalogue import RULES
from ugro_tui.core.rules.rule import settings

if TYPE_CHECKING:
    from ugro_tui.ui.app import UgroApp

SET = "set"


class Settings(Provider):
    """The numbers that alerts are judged by, with those in force, and the command that sets one of them."""

    @property
    def _own(self) -> UgroApp:
        from ugro_tui.ui.app import UgroApp

        assert isinstance(self.app, UgroApp)
        return self.app

    async def discover(self) -> Hits:
        """All settings, while nothing is typed."""
        for name, value, means in self._all():
            yield DiscoveryHit(_shown(name, value), partial(self._own.explain_setting, name), help=means)

    async def search(self, query: str) -> Hits:
        """What is typed as a command, and the settings whose names are like it."""
        words = query.split()
        words = words[1:] if words[:1] == [SET] else words
        if len(words) == 2:
            command = partial(self._own.order, SetThreshold(words[0], words[1]))
            yield Hit(1.0, Content(f"{SET} {words[0]} {words[1]}"), command, help="until ugro-tui ends")
            return
        matcher = self.matcher(words[0] if words else "")
        for name, value, means in self._all():
            score = matcher.match(name) if words else 0.5
            if score > 0:
                yield Hit(score, _shown(name, value), partial(self._own.explain_setting, name), name, means)

    def _all(self) -> Iterator[tuple[str, float, str]]:
        thresholds = self._own.thresholds
        for key, rule in RULES.items():
            for number, value in settings(thresholds, key, rule):
                yield f"{key}.{number.name}", value, number.means


def _shown(name: str, value: float) -> Content:
    return Content(f"{name} = {value:g}")
