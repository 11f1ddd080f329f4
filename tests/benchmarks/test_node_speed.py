"""What nodes over SSH cost beside what one writes first (paramiko's SFTP as it comes), and beside rsync.

Real sshds on this machine. What is compared is measured by turns in one run, and what is asserted are ratios.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from tests.benchmarks.node_costs import (
    JOB,
    Metrics,
    Ours,
    RealClock,
    Usual,
    behind,
    cpu_during,
    cpu_of,
    cpu_of_machine,
    make_node,
    stock_client,
)
from tests.proxy import FaultProxy
from tests.sshd import Fleet, Machine, shared_fleet
from tests.writing import wait_until
from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.core.layout import FileKind
from ugro_tui.nodes import bootstrap
from ugro_tui.nodes.base import Ask, Known
from ugro_tui.nodes.helper import WINDOW, place_digest

pytestmark = pytest.mark.bench

__all__ = ["shared_fleet"]

FILES, NEW = 9, 1024
ROUNDS, POLLS = 15, 20
SETTLE_SECONDS = 0.02


@dataclass(frozen=True)
class Costs:
    """CPU seconds of one poll."""

    client: float
    server: float

    def __truediv__(self, other: Costs) -> Costs:
        return Costs(self.client / other.client, self.server / other.server)


class Side:
    """One way of reading, and the machine that is read by it alone."""

    def __init__(self, metrics: Metrics, machine: Machine, reading: Ours | Usual) -> None:
        self._metrics = metrics
        self._pids = machine.processes()
        self._reading = reading

    def costs(self, *, growing: bool) -> Costs:
        """Of one poll, by many."""
        client, server = 0.0, cpu_of(self._pids)
        for _ in range(POLLS):
            if growing:
                self._metrics.grow(NEW)
            before = time.process_time()
            found = self._reading.poll()
            client += time.process_time() - before
            assert found == (FILES * NEW if growing else 0)
        Event().wait(SETTLE_SECONDS)  # the server's last words to itself
        return Costs(client / POLLS, (cpu_of(self._pids) - server) / POLLS)


@pytest.fixture
def sides(shared_fleet: Fleet) -> Iterator[tuple[Side, Side]]:
    """Ours, and the usual one."""
    machines = shared_fleet.add(), shared_fleet.add()
    metrics = [Metrics(machine, FILES) for machine in machines]
    ours = Ours(make_node(shared_fleet, machines[0].name, machines[0].metrics))
    usual = Usual(shared_fleet, machines[1], metrics[1].folder)
    ours.drain()
    usual.poll()
    yield Side(metrics[0], machines[0], ours), Side(metrics[1], machines[1], usual)
    ours.close()
    usual.close()


def measured(sides: tuple[Side, Side], *, growing: bool) -> Costs:
    """Ours beside the usual one: the median of many rounds."""
    ours, usual = sides
    pairs = [(ours.costs(growing=growing), usual.costs(growing=True)) for _ in range(ROUNDS)]
    for name, costs in (("ours", [pair[0] for pair in pairs]), ("SFTP", [pair[1] for pair in pairs])):
        middle = median(costs)
        print(f"\n{name}: client {middle.client * 1e3:.3f} ms, server {middle.server * 1e3:.3f} ms a poll", end="")
    ratio = median([mine / other for mine, other in pairs])
    print(f"; ratio 1/{1 / ratio.client:.1f} and 1/{1 / ratio.server:.1f}")
    return ratio


def median(costs: list[Costs]) -> Costs:
    """Each part's own."""
    return Costs(statistics.median(one.client for one in costs), statistics.median(one.server for one in costs))


def test_a_poll_costs_a_tenth_here_and_a_fifth_there(sides: tuple[Side, Side]) -> None:
    """9 files with 1 KB new each."""
    ratio = measured(sides, growing=True)
    assert ratio.client <= 1 / 10
    assert ratio.server <= 1 / 5


def test_a_poll_that_finds_nothing_costs_half_of_that(sides: tuple[Side, Side]) -> None:
    """The same files, with nothing new in them; beside the usual way, which finds 1 KB in each, as before."""
    ratio = measured(sides, growing=False)
    assert ratio.client <= 1 / 20
    assert ratio.server <= 1 / 10


def test_a_poll_takes_one_round_trip(shared_fleet: Fleet) -> None:
    """<= 1.1 turns of the server's on the wire, for 9 files with 1 KB new each."""
    machine = shared_fleet.add()
    metrics = Metrics(machine, FILES)
    with FaultProxy((machine.host, machine.port)) as proxy:
        ours = Ours(make_node(shared_fleet, behind(shared_fleet, machine, proxy), machine.metrics))
        ours.drain()
        before, polls = proxy.round_trips, 50
        for _ in range(polls):
            metrics.grow(NEW)
            assert ours.poll() == FILES * NEW
        turns = (proxy.round_trips - before) / polls
        ours.close()
    print(f"\nround trips: {turns:.2f} a poll")
    assert turns <= 1.1


BIG, ADDED = 200 << 20, 10_000


def test_what_is_new_in_a_big_file_is_all_that_moves(shared_fleet: Fleet) -> None:
    """+10 KB on 200 MB move <= 1.03 x the new bytes, both directions, with all that SSH adds."""
    machine = shared_fleet.add()
    metrics = Metrics(machine, 1)
    path = metrics.paths[0]
    with path.open("r+b") as stream:
        stream.truncate(BIG)  # a hole: nothing of it is read but its ends
    with FaultProxy((machine.host, machine.port)) as proxy:
        ours = Ours(make_node(shared_fleet, behind(shared_fleet, machine, proxy), machine.metrics))
        ours.knows(path.name, Known(BIG, place_digest(path.open("rb").read(WINDOW), bytes(WINDOW))))
        ours.drain()
        ratios = []
        for _ in range(10):
            metrics.grow(ADDED)
            before = proxy.up.bytes + proxy.down.bytes
            assert ours.poll() == ADDED
            ratios.append((proxy.up.bytes + proxy.down.bytes - before) / ADDED)
        ours.close()
    print(f"\n+{ADDED:,} bytes on {BIG:,}: {statistics.median(ratios):.4f} x as many move")
    assert statistics.median(ratios) <= 1.03


SMALL_FILES, SMALL = 1_000, 4096


def cpu_of_our_sync(fleet: Fleet, machine: Machine, central: Path) -> float:
    """CPU seconds, here and there, of what `ugro-tui sync` does once it is loaded, from no connection to all copied."""
    clock = RealClock()
    node = make_node(fleet, machine.name, machine.metrics)
    there, here = cpu_of_machine(machine), time.process_time()
    copies = ResultAggregator(central, clock, [node.name])
    collector = TrainingMetricsCollector([node], clock, 3600.0, aggregator=copies)
    collector.start()
    brought = copies.sync(JOB, (FileKind.LOG,), 60.0).nodes[0]
    spent = time.process_time() - here + cpu_of_machine(machine) - there
    collector.stop()
    assert (brought.files, brought.bytes, brought.error) == (SMALL_FILES, SMALL_FILES * SMALL, "")
    return spent


def cpu_of_rsync(fleet: Fleet, machine: Machine, into: Path) -> float:
    """CPU seconds, here and there, of `rsync -a` over ssh."""
    there, here = cpu_of_machine(machine), cpu_of_own_children()
    source = f"{machine.name}:{machine.metrics / JOB}/"
    subprocess.run(["rsync", "-a", "-e", f"ssh -F {fleet.ssh_config}", source, f"{into}/"], check=True)
    wait_until(lambda: len(machine.processes()) == 1)  # all have ended, and were waited for
    return cpu_of_own_children() - here + cpu_of_machine(machine) - there


def cpu_of_own_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


MEMORY = Path("/dev/shm")


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is such a disk.

    ext4 passes over inodes that were freed within minutes: after other tests, a new file may cost it a millisecond.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is missing (Debian: apt-get install rsync)")
def test_the_first_sync_of_many_small_files_costs_less_than_rsync(shared_fleet: Fleet, scratch: Path) -> None:
    """1,000 logs of 4 KB: <= 0.6 x its CPU, both sides together, into an empty directory each time."""
    machines = shared_fleet.add(), shared_fleet.add()
    for machine in machines:
        folder = machine.metrics / JOB / "logs"
        folder.mkdir(parents=True)
        for rank in range(SMALL_FILES):
            (folder / f"rank_{rank}.log").write_bytes(os.urandom(SMALL))
    bootstrap.program()  # made once by a process
    pairs = []
    for turn in range(11):
        ours = cpu_of_our_sync(shared_fleet, machines[0], scratch / f"ours-{turn}")
        pairs.append((ours, cpu_of_rsync(shared_fleet, machines[1], scratch / f"rsync-{turn}")))
    ratio = statistics.median(mine / other for mine, other in pairs)
    mine, other = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    print(f"\nfirst sync of {SMALL_FILES:,} x 4 KB: ours {mine:.0f} ms of CPU, rsync {other:.0f} ms, ratio {ratio:.2f}")
    assert ratio <= 0.6


IDLE, IDLE_SECONDS = 20, 4.0


def test_idle_connections_cost_a_fifth_of_stock_ones(shared_fleet: Fleet) -> None:
    """20 connections over which nothing goes, beside 20 of paramiko's own: the median of three rounds."""
    machine = shared_fleet.add("MaxStartups 100", "MaxSessions 100")
    machine.metrics.joinpath(JOB).mkdir()
    ratios = []
    for _ in range(3):
        nodes = [make_node(shared_fleet, machine.name, machine.metrics) for _ in range(IDLE)]
        for node in nodes:
            node.poll(Ask())
        ours = cpu_during(rest)
        for node in nodes:
            node.close()
        clients = [stock_client(shared_fleet, machine) for _ in range(IDLE)]
        stock = cpu_during(rest)
        for client in clients:
            client.close()
        each = 1e6 / IDLE / IDLE_SECONDS
        print(f"\nidle: ours {ours * each:.0f} us, stock {stock * each:.0f} us of CPU a second each", end="")
        ratios.append(ours / stock)
    print(f", ratio 1/{1 / statistics.median(ratios):.0f}")
    assert statistics.median(ratios) <= 1 / 5


def rest() -> None:
    """Let the connections be."""
    Event().wait(IDLE_SECONDS)
