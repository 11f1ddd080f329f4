"""Launched and stopped over and over on real sshd nodes: nothing is left, there or here."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.act.launching import WAITS, living, stub_python
from tests.faults.lab import Lab
from tests.sshd import Machine
from tests.writing import wait_until
from ugro_tui.agent import Agent
from ugro_tui.core.launching import LaunchRequest

KEPT = {"job.json", "heartbeat.rank-0.json", "heartbeat.rank-1.json", "launch", "logs", "errors"}
"""What a job leaves in its directory."""


@dataclass(frozen=True)
class Held:
    """What this process, and the nodes, hold between two launches."""

    descriptors: int
    threads: int
    processes_there: int
    descriptors_there: int

    def within(self, other: Held) -> bool:
        """Whether it is no more than the other of anything."""
        return all(getattr(self, name) <= getattr(other, name) for name in self.__dataclass_fields__)


def held(machines: list[Machine]) -> Held:
    there = [pid for machine in machines for pid in machine.processes()]
    return Held(
        len(os.listdir("/proc/self/fd")),
        threading.active_count(),
        len(there),
        sum(opened(pid) for pid in there),
    )


def opened(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:  # it has ended
        return 0


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all temporary files go, here and on the nodes."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def machines(lab: Lab, temporary: Path) -> Iterator[list[Machine]]:
    yield [lab.fleet.add(env={"TMPDIR": str(temporary)}) for _ in range(2)]
    for pid in living(lab.fleet.folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("cycles", "real"),
    [
        (2, False),
        pytest.param(100, True, marks=[pytest.mark.acceptance, pytest.mark.torchrun, pytest.mark.timeout(3600)]),
    ],
)
def test_launches_that_are_stopped_leave_nothing(
    lab: Lab, machines: list[Machine], temporary: Path, cycles: int, *, real: bool
) -> None:
    script = lab.folder / "train.py"
    script.write_text(WAITS)
    python = sys.executable if real else str(stub_python(lab.folder))
    agent = lab.watch(keep=False)
    cycle(agent, LaunchRequest("first", str(script), python=python, nproc=1), lab)
    wait_until(lambda: not any(thread.name == "launching" for thread in threading.enumerate()))
    before = held(machines)
    for number in range(1, cycles):
        cycle(agent, LaunchRequest(f"job{number}", str(script), python=python, nproc=1), lab)
    wait_until(lambda: held(machines).within(before))
    left = [path for path in temporary.rglob("*") if not path.name.startswith("torchinductor_")]
    assert left == []  # torch itself makes one directory a user, empty, whoever imports it
    for machine in machines:
        assert {path.name for path in machine.home.iterdir()} <= {"ugro_data", ".cache"}
        assert len(list((machine.home / ".cache/ugro-tui/lent").iterdir())) == 1
        jobs = list(machine.metrics.iterdir())
        assert len(jobs) == cycles
        assert {path.name for job in jobs for path in job.iterdir()} <= KEPT
        assert not [path for path in machine.home.rglob("*") if path.name.endswith(".tmp")]


def cycle(agent: Agent, request: LaunchRequest, lab: Lab) -> None:
    """Launch and stop; no process of it is left."""
    agent.launch(request)
    assert len(list(living(lab.fleet.folder))) >= 4, "two agents and their ranks"
    assert agent.stop(request.job_id, 5.0).status == "stopped"
    assert list(living(lab.fleet.folder)) == []
