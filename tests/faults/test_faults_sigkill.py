"""The application is killed at any moment, over and over, while files grow: copies stay beginnings, nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.growing import Grower, append
from tests.faults.lab import Lab, node, settle, steps
from tests.writing import clean_environment, wait_until
from ugro_tui.collect.lock import CentralLock

REPOSITORY = Path(__file__).resolve().parents[2]
LIVES = 4
"""The longest life of an application, in the time that one takes here from its start to its first copies."""


class Victims:
    """Applications on the lab's central directory, one after the other."""

    def __init__(self, lab: Lab) -> None:
        nodes = ",".join(machine.name for machine in lab.fleet.machines)
        command = [sys.executable, "-m", "tests.faults.headless", str(lab.central), str(lab.fleet.ssh_config), nodes]
        env = clean_environment(lab.folder, PYTHONPATH=str(REPOSITORY))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=REPOSITORY
        )

    def start(self) -> int:
        """Start one; its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> None:
        """Start no more."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def victims(lab: Lab) -> Iterator[Victims]:
    lab.fleet.add()
    lab.add_sftp()
    made = Victims(lab)
    yield made
    made.end()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10)


def free(central: Path) -> bool:
    """Whether another application could write there now."""
    lock = CentralLock(central)
    try:
        return lock.try_acquire()
    finally:
        lock.release()


def held(lab: Lab) -> int:
    """Bytes in all copies."""
    pairs = [copy for machine in lab.fleet.machines for copy in lab.copied(machine).values()]
    return sum(copy.stat().st_size for copy in pairs if copy.exists())


def seconds_to_copy(lab: Lab, victims: Victims) -> float:
    """What an application takes to its first copies on this machine, as busy as it is."""
    began = time.monotonic()
    pid = victims.start()
    wait_until(lambda: held(lab) > 0, 20)
    spent = time.monotonic() - began
    kill(pid)
    return spent


def bursts(growers: list[Grower], rand: random.Random) -> None:
    """More than one look brings, so that there is always something under way."""
    for grower in growers:
        append(grower.log, f"{rand.random()}\n".encode() * rand.randrange(1, 10_000))
        append(grower.events, rand.randbytes(rand.randrange(1, 200_000)))


@pytest.mark.parametrize("kills", [5, pytest.param(200, marks=[pytest.mark.acceptance, pytest.mark.timeout(900)])])
def test_kills_at_random_moments_leave_beginnings_and_lose_nothing(lab: Lab, victims: Victims, kills: int) -> None:
    growers = lab.grow(*lab.fleet.machines)
    longest = LIVES * seconds_to_copy(lab, victims)
    rand, grown, before = random.Random(kills), 0, held(lab)
    for _ in range(kills):
        bursts(growers, rand)
        pid = victims.start()
        threading.Event().wait(rand.uniform(0.05, longest))
        kill(pid)
        assert lab.wrong() == []
        assert free(lab.central)
        grown, before = grown + (held(lab) > before), held(lab)
    assert grown > kills // 3, "hardly any application lived to copy something: the test shows nothing"
    pid = victims.start()
    wait_until(lambda: held(lab) > before, 20)
    kill(pid)
    agent = lab.watch()
    settle(lab, agent, growers)


def test_a_second_application_reads_along_and_takes_over_when_the_first_is_killed(lab: Lab, victims: Victims) -> None:
    growers = lab.grow(*lab.fleet.machines)
    pid = victims.start()
    wait_until(lambda: held(lab) > 0, 20)
    second = lab.watch()
    wait_until(lambda: steps(second, 0) > 0 and steps(second, 1) > 0, 20)
    assert f"pid {pid}" in second.feed.snapshot().reading
    assert {node(second, name).via for name in ("n1", "n2")} == {"mirror"}
    kill(pid)
    wait_until(lambda: not second.feed.snapshot().reading, 10)
    wait_until(lambda: {node(second, name).via for name in ("n1", "n2")} == {"helper", "sftp"}, 10)
    settle(lab, second, growers)
