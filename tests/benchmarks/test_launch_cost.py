"""What a launch adds to torchrun: from the command to the first step of all ranks, against torchrun started by hand."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.act.launching import living
from tests.sshd import Fleet, Machine, fleet
from tests.writing import wait_until
from ugro_tui.act.lent import ENTRY

pytestmark = pytest.mark.bench

__all__ = ["fleet"]

NODES, ROUNDS = 3, 4
MOST_SECONDS = 1.0
TRAINS = """
import os, signal
import torch, torch.distributed as dist
from ugro_emitter import MetricsEmitter
dist.init_process_group("gloo")
emitter = MetricsEmitter()
x = torch.ones(1)
dist.all_reduce(x)
emitter.emit_step(0, loss=float(x))
signal.pause()
"""


class Yard:
    """Three nodes and a script; each run has a name of its own."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.machines = [fleet.add() for _ in range(NODES)]
        self.script = fleet.folder / "train.py"
        self.script.write_text(TRAINS)

    def launched(self, job: str) -> tuple[float, float]:
        """Seconds until the agents have begun, and until the first step, by `ugro-tui launch`."""
        nodes, central = ",".join(one.name for one in self.machines), str(self.fleet.folder / "central")
        argv = [sys.executable, "-m", "ugro_tui", "--nodes", nodes, "--ssh-config", str(self.fleet.ssh_config)]
        argv += ["--central", central, "launch", "--name", job, "--nproc", "1", "--python", sys.executable]
        return self._timed(job, [[*argv, "--", str(self.script)]])

    def by_hand(self, job: str) -> tuple[float, float]:
        """The same by an ssh to each node at once."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        commands = []
        for rank, machine in enumerate(self.machines):
            for folder in ("logs", "errors"):
                (machine.metrics / job / folder).mkdir(parents=True)
            agent = f"{sys.executable} -m torch.distributed.run --nnodes {NODES} --node-rank {rank} --nproc-per-node 1"
            agent += f" --master-addr 127.0.0.1 --master-port {port} {ENTRY} {self.script}"
            env = f"UGRO_METRICS_DIR={machine.metrics} UGRO_JOB_ID={job} OMP_NUM_THREADS=2"
            commands.append(["ssh", "-F", str(self.fleet.ssh_config), machine.name, f"{env} exec {agent}"])
        return self._timed(job, commands)

    def _timed(self, job: str, commands: list[list[str]]) -> tuple[float, float]:
        begun, null = time.monotonic(), subprocess.DEVNULL
        started = [subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) for argv in commands]
        try:
            wait_until(lambda: agents(self.fleet.folder, job) >= NODES)
            agent = time.monotonic() - begun
            wait_until(lambda: all(has_stepped(machine, job) for machine in self.machines), 120.0)
            return agent, time.monotonic() - begun
        finally:
            end_all(self.fleet)
            for process in started:
                process.kill()
                process.wait()


def has_stepped(machine: Machine, job: str) -> bool:
    """Whether a rank there has recorded a step."""
    return any(b'"kind":"step"' in path.read_bytes() for path in (machine.metrics / job).glob("metrics*.jsonl"))


def agents(folder: Path, job: str) -> int:
    """How many agents of a job live: torchrun itself, not what brings it to a node."""
    found = 0
    for pid in living(folder):
        with suppress(OSError):
            place = Path(f"/proc/{pid}")
            words = (place / "cmdline").read_bytes()
            found += (
                b"torch.distributed.run" in words
                and f"UGRO_JOB_ID={job}\0".encode() in (place / "environ").read_bytes()
            )
    return found


def end_all(fleet: Fleet) -> None:
    """Kill what a run has left."""
    while left := list(living(fleet.folder)):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def slowness() -> float:
    """How much longer than its CPU time a program takes now: 1 where nothing else runs."""
    before, begun = os.times(), time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    after, wall = os.times(), time.monotonic() - begun
    return wall / (after.children_user + after.children_system - before.children_user - before.children_system)


@pytest.fixture
def yard(fleet: Fleet) -> Iterator[Yard]:
    yield Yard(fleet)
    end_all(fleet)


@pytest.mark.timeout(600)
def test_a_launch_adds_little_to_torchrun(yard: Yard) -> None:
    """3 nodes, torchrun and torch itself, in turns: the agents begin <= 1.0 s later than by hand, as a machine counts
    seconds on which nothing else runs; from there on all is the same."""
    yard.by_hand("warm")
    hand, ours, slow = [], [], []
    for number in range(ROUNDS):
        hand.append(yard.by_hand(f"hand-{number}"))
        slow.append(slowness())
        ours.append(yard.launched(f"ours-{number}"))
    # The best of each: what others do on this machine only adds. To the first step much else does.
    agent = min(begun for begun, _ in ours) - min(begun for begun, _ in hand)
    step = statistics.median(stepped for _, stepped in ours) - statistics.median(stepped for _, stepped in hand)
    for name, runs in (("by hand", hand), ("launched", ours)):
        print(f"\n{name}: " + ", ".join(f"agents {a:.2f} s, step {b:.2f} s" for a, b in runs), end="")
    print(f"; a launch adds {agent:+.2f} s to the agents' start, {step:+.2f} s to the first step, ", end="")
    print(f"where all takes {statistics.median(slow):.1f} x its time")
    assert agent / statistics.median(slow) <= MOST_SECONDS
