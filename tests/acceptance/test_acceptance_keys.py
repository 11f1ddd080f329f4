"""Every key of every screen, on three real nodes, in a real terminal: nothing breaks, and the numbers are right."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import REPOSITORY
from tests.acceptance.test_acceptance_dashboard import command, pytestmark
from tests.faults.lab import JOB, Lab
from tests.ui.terminals import Terminal, at_prompt
from tests.writing import clean_environment, wait_until

__all__ = ["pytestmark"]

TITLES = {"1": "Jobs ", "2": "RUNNING", "3": "Logs of", "4": "Alerts ", "5": "Nodes ", "6": "Compare"}
"""What each screen says of itself on its first line."""

TABLE = (
    "j", "k", "G", "g", "C-d", "C-u", "End", "Home", "!", "<", ">", "i", "W", "Right", "Left", "W", "Space", "Space",
)  # fmt: skip
CHART = ("Left", "Right", "x", "x", "x", "y", "y", ",", ".", "o", "o", "+", "-", "S-Left", "S-Right")
PANES = ("Tab", "z", "z", "z", "Tab", *CHART, "Tab", "Tab", "Tab")
LOGS = ("w", "w", "t", "t", "f", "f", "e", ".", ",", "n", "N")
KEYS = {
    "1": TABLE, "2": (*TABLE, *PANES, "a", "]", "["), "3": (*TABLE, *LOGS), "4": (*TABLE, "a", "s"), "5": TABLE,
    "6": ("Tab", *CHART, "Tab"),
}  # fmt: skip
"""No escape among them: a terminal takes it and the key behind it for one."""


def watched(lab: Lab) -> Iterator[str]:
    """The options that name the nodes of the lab."""
    names = ",".join(machine.name for machine in lab.fleet.machines)
    yield from ("--nodes", names, "--ssh-config", str(lab.fleet.ssh_config), "--central", str(lab.central))


def status(lab: Lab, home: Path) -> dict[str, Any]:
    """The job as the headless twin tells it."""
    argv = [sys.executable, "-m", "ugro_tui", "status", "--json", *watched(lab)]
    clean = clean_environment(home, PYTHONPATH=str(REPOSITORY))
    run = subprocess.run(argv, capture_output=True, text=True, check=False, env=clean, timeout=60)
    found: dict[str, Any] = next(job for job in json.loads(run.stdout)["jobs"] if job["job_id"] == JOB)
    return found


def shows(screen: str, pattern: str, told: dict[str, Any]) -> bool:
    """Whether the screen shows the step and the loss that were told."""
    numbers = {"step": f"{told['step']:,.0f}", "loss": f"{told['final_loss']:.4g}"}
    return re.search(pattern.format(**numbers), screen) is not None


@pytest.mark.acceptance
@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_every_key_of_every_screen(lab: Lab, tty: Terminal, size: tuple[int, int], tmp_path: Path) -> None:
    growers = lab.grow(*(lab.fleet.add() for _ in range(3)))
    tty.resize(*size)
    tty.run(command(lab))
    tty.wait(lambda screen: "RUNNING" in screen)
    for place, title in TITLES.items():
        tty.type(place)
        tty.wait(lambda screen, title=title: title in screen.splitlines()[0])  # type: ignore[misc]
        for key in KEYS[place]:
            tty.type(key)
        tty.type("?")
        tty.wait(lambda screen: "esc closes" in screen)
        tty.type("?")
        tty.wait(lambda screen: "esc closes" not in screen)
    for grower in growers:
        grower.pause()
    tty.type("2")
    tty.type("r")
    wait_until(lambda: shows(tty.screen(), "step {step}/", status(lab, tmp_path)), 60)
    tty.type("1")
    wait_until(lambda: shows(tty.screen(), " run .*{step}/.*{loss}", status(lab, tmp_path)), 60)
    tty.type("q")
    left = tty.wait(at_prompt)
    assert "Traceback" not in left
    assert "--nodes n1,n2,n3 --ssh-config " in left.replace("\n", "")  # how to come back
