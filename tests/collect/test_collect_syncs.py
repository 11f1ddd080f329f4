"""A sync always ends, and a node that the writer of the central directory leaves out is read all the same."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.collect.bench import NEVER, Bench, Moody
from tests.writing import whole_job
from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.nodes.base import NodeAuth
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
    first.stop()
    bench.clock.now += 5
    snapshot = bench.done(second)
    assert (snapshot.reading, snapshot.notices) == ("", ())
    assert (central / "jobs" / "job" / "metrics" / "n2" / "metrics.jsonl").exists()
