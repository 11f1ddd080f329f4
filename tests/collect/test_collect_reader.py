"""What a reader hands on of a job: each record once, small files when they change, trouble when it changes."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from tests.writing import Clock, RankWriter, as_ordinary_user, whole_job
from ugro_tui.collect.reader import Delivery, JobReader
from ugro_tui.core.columns import Column
from ugro_tui.core.layout import POLLED
from ugro_tui.core.records import Batch, End, ErrorReport, Heartbeat, Manifest, Start, Steps
from ugro_tui.nodes.base import Ask
from ugro_tui.nodes.local import LocalNode


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Reader:
    """A reader of `job`, and the node that it reads."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._node = LocalNode(root, clock.time)
        self._reader = JobReader("local", "job", 0)

    def read(self, now: float) -> tuple[Delivery, bool]:
        """One look."""
        reply = self._node.poll(Ask({"job": self._reader.known(POLLED)}))
        denied = tuple(one.what for one in reply.denied)
        unread = self._reader.unread(reply.chunks, behind=reply.more)
        return self._reader.take(reply.chunks, denied, unread, now)


@pytest.fixture
def reader(tmp_path: Path, clock: Clock) -> Reader:
    return Reader(tmp_path, clock)


def steps(delivery: Delivery) -> list[float]:
    batches = [piece.content for piece in delivery.pieces if isinstance(piece.content, Batch)]
    rows = [item.rows for batch in batches for item in batch.items if isinstance(item, Steps)]
    return [float(step) for part in rows for step in part[:, Column.STEP]]


def kinds(delivery: Delivery) -> list[type]:
    return [type(piece.content) for piece in delivery.pieces]


def test_everything_is_told_in_the_order_in_which_it_is_applied(reader: Reader, tmp_path: Path, clock: Clock) -> None:
    (writer,) = whole_job(tmp_path / "job", clock, steps=3)
    writer.document("errors/rank_0.json", {"message": "broken"})
    writer.document("job.json", {"status": "running"})
    clock.now += 4
    delivery, news = reader.read(clock.now)
    assert news
    assert (delivery.job_id, delivery.epoch, delivery.more, delivery.denied) == ("job", 0, False, ())
    assert kinds(delivery) == [Manifest, Batch, Heartbeat, ErrorReport]
    assert {piece.at for piece in delivery.pieces} == {clock.now - 4}
    batch = delivery.pieces[1].content
    assert isinstance(batch, Batch)
    assert [type(item) for item in batch.items] == [Start, Steps]
    assert steps(delivery) == [1, 2, 3]


def test_nothing_new_is_no_news(reader: Reader, tmp_path: Path, clock: Clock) -> None:
    (writer,) = whole_job(tmp_path / "job", clock)
    reader.read(clock.now)
    delivery, news = reader.read(clock.now)
    assert (delivery.pieces, news) == ((), False)
    writer.raw(b'{"kind": "step", "st')
    delivery, news = reader.read(clock.now)
    assert (delivery.pieces, news) == ((), False)
    writer.raw(b'ep": 21}\n')
    delivery, news = reader.read(clock.now)
    assert (steps(delivery), news) == ([21], True)


def test_a_document_is_told_again_only_when_it_changes(reader: Reader, tmp_path: Path, clock: Clock) -> None:
    (writer,) = whole_job(tmp_path / "job", clock)
    reader.read(clock.now)
    clock.now += 2
    writer.heartbeat(step=99)
    delivery, _ = reader.read(clock.now)
    (piece,) = delivery.pieces
    assert isinstance(piece.content, Heartbeat)
    assert (piece.content.step, piece.at) == (99, clock.now)


def test_a_document_that_is_damaged_is_left_out(reader: Reader, tmp_path: Path, clock: Clock) -> None:
    (writer,) = whole_job(tmp_path / "job", clock)
    reader.read(clock.now)
    (writer.folder / "heartbeat.rank-0.json").write_bytes(b'{"step": ')
    (writer.folder / "job.json").write_bytes(b"\xff\x00")
    assert reader.read(clock.now)[0].pieces == ()


def test_a_replaced_file_is_read_anew_in_one_go(reader: Reader, tmp_path: Path, clock: Clock) -> None:
    (writer,) = whole_job(tmp_path / "job", clock, steps=5)
    reader.read(clock.now)
    writer.metrics.unlink()
    writer.start(run_id="another", attempt=2)
    writer.steps(3, 40)
    first, news = reader.read(clock.now)
    second, _ = reader.read(clock.now) if first.more else (first, news)
    assert news
    assert steps(first) + (steps(second) if first.more else []) == list(range(3, 41))
    assert not second.more


def test_skipped_and_overlong_lines_are_counted_and_the_rest_is_read(
    reader: Reader, tmp_path: Path, clock: Clock
) -> None:
    (writer,) = whole_job(tmp_path / "job", clock, steps=2)
    writer.raw(b"not json\n" + b'{"half": \n' + b"[]\n" + b"\xff\xfe\n")
    writer.raw(b'{"kind": "step", "step": 2.5, "pad": "' + b"x" * (1 << 21) + b'"}\n')
    writer.steps(3, 4)
    found, skipped, more = [], 0, True
    while more:
        delivery, _ = reader.read(clock.now)
        more = delivery.more
        found += steps(delivery)
        skipped += sum(p.content.tally.skipped for p in delivery.pieces if isinstance(p.content, Batch))
    assert (found, skipped) == ([1, 2, 3, 4], 5)


def test_trouble_is_news_when_it_begins_and_when_it_ends(reader: Reader, tmp_path: Path, clock: Clock) -> None:
    (writer,) = whole_job(tmp_path / "job", clock)
    writer.metrics.chmod(0)
    with as_ordinary_user():
        delivery, news = reader.read(clock.now)
        assert (delivery.denied, news) == (("metrics.jsonl: Permission denied",), True)
        assert reader.read(clock.now)[1] is False
    writer.metrics.chmod(0o600)
    delivery, news = reader.read(clock.now)
    assert (delivery.denied, news, len(steps(delivery))) == ((), True, 20)
    assert reader.read(clock.now)[1] is False


def test_a_rank_may_join_later(reader: Reader, tmp_path: Path, clock: Clock) -> None:
    whole_job(tmp_path / "job", clock)
    reader.read(clock.now)
    late = RankWriter(tmp_path / "job", 7, clock)
    late.start()
    late.end("failed", error={"type": "E", "message": "m"})
    (piece,) = reader.read(clock.now)[0].pieces
    assert piece.rank == 7
    assert isinstance(piece.content, Batch)
    assert isinstance(piece.content.items[-1], End)


def test_an_endless_line_and_large_documents_take_bounded_memory(reader: Reader, tmp_path: Path, clock: Clock) -> None:
    writer = RankWriter(tmp_path / "job", clock=clock)
    writer.raw(b"x")
    os.truncate(writer.metrics, 1 << 30)
    for rank in range(50):
        writer.document(f"heartbeat.rank-{rank}.json", {"pad": f"{rank}" * 100_000})
    tracemalloc.start()
    try:
        rounds, more = 0, True
        while more and rounds < 20:
            more = reader.read(clock.now)[0].more
            rounds += 1
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert more
    assert kept < 3 << 20
