"""The collector when nodes, jobs or its own parts fail, and how it ends."""

from __future__ import annotations

import gc
import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.collect.bench import DAY, Bench, Moody, calm, counts, view
from tests.writing import RankWriter, finished_job, wait_until, whole_job
from ugro_tui.collect import reader
from ugro_tui.core.decode import decode as real_decode
from ugro_tui.core.records import Batch
from ugro_tui.core.snapshot import JobView
from ugro_tui.nodes.base import NodeError
from ugro_tui.nodes.local import LocalNode


def raising(error: Exception) -> Callable[[], None]:
    def mood() -> None:
        raise error

    return mood


@pytest.mark.parametrize(
    ("error", "said"),
    [(NodeError("disk on fire"), "disk on fire"), (ZeroDivisionError("oops"), "moody cannot be polled: ZeroDivision")],
)
def test_a_poller_that_raises_says_so_and_goes_on(bench: Bench, moody: Moody, error: Exception, said: str) -> None:
    whole_job(bench.root / "job", bench.clock)
    collector = bench.collector(moody)
    bench.done(collector)
    moody.mood = raising(error)
    snapshot = bench.done(collector)
    assert said in snapshot.nodes[0].error
    assert said in snapshot.answers[-1].problem
    moody.mood = calm
    snapshot = bench.done(collector)
    assert (snapshot.nodes[0].error, counts(view(snapshot, "job"))) == ("", (20, 0, 20))


def test_one_bad_job_keeps_no_other_from_being_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_job(bench.root / "bad", bench.clock)
    whole_job(bench.root / "good", bench.clock)
    collector = bench.collector(started=False)
    collector.start_collection("bad")

    def decode(lines: bytes) -> Batch:
        if b'"rank": 7' in lines:
            raise ZeroDivisionError("oops")
        return real_decode(lines)

    RankWriter(bench.root / "bad", 7, bench.clock).start()
    with monkeypatch.context() as patch:
        patch.setattr(reader, "decode", decode)
        collector.start()
        snapshot = bench.done(collector)
        assert counts(view(snapshot, "good")) == (20, 0, 20)
        assert "bad: cannot be read: ZeroDivisionError" in snapshot.notices[0]
    snapshot = bench.done(collector)
    assert (counts(view(snapshot, "bad")), snapshot.notices) == ((20, 0, 20), ())


def test_news_that_cannot_be_applied_do_not_end_the_keeping(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole_job(bench.root / "bad", bench.clock)
    whole_job(bench.root / "good", bench.clock)
    monkeypatch.setattr("ugro_tui.collect.kept.view", raising_view("bad"))
    collector = bench.collector()
    snapshot = bench.done(collector)
    assert [job.job_id for job in snapshot.jobs] == ["good"]
    assert "drawing job bad failed: ZeroDivisionError" in snapshot.notices[0]
    assert "ZeroDivisionError" in caplog.text


def raising_view(job_id: str) -> Callable[..., JobView]:
    from ugro_tui.core.snapshot import view as real

    def drawn(job: object, *rest: object) -> JobView:
        if getattr(job, "job_id", "") == job_id:
            raise ZeroDivisionError
        return real(job, *rest)  # type: ignore[arg-type]

    return drawn


def test_stopping_does_not_wait_for_a_node_that_hangs(bench: Bench, moody: Moody) -> None:
    hanging, release = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        release.wait(120)

    moody.mood = hang
    collector = bench.collector(moody)
    assert hanging.wait(60)
    before = time.monotonic()
    collector.stop()
    release.set()
    assert time.monotonic() - before < 30


def test_stopping_wakes_sleeping_pollers_and_keeps_the_last_snapshot(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    whole_job(bench.root / "job", bench.clock)
    before = set(threading.enumerate())
    collector = bench.collector()
    bench.done(collector)
    assert len(set(threading.enumerate()) - before) == 2
    collector.stop()
    collector.stop()
    collector.start()
    assert set(threading.enumerate()) - before == set()
    assert collector.stopped
    assert counts(view(collector.snapshot(), "job")) == (20, 0, 20)
    messages = [record.message for record in caplog.records]
    assert messages == ["Started metrics collection", "Stopped metrics collection"]


def test_readers_of_jobs_that_are_not_followed_are_let_go(bench: Bench) -> None:
    whole_job(bench.root / "closed", bench.clock)
    whole_job(bench.root / "deleted", bench.clock)
    finished_job(bench.root / "aged", bench.clock)
    made: list[weakref.ref[object]] = []
    original = reader.JobReader.__init__

    def remember(self: reader.JobReader, *args: object) -> None:
        made.append(weakref.ref(self))
        original(self, *args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader.JobReader, "__init__", remember)
        collector = bench.collector()
        bench.done(collector)
    assert len(made) == 3
    collector.stop_collection("closed")
    shutil.rmtree(bench.root / "deleted")
    bench.clock.now += DAY + 1
    bench.done(collector)
    gc.collect()
    assert [ref() for ref in made] == [None] * 3


def test_many_jobs_are_all_read(bench: Bench) -> None:
    for number in range(150):
        finished_job(bench.root / f"job-{number}", bench.clock, steps=2)
    snapshot = bench.done(bench.collector())
    assert len(snapshot.jobs) == 150
    assert {counts(job) for job in snapshot.jobs} == {(2, 0, 2)}


def test_two_nodes_are_both_waited_for(bench: Bench, tmp_path: Path, moody: Moody) -> None:
    (tmp_path / "second").mkdir()
    whole_job(tmp_path / "second" / "job", bench.clock)
    release = threading.Event()

    def wait() -> None:
        release.wait(120)

    moody.mood = wait
    collector = bench.collector(LocalNode(tmp_path / "second", bench.clock.time, "second"), moody)
    wait_until(lambda: collector.get_latest_metrics("job"))
    assert (collector.snapshot().cycles, [node.name for node in collector.snapshot().nodes]) == (0, ["moody", "second"])
    release.set()
    wait_until(lambda: collector.snapshot().cycles == 1)
