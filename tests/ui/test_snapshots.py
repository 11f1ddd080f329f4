"""Pictures of the dashboard, each the answer to a question: what does a user see when …"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.ui.log_scenes import printed
from tests.ui.node_scenes import ALL_SCENES
from tests.ui.scenes import FakeFeed, app_of

SMALL, MIDDLE, LARGE, TINY = (80, 24), (120, 40), (200, 60), (50, 12)

PICTURES = [
    ("healthy", SMALL),
    ("healthy", MIDDLE),
    ("healthy", LARGE),
    ("healthy", TINY),
    ("small", SMALL),
    ("small", MIDDLE),
    ("non_finite", MIDDLE),
    ("non_finite", SMALL),
    ("stalled", MIDDLE),
    ("crashed", MIDDLE),
    ("crashed", SMALL),
    ("finished", MIDDLE),
    ("evaluating", MIDDLE),
    ("starting", MIDDLE),
    ("many_jobs", MIDDLE),
    ("many_jobs", SMALL),
    ("hostile", MIDDLE),
    ("restarted", MIDDLE),
    ("large", LARGE),
    ("empty", MIDDLE),
    ("missing", SMALL),
    ("loading", SMALL),
    ("straggler", MIDDLE),
    ("straggler", SMALL),
    ("hung", MIDDLE),
    ("hung", SMALL),
    ("full_disk", SMALL),
    ("node_down", MIDDLE),
    ("node_down", SMALL),
    ("syncing", MIDDLE),
    ("synced", SMALL),
    ("reading_only", SMALL),
    ("lab", MIDDLE),
    ("no_jobs_on_three", SMALL),
]


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


@pytest.mark.parametrize(("scene", "size"), PICTURES, ids=lambda value: value if isinstance(value, str) else None)
def test_picture(scene: str, size: tuple[int, int], snap_compare: Callable[..., bool]) -> None:
    shown = ALL_SCENES[scene]()
    app = app_of(FakeFeed(shown), archive=printed(shown))
    assert snap_compare(app, terminal_size=size)


def test_help(snap_compare: Callable[..., bool]) -> None:
    app = app_of(FakeFeed(ALL_SCENES["healthy"]()))
    assert snap_compare(app, press=["question_mark"], terminal_size=MIDDLE)


def test_light_theme(snap_compare: Callable[..., bool]) -> None:
    async def lighten(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "textual-light"
        await pilot.pause()

    app = app_of(FakeFeed(ALL_SCENES["non_finite"]()))
    assert snap_compare(app, run_before=lighten, terminal_size=MIDDLE)


def test_without_colour(snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_of(FakeFeed(ALL_SCENES["crashed"]()))
    assert snap_compare(app, terminal_size=MIDDLE)
