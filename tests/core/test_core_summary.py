"""One summary, by examples computed by hand; pace and what remains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.record_lines import START_TS, end, fields_of, heartbeat, job, line, manifest, start, step, steps
from ugro_tui.core.alerts import Severity
from ugro_tui.core.columns import WIDTH, Column
from ugro_tui.core.decode import decode
from ugro_tui.core.eta import mean_seconds_per_step, paces, remaining_seconds
from ugro_tui.core.job import Away, JobState
from ugro_tui.core.liveness import GONE_SECONDS
from ugro_tui.core.rank_facts import rank_view
from ugro_tui.core.rank_stats import RankStats
from ugro_tui.core.records import Manifest, Matrix
from ugro_tui.core.snapshot import curve_of, view
from ugro_tui.core.states import JobStatus
from ugro_tui.core.summary import summarise

NAN = float("nan")


def two_ranks() -> JobState:
    """Ranks 0 and 1 with steps 0, 10, 20, 30 at 2 s a step; rank 1 is one record behind."""
    fields: list[dict[str, Any]] = [
        {"loss": 4.0, "throughput": 100.0, "lr": 0.1, "grad_norm": 1.0, "tokens": 0},
        {"loss": 2.0, "throughput": 300.0, "lr": 0.2, "grad_norm": 2.0, "tokens": 500},
        {"loss": 3.0, "throughput": 200.0, "lr": 0.3, "grad_norm": 3.0, "tokens": 1_000},
        {"loss": "NaN", "throughput": None, "lr": 0.4, "grad_norm": 4.0, "tokens": 1_500},
    ]
    lines = [step(10 * n, START_TS + 5 + 20 * n, seq=n + 1, **values) for n, values in enumerate(fields)]
    begin = start(world_size=2)
    return job(begin + b"".join(lines), begin + b"".join(lines[:3]), at=50.0)


def test_the_numbers_of_a_running_job() -> None:
    summary = summarise(two_ranks(), 53.0)
    assert summary.status is JobStatus.RUNNING
    assert (summary.attempt, summary.world_size, summary.ranks_seen, summary.ranks_ok) == (1, 2, 2, 2)
    assert (summary.step, summary.total_steps) == (20, 100)
    assert summary.seconds_per_step == 2.0  # steps 10 to 30 took 40 s; step 0 is warm-up
    assert summary.eta == 160.0  # 80 steps of 2 s
    assert summary.duration == 68.0  # rank 0's last record came 65 s after its start, and that 3 s ago
    assert (summary.loss_bad, summary.last_finite_loss) == (True, 3.0)  # both ranks' last finite loss
    assert math.isnan(summary.final_loss)  # a run that is NaN must not look like one that is at 3.0
    assert summary.min_loss == 2.0
    assert summary.throughput == 200.0  # rank 1's; rank 0 told none in its last record
    # Of two ranks, each with three records of as many tokens, at 100, 300 and 200 tokens/s.
    assert summary.avg_throughput == pytest.approx(2 * 3 / (1 / 100 + 1 / 300 + 1 / 200))
    assert summary.tokens == 1_500.0  # of the whole job: all ranks tell about the same
    assert summary.age == 3.0
    assert [alert.name for alert in summary.alerts] == ["non-finite loss"]
    zero, one = summary.per_rank_stats
    assert (zero.rank, zero.node, zero.state, zero.cause, zero.step) == (0, "node-a", "running", "", 30)
    assert (zero.last_finite_loss, zero.min_loss, zero.lr, zero.grad_norm) == (3.0, 2.0, 0.4, 4.0)
    assert (zero.loss_bad, math.isnan(zero.final_loss), one.loss_bad, one.final_loss) == (True, True, False, 3.0)
    assert (one.throughput, one.records, one.lost) == (200.0, 3, 0)
    assert one.avg_throughput == pytest.approx(163.6, abs=0.1)


def test_the_loss_of_a_job_is_the_mean_of_its_ranks() -> None:
    state = job(start(world_size=2) + steps(1, 9, loss=1.0), start(world_size=2) + steps(1, 9, loss=4.0))
    assert summarise(state, 0.0).final_loss == 2.5
    assert summarise(state, 0.0).min_loss == 1.0


def test_the_numbers_of_a_job_that_is_over() -> None:
    state = job(start() + steps(1, 100, throughput=50) + end(ts=START_TS + 130, dropped=4))
    summary = summarise(state, 10_000.0)
    assert (summary.status, summary.verdict, summary.unwell) == (JobStatus.FINISHED, "finished", False)
    assert (summary.duration, summary.avg_throughput) == (130.0, 50.0)
    assert math.isnan(summary.eta)
    assert summary.per_rank_stats[0].dropped == 4


def test_only_who_steps_has_a_pace_and_the_means_of_the_run_stay() -> None:
    """In the job's numbers, its rows, a rank's own numbers and beside it: there is no rate of a moment that is past."""
    begin, told = start(world_size=2), steps(1, 100, throughput=50)
    running = job(begin + told, begin + told)
    for state, now, stepping in (
        (running, 1.0, [True, True]),
        (running, 200.0, [False, False]),  # both hang
        (job(begin + told, begin + told + end()), 1.0, [True, False]),
        (job(begin + told + end(), begin + told + end()), 1.0, [False, False]),
        (job(begin + told + end("stopped"), begin + told + end("failed")), 1.0, [False, False]),
    ):
        summary, shown = summarise(state, now), view(state, now, curve_of(state))
        rates = [50.0 if steps_on else NAN for steps_on in stepping]
        np.testing.assert_equal(list(summary.per_rank_stats.column("throughput")), rates)
        np.testing.assert_equal(shown.ranks.column(Column.THROUGHPUT), rates)
        np.testing.assert_equal(summary.throughput, 50.0 * sum(stepping) if any(stepping) else NAN)
        np.testing.assert_equal(summary.seconds_per_step, 1.0 if any(stepping) else NAN)
        assert (summary.avg_throughput, summary.avg_seconds_per_step) == (100.0, 1.0)
        one = rank_view(state, 1, now, summary, {})
        assert one is not None
        (beside,) = (number for number in one.numbers if number.name == "throughput")
        np.testing.assert_equal([beside.median, beside.own], rates)
        (loss,) = (number for number in one.numbers if number.name == "loss")
        assert (loss.own, loss.median) == (2.0, 2.0)  # what it came to is so for good


def test_a_job_of_which_nothing_steps_is_called_so_beside_its_status() -> None:
    ran = start(world_size=2) + steps(1, 100)
    for state, now, word in (
        (job(ran, ran), 1.0, "running"),
        (job(ran, ran), 200.0, "hung"),
        (job(start() + steps(1, 100)), 200.0, "stalled"),
        (job(ran, ran + end("failed")), 200.0, "failed"),
    ):
        summary = summarise(state, now)
        assert summary.state == word
        assert summary.status is (JobStatus.FAILED if word == "failed" else JobStatus.RUNNING)


def test_an_age_is_that_of_the_newest_step_and_of_what_has_ended_that_of_its_end() -> None:
    """Heartbeats go on for long after the last step, and nothing grows older by them."""
    begin, told = start(world_size=2), steps(1, 50)
    beat = replace(heartbeat(), step_age=60.0)
    ended, living = job(begin + told + end(), begin + told + end(), at=40.0), job(begin + told, begin, at=40.0)
    living.apply_heartbeat(0, beat, 100.0, "local")
    summary, shown = summarise(living, 101.0), view(living, 101.0, curve_of(living))
    np.testing.assert_equal([summary.age, summary.step_age, summary.ended_age], [1.0, 61.0, NAN])
    np.testing.assert_equal(shown.ranks.age, [61.0, NAN])  # rank 1 has made no step
    assert summary.shown_age == 61.0
    summary, shown = summarise(ended, 101.0), view(ended, 101.0, curve_of(ended))
    assert (summary.shown_age, summary.ended_age, shown.ranks.age.tolist()) == (61.0, 61.0, [61.0, 61.0])


def test_elapsed_time_runs_on_between_records_and_through_phases() -> None:
    state = job(start() + steps(1, 20))
    state.apply_heartbeat(0, heartbeat(), 9.0, "local")
    assert summarise(state, 10.0).duration == 30.0
    assert summarise(state, 10.0).age == 1.0
    state.apply(0, decode(line("phase", name="eval", state="begin", ts=START_TS + 31)), 11.0, "local")
    assert summarise(state, 15.0).duration == 35.0


@pytest.mark.parametrize(
    ("status", "attempt", "said", "expected"),
    [
        ("pending", 2, "pending: requeued by Slurm", JobStatus.PENDING),
        ("failed", 1, "failed: its time was over", JobStatus.FAILED),
        ("stopped", 1, "stopped by anna on laptop", JobStatus.STOPPED),
    ],
)
def test_what_a_scheduler_says_of_the_end_comes_before_what_became_of_ranks(
    status: str, attempt: int, said: str, expected: JobStatus
) -> None:
    state = job(start(world_size=2) + steps(0, 30) + end("stopped"))
    state.apply_manifest(Manifest("slurm", status, attempt, 2, (), None, None, None, {}, said))
    summary = summarise(state, 60.0)
    assert (summary.status, summary.verdict) == (expected, said)


def test_last_words_say_why_a_job_failed_unless_its_ranks_tell_more() -> None:
    said = "failed: rank 0 ended with exit code 2: train.py: error: unrecognized arguments: --stepz"
    manifest = Manifest("ssh", "failed", 1, 1, (), 1, None, None, {}, said)
    silent, told = JobState("job"), job(start() + steps(0, 30) + end("failed", error={"type": "E", "message": "boom"}))
    for state in (silent, told):
        state.apply_manifest(manifest)
    assert summarise(silent, 60.0).verdict == said
    assert "boom" in summarise(told, 60.0).verdict
    (alert,) = summarise(silent, 60.0).alerts
    assert (alert.rule, alert.severity, alert.what) == ("launch_failed", Severity.CRIT, said.removeprefix("failed: "))
    rank = rank_view(silent, 0, 60.0, summarise(silent, 60.0), {})
    assert rank is not None
    assert (rank.state, rank.why) == ("dead", f"it has recorded nothing before its job {said}")


def test_ranks_that_slurm_has_stopped_may_run_again_so_its_word_is_waited_for_a_while() -> None:
    state = job(start(world_size=1) + steps(0, 30) + end("stopped"), at=50.0)
    state.apply_manifest(Manifest("slurm", "running", 1, 1, (), None, None, None))
    assert [state.status(now) for now in (51.0, 51.0 + GONE_SECONDS)] == [JobStatus.RUNNING, JobStatus.STOPPED]
    state.apply_manifest(Manifest("ssh", "running", 1, 1, (), None, None, None))
    assert state.status(51.0) is JobStatus.STOPPED


def test_what_is_not_known_is_not_a_number() -> None:
    summary = summarise(JobState("job"), 1.0)
    values = {name: value for name, value in fields_of(summary).items() if isinstance(value, float)}
    assert len(values) == 14
    assert all(math.isnan(value) for value in values.values()), values
    assert (summary.total_steps, summary.alerts, len(summary.per_rank_stats)) == (None, (), 0)


def test_not_a_number_everywhere_breaks_nothing() -> None:
    every = ("loss", "lr", "grad_norm", "throughput", "step_time", "epoch", "tokens", "seq", "ts")
    bad = b"".join(line("step", step=n, **dict.fromkeys(every, "NaN")) for n in range(20))
    state = job(line("start", **dict.fromkeys((*every, "world_size", "total_steps", "attempt"), "NaN")) + bad)
    state.apply_heartbeat(0, heartbeat(NAN, rss="NaN", gpu={"util": "NaN"}), 0.0, "local")
    picture = view(state, 1.0, curve_of(state))
    assert picture.summary.step == 19
    assert picture.summary.status is JobStatus.RUNNING
    assert len(picture.curve.bad) == 20
    assert len(picture.curve.steps) == 0


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([3.0, 2.0, 1.0, 0.5, "NaN", None])), max_size=30), st.data()
)
def test_the_last_and_the_least_loss_are_those_of_what_no_rewind_superseded(
    records: list[tuple[int, Any]], data: st.DataObject
) -> None:
    state = job(b"")
    lines = [step(number, loss=loss) for number, loss in records]
    while lines:
        count = data.draw(st.integers(1, len(lines)))
        state.apply(0, decode(b"".join(lines[:count])), 50.0, "local")
        lines = lines[count:]
    for rank in state.ranks:
        kept = rank.series.column(Column.LOSS)
        finite = kept[np.isfinite(kept)].tolist()
        np.testing.assert_equal(  # all of one start
            (rank.last_loss, rank.min_loss), (finite[-1], min(finite)) if finite else (math.nan, math.nan)
        )


def test_a_new_attempt_knows_no_loss_until_it_has_told_one() -> None:
    first = start(world_size=2) + steps(1, 9, loss=1.0) + end("stopped")
    state = job(first, first)
    manifest(state, "running", attempt=2)
    waiting = summarise(state, 500.0)
    assert (waiting.attempt, waiting.status) == (2, JobStatus.STARTING)
    again = start(ts=START_TS + 500, attempt=2, world_size=2, run_id="again")
    for rank in (0, 1):
        state.apply(rank, decode(again), 500.0, "local")
    begun = summarise(state, 500.0)
    for found in (waiting, begun):
        assert math.isnan(found.final_loss)
        assert math.isnan(found.last_finite_loss)
        assert (found.loss_bad, math.isnan(found.min_loss)) == (False, True)
    silent = step(6, seq=1, ts=START_TS + 501)
    state.apply(0, decode(silent), 501.0, "local")
    assert summarise(state, 501.0).min_loss == 1.0, "the lowest of the run, as its curve shows it"
    assert math.isnan(summarise(state, 501.0).final_loss), "it has gone back to a step, and told no loss of it"
    state.apply(0, decode(step(7, seq=2, ts=START_TS + 502, loss=3.0)), 502.0, "local")
    assert summarise(state, 502.0).final_loss == 3.0


def test_ranks_in_numbers_are_rows_for_who_asks() -> None:
    summary = summarise(two_ranks(), 53.0)
    stats = summary.per_rank_stats
    assert [one.rank for one in stats] == [0, 1] == list(stats.column("rank"))
    assert (stats[1].rank, [one.rank for one in stats[:1]], len(stats)) == (1, [0], 2)
    assert (stats[1], RankStats.of(stats[1:])) == (stats[1], RankStats.of([stats[1]]))
    assert RankStats.of(stats[1:]) != RankStats.of([replace(stats[1], lost=3)])
    more = RankStats.of(replace(one, lost=3, skipped=one.rank) for one in stats)
    assert (summary.missing, replace(summary, per_rank_stats=more).missing) == (0, 7)


# --- pace and what remains


def timed(steps_and_times: Sequence[tuple[float, float]]) -> Matrix:
    """Step rows with these steps and times."""
    matrix = np.full((len(steps_and_times), WIDTH), NAN)
    matrix[:, [Column.STEP, Column.TS]] = np.reshape(steps_and_times, (-1, 2))
    return matrix


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], NAN),
        ([(0, 0)], NAN),
        ([(0, 0), (5, 60)], NAN),  # one row beyond the warm-up is no span
        ([(0, 0), (5, 60), (6, 61), (7, 62)], 1.0),  # 12 s a step in the warm-up do not count
        ([(100, 0), (110, 50), (120, 60)], 1.0),  # nor in that of a resumed run
        ([(0, 0), (10, 10), (20, 5)], NAN),  # the clock stepped back
        ([(0, 0), (10, NAN), (20, 20), (30, NAN), (40, 60)], 2.0),
    ],
)
def test_seconds_a_step(rows: list[tuple[float, float]], expected: float) -> None:
    np.testing.assert_equal((mean_seconds_per_step(timed(rows)), *paces(timed(rows))), (expected,) * 3)


def test_the_pace_is_of_now_and_the_plan_takes_pauses_into_account() -> None:
    took = np.append(np.ones(300), np.full(12, 3.0))
    assert paces(lasting(took)) == (3.0, 3.0)
    assert mean_seconds_per_step(lasting(took)) == pytest.approx(1.0, rel=0.1)
    took = np.ones(400)
    took[9::50] = 26.0  # an evaluation
    for newest in (360, 380, 400):
        assert paces(lasting(took[:newest])) == (1.0, 1.5), "steady, whenever the last evaluation was"


@given(st.lists(st.floats(0.5, 2.0), min_size=10, max_size=300))
def test_noise_is_no_pause(took: list[float]) -> None:
    now, planned = paces(lasting(took))
    assert 0.5 <= now <= planned <= now + 1.5


def lasting(took: Sequence[float] | Matrix) -> Matrix:
    """Step rows, each so many seconds behind the one before."""
    return timed(list(enumerate(np.cumsum([0.0, *took]).tolist())))


def test_a_restart_does_not_count_the_time_between_the_runs() -> None:
    state = job(start() + steps(1, 60))
    again = b"".join(step(n, START_TS + 9_000 + 2 * n) for n in range(41, 61))
    state.apply(0, decode(start(START_TS + 9_000, attempt=2) + again), 100.0, "local")
    summary = summarise(state, 100.0)
    assert summary.seconds_per_step == 2.0
    assert summary.duration == 120.0
    assert summary.eta == 80.0


def test_restarts_are_the_starts_within_an_attempt() -> None:
    state = job(start() + steps(1, 20))
    assert summarise(state, 1.0).restarts == 0
    state.apply(0, decode(start(START_TS + 60, run_id="again") + step(11)), 60.0, "local")
    state.apply(0, decode(start(START_TS + 60, run_id="again")), 61.0, "local")  # its file was made anew
    assert (summarise(state, 61.0).attempt, summarise(state, 61.0).restarts) == (1, 1)
    state.apply(0, decode(start(START_TS + 90, attempt=2)), 90.0, "local")
    assert (summarise(state, 90.0).attempt, summarise(state, 90.0).restarts) == (2, 0)


def test_records_are_those_of_the_newest_attempt_and_of_all_its_restarts() -> None:
    state = job(start() + steps(1, 30))
    state.apply(0, decode(start(START_TS + 60, attempt=2) + steps(1, 3)), 60.0, "local")
    state.apply(0, decode(start(START_TS + 90, attempt=2, run_id="again") + steps(4, 5)), 90.0, "local")
    summary = summarise(state, 90.0)
    told = rank_view(state, 0, 90.0, summary, {})
    assert told is not None
    assert (summary.per_rank_stats[0].records, told.counts.records) == (5, 5)


@pytest.mark.parametrize(
    ("step_", "total", "pace", "expected"),
    [
        (10, 100, 2, 180),
        (100, 100, 2, 0),
        (110, 100, 2, 0),
        (10, None, 2, NAN),
        (NAN, 100, 2, NAN),
        (10, 100, NAN, NAN),
    ],
)
def test_what_remains(step_: float, total: int | None, pace: float, expected: float) -> None:
    np.testing.assert_equal(remaining_seconds(step_, total, pace), expected)


def test_a_node_that_is_heard_again_and_tells_late_does_not_take_the_run_back() -> None:
    state = JobState("j")
    for rank in (0, 1):
        state.apply(rank, decode(step(40)), 0.0, f"n{rank}")
    state.away = {"n1": Away(9.0, "no answer", sure=True, next_step="")}
    state.apply(0, decode(step(46)), 1.0, "n0")
    assert state.step() == 46
    state.away = {}
    state.apply(1, decode(step(45)), 1.0, "n1")
    assert state.step() == 46
    state.away = {"n0": Away(9.0, "no answer", sure=True, next_step="")}
    assert state.step() == 46  # the one that has come as far is not heard now, and has not gone back
    state.away = {}
    for rank in (0, 1):
        state.apply(rank, decode(step(30)), 2.0, f"n{rank}")
    assert state.step() == 30  # all ranks went back


def test_the_step_of_a_run_does_not_hang_on_which_rank_is_read_first() -> None:
    for first, other in ((0, 1), (1, 0)):
        state, steps = JobState("j"), (410, 405)
        for rank in (first, other):
            state.apply(rank, decode(step(steps[rank])), 0.0, f"n{rank}")
            state.step()  # a picture is drawn between the two
        assert state.step() == 405
