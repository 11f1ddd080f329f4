"""Nodes with a central copy: bytes arrive whole, across restarts, replacements, outages and two applications."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.collect.bench import DAY, NEVER, Bench, Moody, counts, view
from tests.writing import RankWriter, finished_job, wait_until
from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.core.commands import OpenJob, Sync
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.states import NodeState
from ugro_tui.nodes.base import HostKeyUnknown, NodeUnreachable
from ugro_tui.nodes.local import LocalNode


class Lab:
    """Two nodes, each a directory of its own, and applications on one central directory."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.clock = bench.clock
        self.folder = folder
        self.central = folder / "central"
        for name in ("n1", "n2"):
            self.root(name).mkdir(parents=True)
        self.nodes: dict[str, Moody] = {}

    def root(self, node: str) -> Path:
        return self.folder / node

    def node(self, name: str) -> Moody:
        """A node that works until a test has other plans."""
        made = Moody(LocalNode(self.root(name), self.clock.time, name))
        made.name = name
        self.nodes[name] = made
        return made

    def app(self, *names: str, keep: bool = True) -> TrainingMetricsCollector:
        """An application on these nodes, that looks only when it is asked to."""
        nodes = [self.node(name) for name in names or ("n1", "n2")]
        aggregator = ResultAggregator(self.central, self.clock, [node.name for node in nodes])
        made = TrainingMetricsCollector(nodes, self.clock, NEVER, aggregator=aggregator, keep=keep)
        self.bench.collectors.append(made)
        made.start()
        self.bench.done(made)
        return made

    def copy(self, *parts: str) -> Path:
        return self.central.joinpath("jobs", *parts)

    def event_file(self, node: str, rank: int, data: bytes, name: str = "events.out.tfevents.1.host.2.0") -> Path:
        path = self.root(node) / "job" / "tensorboard" / f"rank_{rank}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(data)
        return path

    def log(self, node: str, rank: int, text: str) -> Path:
        path = self.root(node) / "job" / "logs" / f"rank_{rank}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            stream.write(text)
        return path


@pytest.fixture
def lab(bench: Bench, tmp_path: Path) -> Lab:
    return Lab(bench, tmp_path / "lab")


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def same(copy: Path, source: Path) -> bool:
    return copy.exists() and sha(copy) == sha(source)


def two_ranks(lab: Lab) -> list[RankWriter]:
    """A job of two ranks, one on each node."""
    writers = [RankWriter(lab.root(f"n{rank + 1}") / "job", rank, lab.clock) for rank in range(2)]
    for writer in writers:
        writer.start(world_size=2, total_steps=100, host="same-host-name")
        writer.steps(1, 20)
        writer.heartbeat(step=20)
    return writers


def test_a_job_is_the_union_of_its_nodes_and_each_file_is_copied(lab: Lab) -> None:
    writers = two_ranks(lab)
    writers[0].document("job.json", {"status": "running"})
    writers[1].document("errors/rank_1.json", {"message": "broken"})
    events, log = lab.event_file("n2", 1, b"events"), lab.log("n2", 1, "hello\n")
    snapshot = lab.bench.done(lab.app())
    job = view(snapshot, "job")
    assert [(rank.rank, rank.node, rank.records) for rank in job.summary.per_rank_stats] == [
        (0, "n1", 20),
        (1, "n2", 20),
    ]
    for copy, source in (
        ("metrics/n1/metrics.jsonl", writers[0].metrics),
        ("metrics/n2/metrics.rank-1.jsonl", writers[1].metrics),
        ("heartbeat/n1/heartbeat.rank-0.json", writers[0].folder / "heartbeat.rank-0.json"),
        ("errors/n2/rank_1.json", writers[1].folder / "errors" / "rank_1.json"),
        ("tensorboard/n2/rank_1/events.out.tfevents.1.host.2.0", events),
        ("logs/n2/rank_1.log", log),
        ("job.json", writers[0].folder / "job.json"),
    ):
        assert same(lab.copy("job", copy), source), copy
    assert (lab.central.stat().st_mode & 0o777, lab.copy("job", "logs/n2/rank_1.log").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


def test_what_follows_is_appended_and_a_restart_goes_on_where_the_copy_ends(lab: Lab) -> None:
    writers = two_ranks(lab)
    app = lab.app()
    writers[0].steps(21, 30)
    assert counts(view(lab.bench.done(app), "job")) == (30, 0, 30)
    app.stop()
    writers[0].steps(31, 40)
    again = lab.app()
    assert counts(view(lab.bench.done(again), "job")) == (40, 0, 40)
    assert same(lab.copy("job", "metrics/n1/metrics.jsonl"), writers[0].metrics)


def test_the_copy_is_shown_while_the_node_is_away_and_its_ranks_are_called_unreachable(lab: Lab) -> None:
    writers = two_ranks(lab)
    lab.app().stop()
    app = lab.app("n1")

    def away() -> None:
        raise NodeUnreachable("n1 cannot be reached: connection refused: look at sshd")

    for writer in writers:
        writer.steps(21, 25)
    lab.nodes["n1"].mood = away
    app.stop()
    nodes = [lab.node("n1"), lab.node("n2")]
    nodes[0].mood = away
    aggregator = ResultAggregator(lab.central, lab.clock, ["n1", "n2"])
    app = TrainingMetricsCollector(nodes, lab.clock, NEVER, aggregator=aggregator)
    lab.bench.collectors.append(app)
    app.start()
    snapshot = lab.bench.done(app)
    job = view(snapshot, "job").summary
    assert [(rank.state, rank.step) for rank in job.per_rank_stats] == [("unreachable", 20), ("running", 25)]
    assert "connection refused" in snapshot.nodes[0].error
    assert snapshot.nodes[0].state is not NodeState.OK
    assert not [alert for alert in job.alerts if alert.rank == 0 and alert.name == "rank stalled"]
    for _ in range(3):
        snapshot = lab.bench.done(app)
    nodes[0].mood = lambda: None
    assert [rank.step for rank in view(lab.bench.done(app), "job").summary.per_rank_stats] == [25, 25]


def test_another_file_under_the_path_is_a_new_generation_and_the_old_bytes_are_kept(lab: Lab) -> None:
    writer = two_ranks(lab)[0]
    events = lab.event_file("n1", 0, b"first" * 200)
    app = lab.app()
    former, former_events = writer.metrics.read_bytes(), events.read_bytes()
    writer.metrics.unlink()
    events.write_bytes(b"second")
    writer.start(run_id="another", attempt=2)
    writer.steps(1, 3)
    snapshot = lab.bench.done(app, Sync("job"))
    assert view(snapshot, "job").summary.attempt == 2
    assert same(lab.copy("job", "metrics/n1/metrics.jsonl"), writer.metrics)
    assert same(lab.copy("job", "tensorboard/n1/rank_0", events.name), events)
    kept = {path.read_bytes() for path in lab.copy("job", "generations").rglob("*") if path.is_file()}
    assert kept == {former, former_events}
    assert not list(lab.copy("job", "generations").rglob("*tfevents*"))
    assert "2 files were replaced" in " ".join(snapshot.notices)


def test_replaced_while_nobody_looked_is_noticed_after_a_restart(lab: Lab) -> None:
    writer = two_ranks(lab)[0]
    lab.app().stop()
    former = writer.metrics.read_bytes()
    writer.metrics.unlink()
    writer.start(run_id="another", attempt=2)
    writer.steps(1, 60)
    assert writer.metrics.stat().st_size > len(former)
    snapshot = lab.bench.done(lab.app())
    assert same(lab.copy("job", "metrics/n1/metrics.jsonl"), writer.metrics)
    assert [path.read_bytes() for path in lab.copy("job", "generations").rglob("*") if path.is_file()] == [former]
    assert view(snapshot, "job").summary.attempt == 2


def test_a_file_that_was_rotated_away_is_read_to_its_end_first(lab: Lab) -> None:
    writer = two_ranks(lab)[0]
    app = lab.app()
    writer.steps(21, 30)
    former = writer.metrics.read_bytes()
    writer.metrics.rename(writer.metrics.with_name("metrics.jsonl.1"))
    writer.steps(31, 40)
    snapshot = lab.bench.done(app)
    assert counts(view(snapshot, "job")) == (40, 0, 40)
    assert same(lab.copy("job", "metrics/n1/metrics.jsonl"), writer.metrics)
    assert [path.read_bytes() for path in lab.copy("job", "generations").rglob("*") if path.is_file()] == [former]


def test_a_second_application_reads_what_the_first_copies_and_takes_over_when_it_ends(lab: Lab) -> None:
    writers = two_ranks(lab)
    first = lab.app()
    second = lab.app()
    asked: list[str] = []
    for node in lab.nodes.values():
        node.mood = lambda: asked.append("")
    writers[0].steps(21, 30)
    assert "ugro-tui (pid" in lab.bench.done(second).reading
    assert counts(view(lab.bench.done(second), "job")) == (20, 0, 20)
    assert asked == []
    lab.bench.done(first)
    snapshot = lab.bench.done(second)
    assert counts(view(snapshot, "job")) == (30, 0, 30)
    assert {node.via for node in snapshot.nodes} == {"mirror"}
    first.stop()
    lab.clock.now += 5
    writers[0].steps(31, 40)
    snapshot = lab.bench.done(second)
    assert (counts(view(snapshot, "job")), snapshot.reading) == ((40, 0, 40), "")
    assert asked
    assert same(lab.copy("job", "metrics/n1/metrics.jsonl"), writers[0].metrics)


def test_a_sync_says_what_came_from_which_node(lab: Lab) -> None:
    two_ranks(lab)
    lab.event_file("n1", 0, b"x" * 1000)
    lab.event_file("n2", 1, b"y" * 500)
    lab.event_file("n2", 1, b"z" * 50, "events.out.tfevents.2.host.3.0")
    app = lab.app(keep=False)
    assert not lab.copy("job", "tensorboard").exists()
    snapshot = lab.bench.done(app, Sync("job"))
    assert snapshot.sync is not None
    assert [(node.node, node.files, node.bytes, node.done, node.error) for node in snapshot.sync.nodes] == [
        ("n1", 1, 1000, True, ""),
        ("n2", 2, 550, True, ""),
    ]
    again = lab.bench.done(app, Sync("job")).sync
    assert again is not None
    assert [(node.files, node.bytes) for node in again.nodes] == [(0, 0), (0, 0)]


def test_a_sync_names_the_node_that_failed_and_brings_the_rest(lab: Lab) -> None:
    two_ranks(lab)
    lab.event_file("n2", 1, b"y" * 500)
    nodes = [lab.node("n1"), lab.node("n2")]
    aggregator = ResultAggregator(lab.central, lab.clock, ["n1", "n2"])
    app = TrainingMetricsCollector(nodes, lab.clock, NEVER, aggregator=aggregator)
    lab.bench.collectors.append(app)

    def away() -> None:
        raise HostKeyUnknown("n1: its host key is not known")

    nodes[0].mood = away
    app.start()
    lab.bench.done(app)
    report = aggregator.sync_tensorboard("job", 60)
    assert [(node.node, node.bytes, node.error) for node in report.nodes] == [
        ("n1", 0, "n1: its host key is not known"),
        ("n2", 500, ""),
    ]


def test_a_summary_comes_from_the_copies_alone(lab: Lab) -> None:
    two_ranks(lab)
    lab.app().stop()
    shutil.rmtree(lab.root("n1"))
    aggregator = ResultAggregator(lab.central, lab.clock, ["n1", "n2"])
    summary = aggregator.get_job_summary("job")
    assert [(rank.rank, rank.records) for rank in summary.per_rank_stats] == [(0, 20), (1, 20)]
    with pytest.raises(BadInput, match="no copy of job other"):
        aggregator.get_job_summary("other")
    with pytest.raises(UgroError, match="no collector runs"):
        aggregator.sync_logs("job")


def test_old_jobs_are_listed_and_copied_when_opened(lab: Lab) -> None:
    finished_job(lab.root("n1") / "old", lab.clock)
    lab.clock.now += 2 * DAY
    app = lab.app()
    assert app.snapshot().listed == ("old",)
    assert not lab.copy("old").exists()
    snapshot = lab.bench.done(app, OpenJob("old"))
    assert snapshot.answers[-1].problem == ""
    assert lab.copy("old", "metrics/n1/metrics.jsonl").exists()
    assert lab.bench.done(app, OpenJob("nowhere")).answers[-1].problem == "no job nowhere here"


def test_a_copy_that_somebody_changed_is_read_again_and_nothing_is_written_after_it(lab: Lab) -> None:
    writer = two_ranks(lab)[0]
    app = lab.app()
    copy = lab.copy("job", "metrics/n1/metrics.jsonl")
    with copy.open("ab") as stream:
        stream.write(b"not from the node\n")
    writer.steps(21, 30)
    wait_until(lambda: lab.bench.done(app) and same(copy, writer.metrics))
    assert counts(view(lab.bench.done(app), "job")) == (30, 0, 30)
    kept = [path.read_bytes() for path in lab.copy("job", "generations").rglob("*") if path.is_file()]
    assert len(kept) == 1
    assert kept[0].endswith(b"not from the node\n")


def test_without_a_usable_central_directory_the_nodes_are_read_on_and_it_is_said(lab: Lab) -> None:
    writers = two_ranks(lab)
    lab.central.write_text("a file is in the way")
    app = lab.app()
    snapshot = lab.bench.done(app)
    assert counts(view(snapshot, "job")) == (20, 0, 20)
    assert str(lab.central) in " ".join(snapshot.notices)
    os.unlink(lab.central)
    lab.clock.now += 5
    writers[0].steps(21, 30)
    snapshot = lab.bench.done(app)
    assert (snapshot.notices, counts(view(snapshot, "job"))) == ((), (30, 0, 30))
    assert same(lab.copy("job", "metrics/n1/metrics.jsonl"), writers[0].metrics)


def test_a_job_that_is_over_is_drawn_again_when_its_nodes_are_reached(lab: Lab) -> None:
    two_ranks(lab)
    lab.app().stop()
    lab.clock.now += 1000  # the ranks have died meanwhile
    nodes = [lab.node("n1"), lab.node("n2")]
    release = threading.Event()

    def wait() -> None:
        release.wait(60)

    nodes[1].mood = wait
    aggregator = ResultAggregator(lab.central, lab.clock, ["n1", "n2"])
    app = TrainingMetricsCollector(nodes, lab.clock, NEVER, aggregator=aggregator)
    lab.bench.collectors.append(app)
    app.start()

    def states() -> list[str]:
        job = app.snapshot().job("job")
        return [rank.state for rank in job.summary.per_rank_stats] if job else []

    wait_until(lambda: states() == ["dead", "unreachable"])
    assert not [alert for alert in view(app.snapshot(), "job").summary.alerts if alert.name == "node unreachable"]
    release.set()
    wait_until(lambda: states() == ["dead", "dead"])
