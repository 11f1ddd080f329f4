"""Metrics out of the real files of a job: in place, and as copies of many nodes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tfrecords import event_file, framed, scalar_event
from tests.writing import Clock, RankWriter, as_ordinary_user
from ugro_tui.collect import following, metrics
from ugro_tui.collect.job_files import JobFiles
from ugro_tui.collect.metrics import LinesReader, NamesReader
from ugro_tui.collect.mirror import Mirror
from ugro_tui.core.archive import Finding, Lines, MetricLines, MetricNames
from ugro_tui.core.layout import classify


@pytest.fixture
def clock() -> Clock:
    return Clock()


def reader(root: Path, metric: str, rank: int | None = None, *, copied: bool = False) -> LinesReader:
    """A reader of one metric of the job called `job`."""
    return LinesReader(JobFiles(root, copied=copied), MetricLines("job", metric, rank), ": copy them first")


def whole(read: Callable[[], Finding[Lines]]) -> Lines:
    """What is found when it is no longer being read."""
    while (found := read()).loading:
        pass
    assert found.content is not None
    return found.content


def points(lines: Lines) -> dict[int, list[tuple[float, float]]]:
    """The (step, value) of each rank."""
    return {line.rank: list(zip(line.step.tolist(), line.value.tolist(), strict=True)) for line in lines.lines}


def add_events(folder: Path, rank: int, name: str, data: bytes) -> None:
    """Append to an event file."""
    file = folder / "tensorboard" / f"rank_{rank}" / f"events.out.tfevents.{name}"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as stream:
        stream.write(data)


def test_every_kind_of_metric_of_every_rank(tmp_path: Path, clock: Clock) -> None:
    for rank in (0, 1):
        writer = RankWriter(tmp_path / "job", rank, clock)
        writer.start()
        writer.steps(1, 2, lr=0.5, phases={"data": 0.25}, gpu={"util": 90.0}, metrics={"acc": rank + 0.5})
        add_events(writer.folder, rank, "1.host", event_file(["val/loss", "loss"], [1, 3]))
    names = NamesReader(JobFiles(tmp_path, copied=False), MetricNames("job"))
    found = names.read().content
    assert found == ("loss", "lr", "throughput", "phases.data", "gpu.util", "metrics.acc", "val/loss")
    assert names.read().content is found
    told = {metric: points(whole(reader(tmp_path, metric).read)) for metric in (*found, "events:loss")}
    assert told["loss"] == {rank: [(1, 10.0), (2, 5.0)] for rank in (0, 1)}
    assert told["phases.data"] == {rank: [(1, 0.25), (2, 0.25)] for rank in (0, 1)}
    assert told["metrics.acc"] == {0: [(1, 0.5), (2, 0.5)], 1: [(1, 1.5), (2, 1.5)]}
    assert told["val/loss"] == told["events:loss"] == {rank: [(1, 1), (3, 3)] for rank in (0, 1)}
    lines = whole(reader(tmp_path, "loss", 1).read)
    assert (list(points(lines)), lines.ranks) == ([1], 1)


def test_what_grows_is_read_on_and_what_does_not_is_the_same_object(tmp_path: Path, clock: Clock) -> None:
    writers = [RankWriter(tmp_path / "job", rank, clock) for rank in (0, 1)]
    for writer in writers:
        writer.start()
        writer.steps(1, 3)
    read = reader(tmp_path, "loss").read
    first = whole(read)
    assert whole(read) is first
    writers[1].raw(b'{"v": 1, "kind": "step", "step": 4, "lo')
    assert whole(read) is not None
    writers[1].raw(b'ss": 7.0}\n')
    last = whole(read)
    assert points(last)[1] == [*points(first)[1], (4, 7.0)]
    assert last.lines[0] is first.lines[0]


def test_only_new_bytes_are_read(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = RankWriter(tmp_path / "job", 0, clock)
    writer.start()
    writer.steps(1, 1000)
    read = reader(tmp_path, "loss").read
    whole(read)
    real, asked = os.pread, list[int]()

    def counted(handle: int, most: int, offset: int) -> bytes:
        data = real(handle, most, offset)
        asked.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    whole(read)
    assert asked == []
    writer.steps(1001, 1001)
    assert len(points(whole(read))[0]) == 1001
    assert 0 < sum(asked) < 1000


@pytest.mark.parametrize("replace", [True, False])
def test_a_file_that_was_replaced_or_cut_is_read_anew(tmp_path: Path, clock: Clock, replace: bool) -> None:
    writer = RankWriter(tmp_path / "job", 0, clock)
    writer.start()
    writer.steps(1, 5)
    read = reader(tmp_path, "loss").read
    whole(read)
    if replace:
        writer.metrics.unlink()
    else:
        os.truncate(writer.metrics, 0)
    writer.start()
    writer.steps(11, 20 if replace else 12)
    assert points(whole(read))[0][:2] == [(11, 10 / 11), (12, 10 / 12)]


def test_a_new_attempt_supersedes_the_tail_of_the_old_one(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "job"
    writer = RankWriter(folder, 0, clock)
    writer.start()
    writer.steps(1, 4, metrics={"eval": 1})
    writer.start(attempt=2)
    writer.steps(3, 3)
    assert points(whole(reader(tmp_path, "metrics.eval").read)) == {0: [(1, 1), (2, 1)]}
    add_events(folder, 0, "100.host", event_file(["t"], [1, 2, 3]))
    add_events(folder, 0, "200.host", framed(scalar_event("t", 2, 20.0)))
    read = reader(tmp_path, "t").read
    assert points(whole(read)) == {0: [(1, 1), (2, 20)]}
    add_events(folder, 0, "200.host", framed(scalar_event("t", 3, 30.0)))
    assert points(whole(read)) == {0: [(1, 1), (2, 20), (3, 30)]}


def copy_of(root: Path, node: str, writer: RankWriter, size: int | None = None) -> None:
    """The central copy of a node's metrics file, of its first `size` bytes."""
    file = classify(writer.metrics.name)
    assert file is not None
    age = writer.clock.time() - writer.metrics.stat().st_mtime
    Mirror(root, node, writer.clock).append("job", file, 0, writer.metrics.read_bytes()[:size], age)


def test_copies_of_a_shared_file_count_once_and_a_rank_that_moved_is_one_line(tmp_path: Path, clock: Clock) -> None:
    root = tmp_path / "jobs"
    writer = RankWriter(tmp_path / "shared", 0, clock)
    writer.start(run_id="a" * 300)
    writer.steps(1, 6)
    copy_of(root, "n1", writer, 1500)
    copy_of(root, "n2", writer)
    read = reader(root, "loss", copied=True).read
    assert [step for step, _ in points(whole(read))[0]] == [1, 2, 3, 4, 5, 6]
    clock.now += 100
    moved = RankWriter(tmp_path / "other", 0, clock)
    moved.start(run_id="b" * 300)
    moved.steps(5, 7)
    copy_of(root, "n0", moved)
    lines = whole(read)
    assert [step for step, _ in points(lines)[0]] == [1, 2, 3, 4, 5, 6, 7]
    assert lines.ranks == 1
    assert lines.lines[0].time[3:5].tolist() == [writer.clock.time() - 100 - 2, clock.time() - 2]


def test_event_files_that_many_nodes_show_count_once(tmp_path: Path, clock: Clock) -> None:
    file = classify("tensorboard/rank_3/events.out.tfevents.1.host")
    assert file is not None
    for node, steps in (("n1", 2), ("n2", 5)):
        Mirror(tmp_path, node, clock).append("job", file, 0, event_file(["t"], range(1, steps + 1)), 0.0)
    lines = whole(reader(tmp_path, "t", copied=True).read)
    assert points(lines) == {3: [(step, step) for step in range(1, 6)]}
    names = NamesReader(JobFiles(tmp_path, copied=True), MetricNames("job"))
    assert names.read().content == ("t",)


def test_of_many_ranks_some_that_are_spread_evenly(tmp_path: Path, clock: Clock) -> None:
    for rank in range(150):
        RankWriter(tmp_path / "job", rank, clock).steps(1, 1, **({} if rank else {"metrics": {"mine": 1}}))
    lines = whole(reader(tmp_path, "loss").read)
    ranks = [line.rank for line in lines.lines]
    assert (len(ranks), ranks[0], ranks[-1], lines.ranks) == (metrics.MOST_LINES, 0, 149, 150)
    assert max(later - rank for rank, later in itertools.pairwise(ranks)) <= 3
    assert whole(reader(tmp_path, "metrics.mine").read).ranks == 1
    assert points(whole(reader(tmp_path, "loss", 77).read)) == {77: [(1, 10.0)]}


def test_what_is_long_is_read_in_turns(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in range(5):
        RankWriter(tmp_path / "job", rank, clock).steps(1, 50)
    monkeypatch.setattr(following, "SLICE", 2000)
    monkeypatch.setattr(following, "PIECE", 1000)
    read = reader(tmp_path, "loss").read
    assert read().loading
    assert {rank: len(line) for rank, line in points(whole(read)).items()} == dict.fromkeys(range(5), 50)


def test_what_is_not_there_is_said(tmp_path: Path, clock: Clock) -> None:
    assert "job job has no records here" in reader(tmp_path, "loss").read().problem
    writer = RankWriter(tmp_path / "job", 0, clock)
    writer.steps(1, 2)
    assert reader(tmp_path, "val\x1b").read().problem == "job job has no event files here: copy them first"
    assert "job job has told no 'lr': the names that there are: ugro-tui metrics job" in (
        reader(tmp_path, "lr").read().problem
    )
    assert "rank 9 of job job has no records here" in reader(tmp_path, "loss", 9).read().problem
    add_events(writer.folder, 0, "1.h", event_file(["t"], [1]) + b"x" * 30 + event_file(["t"], [2]))
    found = reader(tmp_path, "t").read()
    assert found.problem == "30 damaged bytes of event files were passed over"
    assert found.content is not None
    assert points(found.content) == {0: [(1, 1), (2, 2)]}


def test_links_and_what_may_not_be_read_are_left_alone(tmp_path: Path, clock: Clock) -> None:
    secret = RankWriter(tmp_path / "secret", 1, clock)
    secret.steps(1, 2)
    for rank in (0, 2):
        RankWriter(tmp_path / "job", rank, clock).steps(1, 2)
    (tmp_path / "job" / "metrics.rank-1.jsonl").symlink_to(secret.metrics)
    (tmp_path / "job" / "metrics.rank-2.jsonl").chmod(0)
    with as_ordinary_user():
        found = reader(tmp_path, "loss").read()
    assert found.content is not None
    assert list(points(found.content)) == [0]
    assert "rank 2 cannot be read: Permission denied" in found.problem
