"""Launching and stopping on many nodes at once: real sshd processes on this machine, and a trainer of a few lines."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.act.launching import WAITS, living, stub_python
from tests.cgroups import CpuGroup, cpu_group
from tests.sshd import Fleet, Machine, fleet
from tests.writing import wait_until
from ugro_tui.act.lent import ENTRY

pytestmark = pytest.mark.bench

__all__ = ["fleet"]

MANY, FEW = 64, 4
LOGINS_AT_ONCE = 8


@dataclass(frozen=True)
class Cost:
    """What something took: seconds, and of CPU here and on the nodes, with what runs there."""

    wall: float
    here: float
    there: float

    @property
    def whole(self) -> float:
        """Seconds of CPU in all."""
        return self.here + self.there


class Yard:
    """Nodes, and what is done on them, measured."""

    def __init__(self, fleet: Fleet, group: CpuGroup) -> None:
        self.fleet = fleet
        self.machines = [fleet.add() for _ in range(MANY)]
        self._group = group
        for machine in self.machines:
            group.take(machine.processes()[0])
        self.script = fleet.folder / "train.py"
        self.script.write_text(WAITS)
        self.python = stub_python(fleet.folder)

    def command(self, machines: Sequence[Machine], *words: str) -> Cost:
        """`ugro-tui` with these words."""
        nodes, central = ",".join(machine.name for machine in machines), str(self.fleet.folder / "central")
        options = ["--nodes", nodes, "--ssh-config", str(self.fleet.ssh_config), "--central", central]
        return self._cost(lambda: run([sys.executable, "-m", "ugro_tui", *options, *words]))

    def by_hand(self, machines: Sequence[Machine]) -> Cost:
        """The same agents started by ssh, as a script would, each seen to have begun its rank."""
        for rank, machine in enumerate(machines):
            for folder in ("logs", "errors"):
                (machine.metrics / "hand" / folder).mkdir(parents=True)
            self._starter(machine, rank, len(machines))

        def start(machine: Machine) -> None:
            run(["ssh", "-F", str(self.fleet.ssh_config), machine.name, f"sh {machine.home}/start.sh"])

        def go() -> None:
            with ThreadPoolExecutor(LOGINS_AT_ONCE) as pool:
                list(pool.map(start, machines))
            wait_until(lambda: all(list((one.metrics / "hand").glob("heartbeat.*")) for one in machines))

        return self._cost(go)

    def _starter(self, machine: Machine, rank: int, size: int) -> None:
        options = f"--nnodes {size} --node-rank {rank} --nproc-per-node 1"
        agent = f"'{self.python}' -m torch.distributed.run {options} {ENTRY} {self.script}"
        (machine.home / "start.sh").write_text(
            f"export UGRO_METRICS_DIR={machine.metrics} UGRO_JOB_ID=hand\nsetsid {agent} </dev/null >/dev/null 2>&1 &\n"
        )

    def _cost(self, work: Callable[[], object]) -> Cost:
        there, here, begun = self._group.used(), cpu_here(), time.monotonic()
        work()
        wall = time.monotonic() - begun
        self._settled()
        return Cost(wall, cpu_here() - here, self._group.used() - there)

    def _settled(self) -> None:
        """Sessions end a moment after their connections."""
        wait_until(lambda: all(len(machine.processes()) == 1 for machine in self.machines))


def run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def cpu_here() -> float:
    """Seconds of CPU of the commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.fixture
def yard(fleet: Fleet) -> Iterator[Yard]:
    with cpu_group() as group:
        if group is None:
            pytest.skip("no cgroup that counts CPU can be made here")
        try:
            yield Yard(fleet, group)
        finally:
            end_all(fleet)
            fleet.release()


def end_all(fleet: Fleet) -> None:
    for pid in living(fleet.folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(400)
def test_many_nodes_cost_each_what_few_do(yard: Yard) -> None:
    """64 nodes start and stop (within 10 s and 5 s, where nothing else runs): a node does <= 1.3 x the work that one of
    four does, and all of it takes <= 1.5 x the CPU that ssh takes to start the same agents; a stop takes less."""
    found: dict[tuple[int, str], Cost] = {}
    for count in (FEW, MANY):
        some, job = yard.machines[:count], f"job-{count}"
        words = ("--name", job, "--nproc", "1", "--python", str(yard.python), "--", str(yard.script))
        found[count, "launch"] = yard.command(some, "launch", "--json", *words)
        assert len(list(living(yard.fleet.folder))) == 2 * count
        found[count, "stop"] = yard.command(some, "stop", job, "--yes", "--json")
        assert not list(living(yard.fleet.folder))
    found[MANY, "by hand"] = yard.by_hand(yard.machines)
    end_all(yard.fleet)
    for (count, name), one in found.items():
        here, there = one.here / count * 1e3, one.there / count * 1e3
        least = one.whole / (os.cpu_count() or 1)
        print(f"\n{count} nodes, {name}: {one.wall:.2f} s ({least:.2f} s of all cores); ", end="")
        print(f"CPU a node {here:.0f} ms here, {there:.0f} ms there", end="")
    each = found[MANY, "launch"].there / MANY / (found[FEW, "launch"].there / FEW)
    whole = found[MANY, "launch"].whole / found[MANY, "by hand"].whole
    print(f"; a node works {each:.2f} x as at {FEW}, all {whole:.2f} x as by hand")
    assert each <= 1.3
    assert whole <= 1.5
    assert found[MANY, "stop"].whole <= found[MANY, "by hand"].whole
