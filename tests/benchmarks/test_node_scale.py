"""Hundreds of nodes at once, each over a real connection of its own, in a process that does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from threading import Event, Thread

import pytest

from tests.benchmarks.node_costs import JOB
from tests.benchmarks.watching import Found, Settings
from tests.sshd import Fleet, fleet
from tests.writing import RankWriter, now_clock

pytestmark = pytest.mark.bench

__all__ = ["fleet"]

MANY, FEW, MACHINES = 256, 16, 4
INTERVAL, SECONDS = 5.0, 25.0
GROWING_SECONDS = 2.0
STOPPING_SECONDS = 20.0


@contextmanager
def growing(writers: Sequence[RankWriter]) -> Iterator[None]:
    """Each rank makes a step now and then."""
    over = Event()

    def grow() -> None:
        step = 21
        while not over.wait(GROWING_SECONDS):
            for writer in writers:
                writer.clock = now_clock()
                writer.steps(step, step)
                writer.heartbeat(step=step)
            step += 1

    thread = Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def watchers(fleet: Fleet, places: Sequence[tuple[str, str]], counts: Sequence[int]) -> list[Found]:
    """What it costs to watch the first so many places, for each of `counts`, all in the same seconds."""
    processes = []
    for count in counts:
        settings = fleet.folder / f"watch-{count}.json"
        central = fleet.folder / f"central-{count}"
        said = Settings(str(fleet.ssh_config), str(central), places[:count], INTERVAL, SECONDS)
        settings.write_text(json.dumps(asdict(said)))
        argv = [sys.executable, "-m", "tests.benchmarks.watching", str(settings)]
        processes.append(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=SECONDS + STOPPING_SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [Found(**json.loads(answer)) for answer in answers]


@pytest.mark.timeout(400)
def test_hundreds_of_nodes_cost_a_tenth_of_a_core(fleet: Fleet) -> None:
    """256 nodes with a run of a rank each, every 5 s, copied: <= 10 % of a core, <= 90 MiB; a poll as dear as of 16."""
    machines = [fleet.add("MaxStartups 500") for _ in range(MACHINES)]
    places, writers = [], []
    for number in range(MANY):
        machine = machines[number % MACHINES]
        root = machine.home / f"node-{number}"
        writer = RankWriter(root / JOB, number, now_clock())
        writer.start(world_size=MANY, total_steps=100_000)
        writer.steps(1, 20)
        places.append((machine.name, str(root)))
        writers.append(writer)
    with growing(writers):
        few, many = watchers(fleet, places, (FEW, MANY))
    for count, found in ((FEW, few), (MANY, many)):
        took, each = found.cpu / found.seconds, found.cpu / found.polls * 1e3
        grown = (found.after - found.before) / 2**20
        print(
            f"\n{count} nodes: {took:.1%} of a core, {each:.2f} ms a poll, {found.before >> 20} + {grown:.1f} MiB",
            end="",
        )
    ratio = (many.cpu / many.polls) / (few.cpu / few.polls)
    print(f"; a poll at {MANY} costs {ratio:.2f} x that at {FEW}")
    assert many.polls >= MANY * (SECONDS // INTERVAL - 1)
    assert many.cpu / many.seconds <= 0.10
    assert many.after - many.before <= 90 << 20
    assert ratio <= 1.2
