"""Pilots that wait until every key was handed on."""

from __future__ import annotations

from typing import Any

import pytest
from textual._wait import wait_for_idle
from textual.pilot import Pilot

from ugro_tui.ui.terminal_app import TerminalApp


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pilot waits for what widgets have to do; here keys may wait too, and most of all on a machine under load."""
    wait = Pilot._wait_for_screen

    async def longer(pilot: Pilot[Any], timeout: float = 30.0) -> bool:
        well = await wait(pilot, timeout)
        app = pilot.app
        while well and isinstance(app, TerminalApp) and app.is_running and not app.keyboard.is_calm:
            await wait_for_idle(0)
            well = await wait(pilot, timeout)
        return well

    monkeypatch.setattr(Pilot, "_wait_for_screen", longer)
