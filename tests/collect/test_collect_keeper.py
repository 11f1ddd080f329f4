"""What the keeper takes for news, in the orders that two threads can bring about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collect.bench import counts
from tests.writing import Clock, wait_until, whole_job
from ugro_tui.collect.keeper import Keeper
from ugro_tui.collect.messages import Cycle, Forget, Message
from ugro_tui.collect.reader import Delivery, JobReader
from ugro_tui.collect.wanted import Wanted
from ugro_tui.core.commands import OpenRank, Ticket
from ugro_tui.core.layout import POLLED
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.nodes.base import Ask
from ugro_tui.nodes.executed import ExecutedLog
from ugro_tui.nodes.local import LocalNode


class Desk:
    """A keeper, and readers of `job` that are called by hand."""

    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.root = root
        self.wanted = Wanted()
        self.keeper = Keeper(self.clock, self.wanted.epoch, ["local"])
        self.writer = whole_job(root / "job", self.clock)[0]

    def reader(self) -> JobReader:
        """A reader of the epoch that is in force."""
        epoch = self.wanted.epoch("job")
        assert epoch is not None
        return JobReader("local", "job", epoch)

    def read(self, reader: JobReader) -> Delivery:
        reply = LocalNode(self.root, self.clock.time).poll(Ask({"job": reader.known(POLLED)}))
        return reader.take(reply.chunks, (), reader.unread(reply.chunks, behind=reply.more), self.clock.now)[0]

    def told(self, *messages: Message) -> Snapshot:
        """The snapshot after the keeper took these."""
        for message in messages:
            self.keeper.post(message)
        cycles = self.keeper.snapshot().cycles
        self.keeper.post(Cycle("local", self.clock.now))
        wait_until(lambda: self.keeper.snapshot().cycles > cycles)
        return self.keeper.snapshot()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.keeper.start()
    yield made
    made.keeper.stop()


def records(snapshot: Snapshot) -> int | None:
    view = snapshot.job("job")
    return None if view is None else counts(view)[0]


def test_what_an_old_reader_still_brings_after_closing_is_no_news(desk: Desk) -> None:
    old = desk.reader()
    late = desk.read(old)
    assert records(desk.told(Forget("job", desk.wanted.close("job")), late)) is None


def test_what_an_old_reader_still_brings_after_opening_again_is_not_counted_twice(desk: Desk) -> None:
    late = desk.read(desk.reader())
    ended = desk.wanted.close("job")
    desk.wanted.open("job")
    anew = desk.read(desk.reader())
    assert records(desk.told(Forget("job", ended), late, anew)) == 20
    assert records(desk.told(late)) == 20


def test_forgetting_that_comes_late_does_not_take_what_was_read_anew(desk: Desk) -> None:
    ended = desk.wanted.close("job")
    desk.wanted.open("job")
    anew = desk.read(desk.reader())
    assert records(desk.told(anew, Forget("job", ended))) == 20


def test_a_job_that_is_read_anew_shows_its_old_picture_until_that_is_done(desk: Desk) -> None:
    assert records(desk.told(desk.read(desk.reader()))) == 20
    desk.wanted.renew("job", 0)
    desk.writer.steps(21, 30)
    whole = desk.read(desk.reader())
    half = Delivery("local", "job", whole.epoch, more=True)
    assert records(desk.told(half)) == 20
    assert records(desk.told(whole)) == 30


def test_the_last_news_are_published_before_the_end(desk: Desk) -> None:
    desk.keeper.post(desk.read(desk.reader()))
    desk.keeper.stop()
    assert records(desk.keeper.snapshot()) == 20


def test_a_rank_that_is_opened_is_explained_until_another_one_is(desk: Desk) -> None:
    assert desk.told(desk.read(desk.reader())).rank is None
    snapshot = desk.told(Ticket(7, OpenRank("job", 0)))
    assert snapshot.rank is not None
    assert (snapshot.rank.job_id, snapshot.rank.rank, snapshot.rank.counts.records) == ("job", 0, 20)
    assert snapshot.answers[-1].number == 7
    desk.clock.now += 3
    later = desk.told().rank
    assert later is not None
    assert later.ages.write == snapshot.rank.ages.write + 3
    assert desk.told(Ticket(8, OpenRank("job", 9))).rank is None
    assert desk.told(Ticket(9, OpenRank("another", 0))).rank is None


def test_what_was_run_on_nodes_is_told_with_the_next_picture() -> None:
    clock = Clock()
    ran = ExecutedLog(clock)
    keeper = Keeper(clock, Wanted().epoch, ["local"], executed=ran.entries)
    keeper.start()
    number = ran.begin("gpu1", ["nvidia-smi"])
    keeper.post(Cycle("local", clock.now))
    wait_until(lambda: keeper.snapshot().executed == ran.entries() != ())
    ran.end(number, 0)
    keeper.stop()
    assert [entry.code for entry in keeper.snapshot().executed] == [0]
