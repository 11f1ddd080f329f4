"""A sync always ends, and a node that the writer of the central directory leaves out is read all the same."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from tests.collect.bench import NEVER, Bench, Moody
from tests.writing import wait_until, whole_job
from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.core.commands import Sync
from ugro_tui.core.states import NodeState
from ugro_tui.nodes.base import NodeAuth, NodeLost
from ugro_tui.nodes.local import LocalNode


@pytest.fixture
def central(tmp_path: Path) -> Path:
    return tmp_path / "central"


def watching(bench: Bench, central: Path, *nodes: Moody) -> tuple[TrainingMetricsCollector, ResultAggregator]:
    aggregator = ResultAggregator(central, bench.clock, [node.name for node in nodes])
    made = TrainingMetricsCollector(nodes, bench.clock, NEVER, aggregator=aggregator)
    bench.collectors.append(made)
    return made, aggregator


def named(bench: Bench, name: str) -> Moody:
    node = Moody(LocalNode(bench.root, bench.clock.time, name))
    node.name = name
    return node


def test_a_sync_that_is_asked_for_while_a_login_fails_ends_with_that(bench: Bench, central: Path) -> None:
    node, looking, asked = named(bench, "n1"), threading.Event(), threading.Event()

    def refused() -> None:
        looking.set()
        assert asked.wait(30)
        raise NodeAuth("n1: no key fits")

    node.mood = refused
    collector, aggregator = watching(bench, central, node)
    collector.start()
    assert looking.wait(30)
    told: list[str] = []
    sync = threading.Thread(target=lambda: told.extend(one.error for one in aggregator.sync("job", seconds=30).nodes))
    sync.start()
    asked.set()
    sync.join(60)
    assert told == ["n1: no key fits"]


def test_a_sync_begins_what_was_not_begun(bench: Bench, central: Path) -> None:
    whole_job(bench.root / "job", bench.clock)
    (bench.root / "job" / "logs").mkdir()
    (bench.root / "job" / "logs" / "rank_0.log").write_text("hello\n")
    _, aggregator = watching(bench, central, named(bench, "n1"))
    (node,) = aggregator.sync("job", seconds=30).nodes
    assert (node.files, node.bytes, node.error) == (1, 6, "")


class Losing:
    """A mood: so many questions in a row find that the connection has ended."""

    def __init__(self) -> None:
        self.losses = 0
        self.asked = 0

    def __call__(self) -> None:
        self.asked += 1
        if self.losses:
            self.losses -= 1
            raise NodeLost("n1: the connection has ended")


@pytest.fixture
def losing() -> Losing:
    return Losing()


def test_a_sync_goes_on_over_a_new_connection_once(bench: Bench, central: Path, losing: Losing) -> None:
    whole_job(bench.root / "job", bench.clock)
    node = named(bench, "n1")
    collector, aggregator = watching(bench, central, node)
    collector.start()
    bench.done(collector)
    node.mood = losing
    losing.losses = 1
    assert [one.error for one in aggregator.sync(seconds=30).nodes] == [""]
    assert (losing.asked, collector.snapshot().nodes[0].state) == (2, NodeState.OK)
    losing.losses = 2
    assert [one.error for one in aggregator.sync(seconds=30).nodes] == ["n1: the connection has ended"]
    assert losing.asked == 4
    losing.losses = 1  # this time it is not known to have worked
    assert [one.error for one in aggregator.sync(seconds=30).nodes] == ["n1: the connection has ended"]
    assert losing.asked == 5


def test_a_connection_that_dies_in_the_middle_of_a_sync_is_made_anew(
    bench: Bench, central: Path, losing: Losing
) -> None:
    whole_job(bench.root / "job", bench.clock)
    node = named(bench, "n1")
    node.mood = losing
    losing.asked = -1

    def first_then_lost() -> None:
        if losing.asked == 0:  # the jobs there are known now, and nothing of them
            losing.losses = 1
        losing()

    node.mood = first_then_lost
    _, aggregator = watching(bench, central, node)
    assert [one.error for one in aggregator.sync(seconds=30).nodes] == [""]
    assert (central / "jobs" / "job" / "metrics" / "n1" / "metrics.jsonl").exists()
    assert losing.asked == 2


def test_where_nobody_waits_a_lost_connection_is_left_to_the_next_look(
    bench: Bench, central: Path, losing: Losing
) -> None:
    whole_job(bench.root / "job", bench.clock)
    node = named(bench, "n1")
    collector, _ = watching(bench, central, node)
    collector.start()
    bench.done(collector)
    node.mood = losing
    losing.losses = 1
    collector.start_collection("job")  # has all nodes looked at, and is no question of a person
    wait_until(lambda: collector.snapshot().nodes[0].state is NodeState.SILENT)
    assert losing.asked == 1


def test_a_node_that_the_writer_does_not_watch_is_asked(bench: Bench, central: Path) -> None:
    whole_job(bench.root / "job", bench.clock)
    first, _ = watching(bench, central, named(bench, "n1"))
    first.start()
    bench.done(first)
    second, _ = watching(bench, central, named(bench, "n1"), named(bench, "n2"))
    second.start()
    snapshot = bench.done(second)
    assert {node.name: node.via for node in snapshot.nodes} == {"n1": "mirror", "n2": "in place"}
    assert snapshot.job("job") is not None
    assert " writes " in snapshot.reading
    (notice,) = snapshot.notices
    assert notice.endswith(f" writes {central} and does not watch n2: that is read without a copy")
    refused = bench.done(second, Sync("job"))
    assert refused.sync is None, "no sync has failed: there was none"
    pid = f"ugro-tui (pid {os.getpid()} on {socket.gethostname()}) writes {central}"
    (answer,) = (one for one in refused.answers if one.said)
    assert answer.said == f"{pid} and syncs by itself once a minute: press S there, or end it first"
    assert answer.problem == ""
    first.stop()
    bench.clock.now += 5
    snapshot = bench.done(second)
    assert (snapshot.reading, snapshot.notices) == ("", ())
    synced = bench.done(second, Sync("job")).sync
    assert synced is not None
    assert [node.error for node in synced.nodes] == ["", ""]
    assert (central / "jobs" / "job" / "metrics" / "n2" / "metrics.jsonl").exists()
