"""The collector as a whole: real files, real threads, a clock that the test sets."""

from __future__ import annotations

import shutil
import threading

import pytest

from tests.collect.bench import DAY, Bench, counts, view
from tests.writing import RankWriter, as_ordinary_user, finished_job, wait_until, whole_job
from ugro_tui.core.commands import OpenJob, Refresh, Sync
from ugro_tui.core.states import JobStatus
from ugro_tui.nodes import local


def test_records_reach_the_snapshot_and_later_ones_follow(bench: Bench) -> None:
    (writer,) = whole_job(bench.root / "job", bench.clock)
    collector = bench.collector()
    first = bench.done(collector)
    assert counts(view(first, "job")) == (20, 0, 20)
    assert first.cycles >= 1
    bench.clock.now += 2
    writer.steps(21, 25)
    second = bench.done(collector)
    assert counts(view(second, "job")) == (25, 0, 25)
    assert (second.version > first.version, second.now) == (True, bench.clock.now)
    assert collector.get_latest_metrics("job") == view(second, "job")
    assert collector.get_latest_metrics("other") is None


def test_two_jobs_are_kept_apart_and_a_third_may_appear_later(bench: Bench) -> None:
    whole_job(bench.root / "a", bench.clock, ranks=2)
    finished_job(bench.root / "b", bench.clock, steps=7)
    collector = bench.collector()
    snapshot = bench.done(collector)
    assert [(job.job_id, job.summary.status, job.summary.ranks_seen) for job in snapshot.jobs] == [
        ("a", JobStatus.RUNNING, 2),
        ("b", JobStatus.FINISHED, 1),
    ]
    whole_job(bench.root / "c", bench.clock, steps=3)
    assert counts(view(bench.done(collector), "c")) == (3, 0, 3)


def test_the_order_of_ended_jobs_is_newest_first_and_does_not_change_as_they_age(bench: Bench) -> None:
    for name in ("b", "c", "a"):
        finished_job(bench.root / name, bench.clock)
        bench.clock.now += 25
    collector = bench.collector()
    for _ in range(8):
        assert [job.job_id for job in bench.done(collector).jobs] == ["a", "c", "b"]
        bench.clock.now += 17


def test_a_job_that_is_stopped_does_not_come_back_until_it_is_opened_and_is_then_read_anew(bench: Bench) -> None:
    (writer,) = whole_job(bench.root / "job", bench.clock)
    collector = bench.collector()
    bench.done(collector)
    collector.stop_collection("job")
    assert collector.get_latest_metrics("job") is None
    writer.steps(21, 30)
    snapshot = bench.done(collector)
    assert snapshot.job("job") is None
    assert snapshot.listed == ("job",)
    collector.start_collection("job")
    wait_until(lambda: collector.get_latest_metrics("job"))
    assert counts(view(bench.done(collector), "job")) == (30, 0, 30)


def test_closing_and_opening_at_any_moment_never_counts_a_record_twice(bench: Bench) -> None:
    writers = whole_job(bench.root / "job", bench.clock, ranks=3, steps=50)
    collector = bench.collector()
    running = threading.Event()

    def refresh() -> None:
        while not running.is_set():
            bench.done(collector)

    thread = threading.Thread(target=refresh)
    thread.start()
    for _ in range(60):
        collector.stop_collection("job")
        collector.start_collection("job")
    running.set()
    thread.join()
    for writer in writers:
        writer.steps(51, 60)
    found = view(bench.done(collector, OpenJob("job")), "job")
    assert [(rank.records, rank.lost) for rank in found.summary.per_rank_stats] == [(60, 0)] * 3


def test_jobs_older_than_a_day_are_listed_and_read_when_opened(bench: Bench) -> None:
    finished_job(bench.root / "old", bench.clock)
    bench.clock.now += DAY + 1
    finished_job(bench.root / "new", bench.clock)
    collector = bench.collector()
    snapshot = bench.done(collector)
    assert ([job.job_id for job in snapshot.jobs], snapshot.listed) == (["new"], ("old",))
    snapshot = bench.done(collector, OpenJob("old"))
    assert counts(view(snapshot, "old")) == (20, 0, 20)
    assert snapshot.listed == ()


def test_a_job_that_grows_old_while_it_is_shown_stays_and_is_not_counted_twice_when_opened(bench: Bench) -> None:
    finished_job(bench.root / "job", bench.clock)
    collector = bench.collector()
    bench.done(collector)
    bench.clock.now += DAY + 1
    snapshot = bench.done(collector)
    assert (counts(view(snapshot, "job")), snapshot.listed) == ((20, 0, 20), ())
    assert counts(view(bench.done(collector, OpenJob("job")), "job")) == (20, 0, 20)


def test_a_job_whose_start_failed_goes_with_its_directory_and_comes_back_with_it(bench: Bench) -> None:
    """A launch that fails takes back what it has made: who looked meanwhile saw a job that waits."""
    begun = {"v": 1, "job_id": "job", "attempt": 1, "world_size": 2, "status": "pending", "backend": "ssh"}
    writer = RankWriter(bench.root / "job", 0, bench.clock)
    writer.document("job.json", begun)
    collector = bench.collector()
    snapshot = bench.done(collector)
    assert [(job.job_id, job.summary.state) for job in snapshot.jobs] == [("job", "pending")]
    shutil.rmtree(bench.root / "job")
    snapshot = bench.done(collector)
    assert (snapshot.jobs, snapshot.notices) == ((), ())
    whole_job(bench.root / "job", bench.clock)
    assert counts(view(bench.done(collector), "job")) == (20, 0, 20)


def test_a_directory_that_vanishes_is_said_and_its_return_is_not_counted_twice(bench: Bench) -> None:
    whole_job(bench.root / "job", bench.clock)
    collector = bench.collector()
    bench.done(collector)
    (bench.root / "job").rename(bench.root.parent / "away")
    snapshot = bench.done(collector)
    assert counts(view(snapshot, "job")) == (20, 0, 20)
    assert snapshot.notices == ("local: job: its directory is gone: what is shown is what was last known",)
    (bench.root.parent / "away").rename(bench.root / "job")
    snapshot = bench.done(collector)
    assert (counts(view(snapshot, "job")), snapshot.notices) == ((20, 0, 20), ())


def test_an_empty_directory_that_vanishes_leaves_nothing_behind(bench: Bench) -> None:
    (bench.root / "job").mkdir()
    collector = bench.collector()
    assert bench.done(collector).jobs == ()
    (bench.root / "job").rmdir()
    snapshot = bench.done(collector)
    assert (snapshot.jobs, snapshot.notices) == ((), ())


def test_a_job_directory_made_anew_is_a_new_job(bench: Bench) -> None:
    whole_job(bench.root / "job", bench.clock, ranks=3)
    collector = bench.collector()
    bench.done(collector)
    shutil.rmtree(bench.root / "job")
    bench.done(collector)
    whole_job(bench.root / "job", bench.clock, steps=4)
    found = view(bench.done(collector), "job")
    assert (counts(found), found.summary.ranks_seen) == ((4, 0, 4), 1)


def test_a_metrics_directory_that_comes_and_goes(bench: Bench) -> None:
    bench.root.rmdir()
    collector = bench.collector()
    snapshot = bench.done(collector)
    assert "does not exist yet" in snapshot.nodes[0].error
    assert snapshot.answers[-1].problem == snapshot.nodes[0].error
    whole_job(bench.root / "job", bench.clock)
    bench.clock.now += 5
    snapshot = bench.done(collector)
    assert (snapshot.nodes[0].error, snapshot.nodes[0].age) == ("", 0.0)
    bench.root.rename(bench.root.parent / "away")
    bench.clock.now += 7
    snapshot = bench.done(collector)
    assert "does not exist yet" in snapshot.nodes[0].error
    assert snapshot.nodes[0].age == 7.0
    assert counts(view(snapshot, "job")) == (20, 0, 20)


def test_answers_carry_the_number_of_their_ticket(bench: Bench) -> None:
    whole_job(bench.root / "job", bench.clock)
    collector = bench.collector()
    tickets = [collector.request(command) for command in (Refresh(), OpenJob("job"), OpenJob("nope"))]
    wait_until(lambda: len(collector.snapshot().answers) == 3)
    problems = {answer.number: answer.problem for answer in collector.snapshot().answers}
    assert [problems[ticket.number] for ticket in tickets] == ["", "", "no job nope here"]


def test_where_nothing_is_copied_a_sync_says_so_and_leaves_nothing_behind(bench: Bench) -> None:
    whole_job(bench.root / "job", bench.clock)
    collector = bench.collector()
    bench.done(collector)
    snapshot = bench.done(collector, Sync("job"))
    (answer,) = snapshot.answers[-1:]
    assert (answer.problem, answer.said) == ("", "this machine is read in place; there is nothing to copy")
    assert snapshot.sync is None
    assert bench.done(collector).sync is None


def test_only_one_job_is_read_where_one_is_wanted(bench: Bench) -> None:
    whole_job(bench.root / "a", bench.clock)
    finished_job(bench.root / "b", bench.clock)
    bench.clock.now += DAY + 1
    collector = bench.collector(only="b")
    snapshot = bench.done(collector)
    assert ([job.job_id for job in snapshot.jobs], snapshot.listed) == (["b"], ("a",))


def test_what_may_not_be_read_is_a_notice_until_it_may(bench: Bench) -> None:
    (writer,) = whole_job(bench.root / "job", bench.clock)
    writer.metrics.chmod(0)
    with as_ordinary_user():
        collector = bench.collector()
    assert bench.done(collector).notices == ("local: job: metrics.jsonl: Permission denied",)
    writer.metrics.chmod(0o600)
    assert bench.done(collector).notices == ()


def test_a_job_is_not_shown_half_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MAX_FETCH", 1_500)
    finished_job(bench.root / "job", bench.clock, steps=300)
    bench.clock.now += 1000  # half of it would look like a rank that died
    collector = bench.collector(started=False)
    seen: list[JobStatus] = []
    collector.start()
    snapshot = collector.snapshot()
    while not snapshot.cycles:
        snapshot = collector.wait_newer(snapshot.version, 60)
        seen += [job.summary.status for job in snapshot.jobs]
    assert set(seen) == {JobStatus.FINISHED}
    assert counts(view(snapshot, "job")) == (300, 0, 300)


def test_waiting_ends_with_a_newer_snapshot_or_with_the_time(bench: Bench) -> None:
    collector = bench.collector(started=False)
    assert collector.wait_newer(0, 0.01).version == 0
    collector.start()
    assert collector.wait_newer(0, 60).version >= 1
