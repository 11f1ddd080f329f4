"""From the key that opens the form to a job that steps, is stopped and is launched again: no part is a stand-in."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.act.launching import living, stub_python
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.ui.app import UgroApp

STEPS = """
import time
from ugro_emitter import MetricsEmitter
emitter = MetricsEmitter()
for step in range(100_000):
    emitter.emit_step(step, loss=1.0 / (step + 1))
    time.sleep(0.02)
"""
DEADLINE = 60.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for pid in living(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Hands:
    """Somebody at the keys, who looks before the next one."""

    def __init__(self, app: UgroApp, pilot: Pilot[str]) -> None:
        self._app = app
        self._pilot = pilot

    @property
    def text(self) -> str:
        """All that is on the screen."""
        strips = self._app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def see(self, *wanted: str) -> None:
        """Wait until all of this is on the screen."""
        until = time.monotonic() + DEADLINE
        while not all(one in self.text for one in wanted):
            assert time.monotonic() < until, f"never seen: {wanted}\n{self.text}"
            await self._pilot.pause(0.05)

    async def press(self, *keys: str) -> None:
        """Press these keys."""
        await self._pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type a line, and go on to the next field."""
        await self._pilot.press(*({" ": "space"}.get(letter, letter) for letter in text), "enter")


async def _launch(hands: Hands) -> None:
    """Fill in the form: once with a script that is nowhere, then well."""
    await hands.press("L")
    await hands.see("ctrl+s launches", "[local]")
    for text in ("job", "no.py", "--note 'a b'", "", "2", "./a python"):
        await hands.type(text)
    await hands.see("job  attempt 1  2 ranks on 1 node  local", "--note 'a b'", "✖ local: there is no training script")
    await hands.press("ctrl+s")
    await hands.see("✖ local  failed", "there is no training script", "ctrl+s tries again")
    await hands.press("escape", "down", "ctrl+u")
    await hands.type("train it.py")
    await hands.see("train it.py' --note")
    await hands.press("ctrl+s", "ctrl+s", "enter")
    await hands.see("job  ● RUNNING", "2/2 ranks", "● all 2 ranks are stepping")


async def _stop(hands: Hands) -> None:
    await hands.press("ctrl+k")
    await hands.see("Stop this job?", "2 ranks  pids ")
    await hands.press("y")
    await hands.see("■ STOPPED")


async def test_a_job_is_launched_stopped_and_launched_again_from_the_screen(home: Path) -> None:
    stub_python(home)
    (home / "train it.py").write_text(STEPS)
    jobs = home / "ugro_data" / "jobs"

    def told(name: str) -> object:
        return json.loads((jobs / "job" / "job.json").read_text())[name]

    with Agent(Config(metrics_dir=jobs, refresh=0.3), keep=True, notify=True) as agent:
        app = UgroApp(agent.feed, archive=agent.archive, place=agent.place, bell=False)
        async with app.run_test(size=(120, 40)) as pilot:
            hands = Hands(app, pilot)
            await hands.see("Launch a job from here:  L")
            await _launch(hands)
            assert told("attempt") == 1
            await _stop(hands)
            assert (told("status"), list(living(home))) == ("stopped", [])
            await hands.press("R")
            await hands.see("[next]", "job  attempt 2  2 ranks")
            await hands.press("ctrl+s")
            await hands.see("job #2  ● RUNNING", "● all 2 ranks are stepping")
            assert told("request")["args"] == ["--note", "a b"]  # type: ignore[index]
            await _stop(hands)
            await hands.press("at")
            await hands.press("slash")
            await hands.type("command~distributed")
            await hands.see("filter command~distributed", "✔ ended   local", "-m torch.distributed.run")
    assert list(living(home)) == []
