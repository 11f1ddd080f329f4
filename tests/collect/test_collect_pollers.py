"""The threads that look: nodes that fail, hang or break them take nothing from the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collect.bench import Bench, Moody, calm, counts, view
from tests.writing import wait_until, whole_job
from ugro_tui.clock import SystemClock
from ugro_tui.collect import pollers
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.core.commands import Refresh
from ugro_tui.core.states import NodeState
from ugro_tui.nodes.base import NodeSilent
from ugro_tui.nodes.local import LocalNode

INTERVAL = 0.2
NODES = 64
LOOKS = 4


class Counted(Moody):
    """A node that counts how often it is asked."""

    def __init__(self, root: Path, name: str) -> None:
        super().__init__(LocalNode(root, SystemClock().time, name))
        self.name = name
        self.looks = 0
        self.then: Callable[[], None] = calm
        self.mood = self.count

    def count(self) -> None:
        self.looks += 1
        self.then()


class Crowd:
    """Many nodes, watched at a short interval by the machine's own clock."""

    def __init__(self, root: Path, count: int) -> None:
        self.nodes = [Counted(root, f"n{number}") for number in range(count)]
        self.collector = TrainingMetricsCollector(self.nodes, SystemClock(), INTERVAL)
        self.release = threading.Event()

    def hang(self) -> None:
        self.release.wait(60)
        raise NodeSilent("no answer")

    def more_looks(self, nodes: list[Counted]) -> Callable[[], bool]:
        """Whether each of them has been looked at some more times since now."""
        before = [node.looks for node in nodes]
        return lambda: all(node.looks >= seen + LOOKS for node, seen in zip(nodes, before, strict=True))

    def state(self, node: Counted) -> NodeState:
        states = (one.state for one in self.collector.snapshot().nodes if one.name == node.name)
        return next(states, NodeState.CONNECTING)


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    made = Crowd(tmp_path, NODES)
    made.collector.start()
    yield made
    made.release.set()
    made.collector.stop()


def test_one_node_of_many_that_flaps_puts_off_no_other(crowd: Crowd) -> None:
    flapping, *others = crowd.nodes
    wait_until(crowd.more_looks(crowd.nodes))
    begun = [node.looks for node in others]
    for _ in range(3):
        crowd.release.clear()
        flapping.then = crowd.hang
        asked = flapping.looks
        wait_until(lambda asked=asked: flapping.looks > asked)  # type: ignore[misc]
        wait_until(crowd.more_looks(others))
        assert flapping.looks == asked + 1
        crowd.release.set()
        wait_until(lambda: crowd.state(flapping) is not NodeState.OK)
        flapping.then = calm
        crowd.collector.request(Refresh())
        wait_until(lambda: crowd.state(flapping) is NodeState.OK)
    had = [node.looks - seen for node, seen in zip(others, begun, strict=True)]
    assert min(had) >= max(had) / 2, had
    assert {crowd.state(node) for node in others} == {NodeState.OK}


def test_many_nodes_that_hang_leave_threads_for_those_that_answer(crowd: Crowd) -> None:
    wait_until(crowd.more_looks(crowd.nodes))
    bad, good = crowd.nodes[: pollers.MOST_THREADS + 8], crowd.nodes[pollers.MOST_THREADS + 8 :]
    for node in bad:
        node.then = silent
    wait_until(lambda: all(crowd.state(node) is not NodeState.OK for node in bad))
    for node in bad:
        node.then = crowd.hang
    crowd.collector.request(Refresh())  # all of them at once, and none is left alone any more
    wait_until(lambda: crowd.collector.snapshot().cycles > 0)
    for _ in range(3):
        wait_until(crowd.more_looks(good))
    assert {crowd.state(node) for node in good} == {NodeState.OK}


def silent() -> None:
    raise NodeSilent("no answer")


class Panic(BaseException):
    """What a library may raise that is not written in Python."""


def test_what_breaks_a_look_ends_neither_its_thread_nor_its_node(
    bench: Bench, moody: Moody, caplog: pytest.LogCaptureFixture
) -> None:
    whole_job(bench.root / "job", bench.clock)
    collector = bench.collector(moody)
    bench.done(collector)

    def panic() -> None:
        raise Panic

    moody.mood = panic
    threads = threading.active_count()
    lost = collector.request(Refresh()).number
    wait_until(lambda: "looking at moody failed" in caplog.text)
    moody.mood = calm
    snapshot = bench.done(collector)
    assert lost in [answer.number for answer in snapshot.answers]
    assert (snapshot.nodes[0].error, counts(view(snapshot, "job"))) == ("", (20, 0, 20))
    assert threading.active_count() == threads
