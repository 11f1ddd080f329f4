"""The screens and the keys that go there. Each is imported when somebody goes there first: a start should be quick."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Final, cast

from ugro_tui.ui.desk import Desk
from ugro_tui.ui.screen import UgroScreen


@dataclass(frozen=True, slots=True)
class Place:
    """A screen: the `key` that goes there (empty: it is opened from another one), its name, and what help calls it."""

    key: str
    name: str
    says: str
    module: str
    kind: str

    def screen(self, desk: Desk) -> UgroScreen:
        """The screen, made now."""
        kind = getattr(import_module(f"ugro_tui.ui.{self.module}"), self.kind)
        return cast(UgroScreen, kind(desk))


_ALL: Final = (
    Place("1", "jobs", "Jobs", "jobs", "JobsScreen"),
    Place("2", "job", "Job", "dashboard", "TrainingDashboard"),
    Place("3", "logs", "Logs", "logs", "LogsScreen"),
    Place("4", "alerts", "Alerts", "alerts", "AlertsScreen"),
    Place("5", "nodes", "Nodes", "nodes_screen", "NodesScreen"),
    Place("6", "compare", "Compare", "compare", "CompareScreen"),
    Place("", "rank", "Rank", "rank", "RankScreen"),
    Place("", "launch", "Launch", "launch", "LaunchScreen"),
    Place("", "executed", "Commands", "executed", "ExecutedScreen"),
)

PLACES: Final = {place.name: place for place in _ALL}
"""All screens by name."""

BY_KEY: Final = {place.key: place for place in _ALL if place.key}
"""Those that a key goes to."""

DRILLED: Final = ("jobs", "job", "rank")
"""Screens that lead into each other; the others are looked at from any screen, and left for that one again."""


def below(place: str, names: list[str], *, back: bool = False) -> int:
    """How many of the screens `names` stay below a new one: up to the last that leads to it, or all where it leads
    `back`."""
    if place not in DRILLED or back:
        return len(names)
    leading = DRILLED[: DRILLED.index(place)]
    return max((number for number, name in enumerate(names, 1) if name in leading), default=0)
