"""A metrics directory with collectors on it, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.writing import Clock, wait_until
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.core.commands import Command, Refresh
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.nodes.base import Ask, Node, Probe, Ran, Reply
from ugro_tui.nodes.local import LocalNode

DAY = 86_400.0
NEVER = 3600.0


class Bench:
    """A metrics directory and the collectors on it, which look only when they are asked to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()
        self.collectors: list[TrainingMetricsCollector] = []

    def collector(self, *nodes: Node, only: str | None = None, started: bool = True) -> TrainingMetricsCollector:
        chosen = nodes or (LocalNode(self.root, self.clock.time),)
        made = TrainingMetricsCollector(chosen, self.clock, NEVER, only)
        self.collectors.append(made)
        if started:
            made.start()
        return made

    def done(self, collector: TrainingMetricsCollector, command: Command | None = None) -> Snapshot:
        """The snapshot that answers `command` (a refresh)."""
        number = collector.request(command or Refresh()).number
        wait_until(lambda: any(answer.number == number for answer in collector.snapshot().answers))
        return collector.snapshot()


def view(snapshot: Snapshot, job_id: str) -> JobView:
    found = snapshot.job(job_id)
    assert found is not None
    return found


def counts(view: JobView) -> tuple[int, int, float]:
    """Records, lost lines and newest step of rank 0."""
    rank = view.summary.per_rank_stats[0]
    return rank.records, rank.lost, rank.step


def calm() -> None:
    """Nothing happens."""


class Moody:
    """A node that does what a test tells it to, in front of a real one."""

    name = "moody"
    via = "in place"

    def __init__(self, node: Node) -> None:
        self.node = node
        self.mood: Callable[[], None] = calm

    def poll(self, ask: Ask) -> Reply:
        self.mood()
        return self.node.poll(ask)

    def probe(self) -> Probe:
        return self.node.probe()

    def health(self) -> NodeHealth:
        return self.node.health()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = 30.0) -> Ran:
        return self.node.run(argv, stdin=stdin, seconds=seconds)

    def close(self) -> None:
        self.node.close()
