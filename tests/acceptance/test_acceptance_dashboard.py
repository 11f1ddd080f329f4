"""The dashboard in a real terminal, on three real nodes: what it shows while one is killed and one is frozen."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable

import pytest

from tests.faults.lab import JOB, Lab
from tests.ui.terminals import Terminal, at_prompt

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed (apt-get install tmux)")

NO_ANSWER_SECONDS = 10.0
KEY_SECONDS = 0.5
"""A key's effect, with what tmux needs to be asked for the screen on a busy machine; alone it takes milliseconds."""


def command(lab: Lab) -> str:
    """The dashboard on all machines of the lab."""
    names = ",".join(machine.name for machine in lab.fleet.machines)
    options = ("--nodes", names, "--ssh-config", str(lab.fleet.ssh_config), "--central", str(lab.central))
    return shlex.join([sys.executable, "-m", "ugro_tui", "watch", JOB, *options])


def strip(screen: str) -> str:
    """The line that names the nodes."""
    return next((line for line in reversed(screen.splitlines()) if "n1 " in line and "n3 " in line), "")


def timed(tty: Terminal, seen: Callable[[str], bool], since: float) -> float:
    """Seconds from `since` until the screen shows it."""
    tty.wait(seen)
    return time.monotonic() - since


def median_key(tty: Terminal) -> float:
    """Seconds from a key to its effect, of ten keys."""
    latencies = []
    for _ in range(5):
        latencies.append(key(tty, "?", lambda screen: "training goes on when you quit" in screen))
        latencies.append(key(tty, "Escape", lambda screen: "training goes on when you quit" not in screen))
    return sorted(latencies)[len(latencies) // 2]


def key(tty: Terminal, name: str, seen: Callable[[str], bool]) -> float:
    """Press a key: seconds until its effect shows."""
    since = time.monotonic()
    tty.type(name)
    return timed(tty, seen, since)


def test_the_dashboard_on_three_nodes_of_which_one_dies_and_one_freezes(lab: Lab, tty: Terminal) -> None:
    killed, frozen, well = (lab.fleet.add() for _ in range(3))
    growers = lab.grow(killed, frozen, well)
    tty.run(command(lab))
    tty.wait(lambda screen: "RUNNING" in screen and re.search(r"n1 \d+s.*n2 \d+s.*n3 \d+s", screen) is not None)

    calm = median_key(tty)
    killed.stop()
    frozen.freeze()
    since = time.monotonic()
    assert (
        timed(tty, lambda screen: re.search(r"n1 \S+ (connection lost|unreachable)", strip(screen)) is not None, since)
        < NO_ANSWER_SECONDS
    )
    assert (
        timed(tty, lambda screen: re.search(r"n2 \S+ no answer", strip(screen)) is not None, since) < NO_ANSWER_SECONDS
    )
    assert re.search(r"n3 \d+s", strip(tty.screen()))

    assert median_key(tty) < max(KEY_SECONDS, 2 * calm)  # on a machine that is busy, all keys are slow

    killed.start()
    frozen.thaw()
    tty.type("r")
    tty.wait(lambda screen: re.search(r"n1 \d+s.*n2 \d+s.*n3 \d+s", strip(screen)) is not None)

    for grower in growers:
        grower.pause()
    tty.type("S")
    tty.wait(lambda screen: re.search(r"synced \d+s ago", screen) is not None)
    assert lab.differing() == []
    assert lab.wrong() == []
    tty.type("T")
    tty.wait(lambda screen: re.search(r"http://127\.0\.0\.1:\d+", screen) is not None)
    tty.type("q")
    screen = tty.wait(at_prompt)
    assert "RUNNING" not in screen
    tty.run("stty -a | tr '\\n' ' ' | grep -oE '[-]?(icanon|echo) '; echo back-$((40+2))")
    screen = tty.wait(lambda screen: "back-42" in screen)
    assert "\nicanon" in screen
    assert "\necho" in screen
