"""A process that watches many nodes and says what that costs it: `python -m tests.benchmarks.watching SETTINGS`.

It says when all nodes are followed, then waits for a line, measures, and says what it found as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import ugro_tui.nodes.transport  # noqa: F401 - what a connection imports is no part of what connections cost
from tests.benchmarks.node_costs import RealClock
from tests.writing import wait_until
from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.states import NodeState
from ugro_tui.nodes.base import Ask, Node, Probe, Ran, Reply
from ugro_tui.nodes.fleet import make_nodes
from ugro_tui.nodes.inventory import NodeSpec
from ugro_tui.nodes.secrets import Secrets


@dataclass(frozen=True)
class Settings:
    """What is watched. `places`: for each node the name that leads to its sshd, and its metrics directory."""

    ssh_config: str
    central: str
    places: Sequence[tuple[str, str]]
    interval: float
    seconds: float


@dataclass(frozen=True)
class Found:
    """`cpu`: seconds in `seconds`. `before` and `after`: bytes of memory, with all modules loaded and at the end."""

    polls: int
    cpu: float
    seconds: float
    before: int
    after: int


class Counting:
    """A node whose polls are counted."""

    def __init__(self, node: Node) -> None:
        self.name = node.name
        self.polls = 0
        self._node = node

    @property
    def via(self) -> str:
        return self._node.via

    def poll(self, ask: Ask) -> Reply:
        self.polls += 1
        return self._node.poll(ask)

    def probe(self) -> Probe:
        return self._node.probe()

    def health(self) -> NodeHealth:
        return self._node.health()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = 30.0) -> Ran:
        return self._node.run(argv, stdin=stdin, seconds=seconds)

    def close(self) -> None:
        self._node.close()


def memory() -> int:
    """Bytes of this process that are in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def watch(settings: Settings) -> None:
    """Watch as `ugro-tui` does, without a screen."""
    before, clock = memory(), RealClock()
    specs = [NodeSpec(f"n{number}", to, metrics_dir=place) for number, (to, place) in enumerate(settings.places)]
    made = make_nodes(specs, Path(), "~", Path(settings.ssh_config), Secrets(), clock)
    nodes = [Counting(node) for node in made]
    copies = ResultAggregator(Path(settings.central), clock, [node.name for node in nodes])
    collector = TrainingMetricsCollector(nodes, clock, settings.interval, aggregator=copies)
    collector.start()
    wait_until(lambda: followed(collector), 120.0)
    print("ready", flush=True)
    sys.stdin.readline()
    polls, cpu, begun = sum(node.polls for node in nodes), time.process_time(), time.monotonic()
    threading.Event().wait(settings.seconds)
    found = Found(
        polls=sum(node.polls for node in nodes) - polls,
        cpu=time.process_time() - cpu,
        seconds=time.monotonic() - begun,
        before=before,
        after=memory(),
    )
    assert followed(collector)
    print(json.dumps(asdict(found)), flush=True)
    collector.stop()


def followed(collector: TrainingMetricsCollector) -> bool:
    """Whether every node answers, and has done so twice."""
    snapshot = collector.snapshot()
    return snapshot.cycles >= 2 and all(node.state is NodeState.OK and not node.error for node in snapshot.nodes)


if __name__ == "__main__":
    watch(Settings(**json.loads(Path(sys.argv[1]).read_text())))
