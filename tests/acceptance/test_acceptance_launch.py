"""A job is launched, watched, stopped and launched again from the screen alone, on three hosts, with torchrun."""

from __future__ import annotations

import re
import shlex
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.test_acceptance_dashboard import pytestmark, timed
from tests.acceptance.test_acceptance_keys import watched
from tests.act.launching import living
from tests.faults.lab import Lab
from tests.hosts import Hosts
from tests.ui.terminals import Terminal, at_prompt

__all__ = ["pytestmark"]

TRAIN = """
import sys, time
import torch, torch.distributed as dist
from ugro_emitter import MetricsEmitter
dist.init_process_group("gloo")
emitter = MetricsEmitter()
for step in range(100_000):
    loss = torch.ones(1)
    dist.all_reduce(loss)
    emitter.emit_step(step, loss=float(loss) / (step + 1))
    time.sleep(0.05)
"""


@pytest.fixture
def nodes(hosts: Hosts, tmp_path: Path) -> Lab:
    """Hosts of their own: on one machine each stop would find the processes of all, and tell torchrun to end thrice."""
    for _ in range(3):
        hosts.add()
    return Lab(hosts, tmp_path)


def fields(tty: Terminal, *texts: str) -> None:
    """Type into one field after the other; an empty text leaves one as it is."""
    for text in texts:
        tty.type(*filter(None, [text]), "Enter")


def stepping(screen: str) -> bool:
    """Whether all three ranks are stepping."""
    return "RUNNING" in screen and len(re.findall(r"^\W*[012] .*● running +\d+", screen, re.MULTILINE)) == 3


def stop(tty: Terminal) -> None:
    """Stop the job in hand; say how long it took until it read so."""
    tty.type("C-k")
    tty.wait(lambda screen: "Stop this job?" in screen and "SIGTERM on all hosts at once" in screen)
    began = time.monotonic()
    tty.type("y")
    seconds = timed(tty, lambda screen: "STOPPED" in screen, began)
    sys.stdout.write(f"stopped {seconds:.1f} s after the key\n")


@pytest.mark.acceptance
@pytest.mark.torchrun
@pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["120x40", "80x24"])
def test_a_job_is_launched_stopped_and_launched_again(nodes: Lab, tty: Terminal, size: tuple[int, int]) -> None:
    script = nodes.folder / "train.py"
    script.write_text(TRAIN)
    tty.resize(*size)
    tty.run(shlex.join([sys.executable, "-m", "ugro_tui", *watched(nodes)]))
    tty.wait(lambda screen: "Launch a job from here:  L" in screen)
    tty.type("L")
    tty.wait(lambda screen: "ctrl+s launches" in screen)

    fields(tty, "gpt-small", "/nowhere.py", "", "", "", "1", sys.executable)
    tty.wait(lambda screen: "3 ranks on 3 nodes" in screen)
    tty.type("C-s")
    nowhere = "there is no training script /nowhere.py"
    tty.wait(lambda screen: "esc: back to the form" in screen and screen.count(nowhere) == 3)
    assert list(living(nodes.fleet.folder)) == []

    tty.type("Escape")
    tty.wait(lambda screen: "ctrl+s launches" in screen)
    tty.type("Down")
    tty.type("C-u")
    tty.wait(lambda screen: "empty: the configured default" in screen)
    tty.type(str(script))
    tty.wait(lambda screen: "train.py" in screen and "3 ranks on 3 nodes" in screen)
    tty.type("C-s")
    tty.wait(lambda screen: re.search(r"n[123] +(copying|starting|verifying)", screen) is not None)
    tty.type("C-s")
    tty.wait(stepping)
    stop(tty)
    assert list(living(nodes.fleet.folder)) == []

    tty.type("R")
    tty.wait(lambda screen: "[next]" in screen)
    tty.type("C-s")
    tty.wait(stepping)
    assert "#2" in tty.screen().splitlines()[0]
    tty.type("@")
    tty.wait(lambda screen: "Commands" in screen.splitlines()[0])
    tty.type("/")
    tty.wait(lambda screen: "\n/" in screen)
    tty.type("command~distributed")
    tty.type("Enter")
    tty.wait(lambda screen: screen.count("✔ ended") == 6 and "-m torch.distributed.run" in screen)
    tty.type("Escape")
    tty.wait(lambda screen: "command~" not in screen)
    tty.type("Escape")
    tty.wait(stepping)
    stop(tty)
    assert list(living(nodes.fleet.folder)) == []
    tty.type("q")
    assert "Traceback" not in tty.wait(at_prompt)
