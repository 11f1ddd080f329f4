"""The demo in a real terminal: it is stopped however it is left, and leaves no process."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.act.launching import living
from tests.ui.terminals import Terminal, at_prompt
from tests.writing import wait_until

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.torchrun,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed (apt-get install tmux)"),
]


def demo(tty: Terminal, folder: Path, *options: str) -> None:
    """Start it, and wait for its first steps."""
    tty.run(shlex.join([sys.executable, "-m", "ugro_tui", "--metrics-dir", str(folder / "jobs"), "demo", *options]))
    tty.wait(lambda screen: "RUNNING" in screen and "2/2" in screen)


def status(folder: Path) -> str:
    (document,) = folder.glob("jobs/demo-*/job.json")
    return str(json.loads(document.read_text())["status"])


def test_who_quits_the_demo_stops_it(tty: Terminal, tmp_path: Path) -> None:
    demo(tty, tmp_path)
    tty.type("q")
    screen = tty.wait(lambda screen: "Its files are in" in screen and at_prompt(screen))
    assert "Stopping the training run …" in screen
    assert (status(tmp_path), list(living(tmp_path))) == ("stopped", [])


def test_a_terminal_that_is_closed_stops_the_demo(tty: Terminal, tmp_path: Path) -> None:
    demo(tty, tmp_path)
    tty.close()
    wait_until(lambda: status(tmp_path) == "stopped")
    wait_until(lambda: not list(living(tmp_path)))


def test_a_demo_that_is_kept_goes_on(tty: Terminal, tmp_path: Path) -> None:
    demo(tty, tmp_path, "--keep")
    tty.type("q")
    tty.wait(lambda screen: "Its files are in" in screen and at_prompt(screen))
    assert (status(tmp_path), len(list(living(tmp_path))) >= 3) == ("running", True)
    job = next(tmp_path.glob("jobs/demo-*")).name
    tty.run(shlex.join([sys.executable, "-m", "ugro_tui", "--metrics-dir", str(tmp_path / "jobs"), "stop", job, "-y"]))
    tty.wait(lambda screen: f"job {job}: stopped" in screen)
    assert list(living(tmp_path)) == []


def test_a_demo_that_is_interrupted_as_it_starts_leaves_nothing(tty: Terminal, tmp_path: Path) -> None:
    tty.run(shlex.join([sys.executable, "-m", "ugro_tui", "--metrics-dir", str(tmp_path / "jobs"), "demo"]))
    wait_until(lambda: list(tmp_path.glob("jobs/demo-*")))
    tty.type("C-c")
    if not at_prompt(tty.wait(lambda screen: at_prompt(screen) or "demo-" in screen.splitlines()[0])):
        tty.type("q")  # the screen was quicker
        tty.wait(at_prompt)
    assert list(living(tmp_path)) == []
    assert status(tmp_path) in ("stopped", "failed")
