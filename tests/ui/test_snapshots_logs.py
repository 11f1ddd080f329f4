"""Pictures of logs: a crash in the logs of all ranks, and the same on a small terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.ui.log_scenes import crash, log_app, showing


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


def test_logs_first_error(snap_compare: Callable[..., bool]) -> None:
    assert snap_compare(log_app(showing(crash())), press=["3", "e"], terminal_size=(120, 40))


def test_logs_small_wrapped_searched(snap_compare: Callable[..., bool]) -> None:
    async def search(pilot: Pilot[Any]) -> None:
        await pilot.press("3", "w", "t", "slash")
        pilot.app.screen.query_one(Input).value = "memory"
        await pilot.press("enter")
        await pilot.pause()

    assert snap_compare(log_app(showing(crash())), run_before=search, terminal_size=(80, 24))
