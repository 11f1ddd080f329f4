"""How ranks and jobs end, what a launcher says, and what a new attempt changes; `now` is given."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.core.record_lines import (
    RUNNING,
    START_TS,
    alerts,
    end,
    heartbeat,
    job,
    manifest,
    more,
    start,
    states,
    step,
    steps,
)
from ugro_tui.core.alerts import Severity
from ugro_tui.core.documents import parse_error, parse_manifest
from ugro_tui.core.job import JobState
from ugro_tui.core.rank_facts import rank_view
from ugro_tui.core.records import ErrorReport
from ugro_tui.core.snapshot import curve_of, view
from ugro_tui.core.states import JobStatus, RankState
from ugro_tui.core.summary import summarise
from ugro_tui.core.watch import evaluate

# --- how it ends


@pytest.mark.parametrize(
    ("endings", "status", "expected"),
    [
        (("completed", "completed"), JobStatus.FINISHED, ["finished", "finished"]),
        (("completed", "stopped"), JobStatus.STOPPED, ["finished", "stopped"]),
        (("stopped", "stopped"), JobStatus.STOPPED, ["stopped", "stopped"]),
        (("failed", "completed"), JobStatus.FAILED, ["dead", "finished"]),
        (("failed", ""), JobStatus.FAILED, ["dead", "running"]),
        (("completed", ""), JobStatus.RUNNING, ["finished", "running"]),
    ],
)
def test_the_end_records_decide(endings: tuple[str, str], status: JobStatus, expected: list[str]) -> None:
    state = job(*(RUNNING + (end(word) if word else b"") for word in endings))
    assert state.status(1.0) is status
    assert states(state, 1.0) == expected


def test_a_rank_that_failed_is_named_with_its_error() -> None:
    state = job(RUNNING, RUNNING + end("failed", error={"type": "RuntimeError", "message": "CUDA out of memory"}))
    (alert,) = evaluate(state, 4.0)
    assert (alert.name, alert.rule, alert.severity) == ("rank error", "rank_error", Severity.CRIT)
    assert (alert.rank, alert.ranks, alert.node, alert.age) == (1, 1, "node-a", 4.0)
    assert (alert.what, alert.next_step) == ("RuntimeError: CUDA out of memory", "read the end of what it printed")
    assert summarise(state, 4.0).verdict == (
        "rank error: rank 1 on node-a, 4.0s ago: RuntimeError: CUDA out of memory; read the end of what it printed"
    )
    assert summarise(state, 4.0).unwell


def test_the_rank_that_failed_first_comes_before_those_that_follow_from_it() -> None:
    peers = end("failed", ts=START_TS + 31, error={"type": "RuntimeError", "message": "connection closed by peer"})
    cause = end("failed", ts=START_TS + 30, error={"type": "ValueError", "message": "bad batch"})
    state = job(RUNNING + peers, RUNNING, RUNNING + cause)
    more(state, 1, step(21, loss="NaN"), 0.0)
    first = state.first_failure(0.0)
    assert first is not None
    assert first.rank == 2
    assert alerts(state, 20.0) == [("rank error", 2), ("non-finite loss", 1), ("rank stalled", 1), ("rank error", 0)]


def test_a_failure_without_a_time_is_a_failure_but_not_the_first() -> None:
    state = job(RUNNING + end("failed", ts=None), RUNNING + end("failed", ts=START_TS + 5))
    first = state.first_failure(0.0)
    assert first is not None
    assert first.rank == 1
    assert job(RUNNING + end("failed", ts=None)).first_failure(0.0) is not None
    assert job(RUNNING + end("completed")).first_failure(0.0) is None


def test_a_finished_rank_and_one_that_is_gone_make_no_running_job() -> None:
    state = job(RUNNING + end(), RUNNING)
    state.apply_heartbeat(1, heartbeat(), 0.0, "local")
    assert state.status(10.0) is JobStatus.RUNNING
    assert states(state, 70.0) == ["finished", "dead"]
    assert state.status(70.0) is JobStatus.FAILED


def test_a_rank_that_never_reports_is_waited_for_but_not_for_ever() -> None:
    state = job(start(world_size=4) + steps(1, 20) + end())
    assert state.status(30.0) is JobStatus.RUNNING
    assert summarise(state, 30.0).verdict == "0 of 4 ranks are stepping"
    assert state.status(61.0) is JobStatus.FINISHED


def test_steps_after_an_end_whose_start_was_lost() -> None:
    state = job(RUNNING + end("failed") + b'{"kind":"sta\n' + steps(21, 30))
    assert states(state, 1.0) == ["running"]
    assert state.status(1.0) is JobStatus.RUNNING
    assert alerts(state, 1.0) == [("lines skipped", 0)]


def test_an_unknown_ending_is_an_ending() -> None:
    assert job(start() + steps(1, 3) + end("exploded")).status(1.0) is JobStatus.STOPPED


# --- the launcher's word


@pytest.mark.parametrize(
    ("said", "status", "expected", "fires"),
    [
        ("running", JobStatus.RUNNING, "running", []),
        ("finished", JobStatus.FINISHED, "finished", []),
        ("stopped", JobStatus.STOPPED, "stopped", []),
        ("failed", JobStatus.FAILED, "dead", [("died silently", 0), ("died silently", 1)]),
    ],
)
def test_ranks_without_an_end_share_what_the_launcher_says(
    said: str, status: JobStatus, expected: str, fires: list[tuple[str, int]]
) -> None:
    state = job(RUNNING, RUNNING)
    manifest(state, said, attempt=1, world_size=2)
    assert state.status(1.0) is status
    assert states(state, 1.0) == [expected, expected]
    assert alerts(state, 1.0) == fires


def test_peers_that_fail_while_a_job_is_stopped_do_not_make_it_fail() -> None:
    lost = end("failed", error={"type": "RuntimeError", "message": "connection closed by peer"})
    state = job(RUNNING, RUNNING + lost)
    assert state.status(1.0) is JobStatus.FAILED
    manifest(state, "stopped", attempt=1)
    assert state.status(1.0) is JobStatus.STOPPED
    assert alerts(state, 1.0) == []
    assert summarise(state, 1.0).verdict == "stopped"
    assert states(state, 1.0) == ["stopped", "stopped"]


def test_what_is_stopped_is_neither_well_nor_failed() -> None:
    """A rank that SIGTERM ended, one that its script left for it, one that had an error of its own before."""
    left = end("failed", error={"type": "SystemExit", "message": "143"})
    broke = end("failed", error={"type": "ValueError", "message": "bad batch"})
    state = job(*(start(world_size=3) + steps(1, 21) + ended for ended in (b"", left, broke)))
    manifest(state, "stopped", attempt=1)
    summary = summarise(state, 1.0)
    assert states(state, 1.0) == ["stopped", "stopped", "dead"]
    assert (summary.ranks_ok, summary.unwell) == (0, False)
    shown = rank_view(state, 0, 1.0, summary, {})
    assert shown is not None
    assert (shown.state, shown.why) == ("stopped", "its launcher says that the job was stopped")


def test_a_rank_that_failed_outweighs_a_launcher_that_saw_nothing() -> None:
    state = job(RUNNING + end("failed"), RUNNING + end())
    manifest(state, "finished", attempt=1)
    assert state.status(1.0) is JobStatus.FAILED


def test_a_launched_job_before_its_first_record() -> None:
    state = JobState("job")
    assert state.status(0.0) is JobStatus.UNKNOWN
    manifest(state, "running", world_size=2)
    assert state.status(0.0) is JobStatus.PENDING
    assert summarise(state, 0.0).verdict == "waiting for the first record"
    told = parse_manifest(b'{"status": "pending", "said": "pending: Resources"}')
    assert told is not None
    state.apply_manifest(told)
    assert summarise(state, 0.0).verdict == "pending: Resources"
    manifest(state, "failed")
    assert state.status(0.0) is JobStatus.FAILED


# --- attempts


def test_a_relaunch_with_fewer_ranks_leaves_the_old_ranks_behind() -> None:
    four = start(world_size=4) + steps(1, 50)
    state = job(four, four, four, four, at=0.0)
    manifest(state, "failed", attempt=1, world_size=4)
    for rank in (0, 1):
        more(state, rank, start(START_TS + 500, attempt=2, world_size=2), 500.0)
    assert (state.attempt, state.world_size) == (2, 2)
    assert states(state, 501.0) == ["running", "running", "unknown", "unknown"]
    assert state.status(501.0) is JobStatus.STARTING
    assert summarise(state, 501.0).verdict == "started, waiting for the first step"
    assert view(state, 501.0, curve_of(state)).ranks.rank.tolist() == [0, 1]
    for rank in (0, 1):
        more(state, rank, steps(31, 32), 502.0)
    assert state.status(502.0) is JobStatus.RUNNING
    assert state.step() == 32
    for rank in (0, 1):
        more(state, rank, end(), 510.0)
    assert state.status(510.0) is JobStatus.FINISHED


def test_ranks_that_have_not_joined_a_restart_yet_stay_on_the_screen() -> None:
    state = job(RUNNING, RUNNING)
    more(state, 0, start(START_TS + 60, attempt=2, world_size=2), 60.0)
    ranks = view(state, 61.0, curve_of(state)).ranks
    assert ranks.rank.tolist() == [0, 1]
    assert [RankState(int(code)).word for code in ranks.state] == ["running", "unknown"]
    assert alerts(state, 300.0) == [("rank stalled", 0)]


def test_between_a_relaunch_and_its_first_record_the_job_starts() -> None:
    state = job(RUNNING + end("failed"), RUNNING)
    state.apply_heartbeat(1, heartbeat(), 0.0, "local")
    manifest(state, "running", attempt=2)
    assert state.status(90.0) is JobStatus.STARTING
    assert alerts(state, 90.0) == []
    summary = summarise(state, 90.0)
    assert (summary.attempt, summary.ranks_seen, len(summary.per_rank_stats)) == (2, 0, 0)
    numbers = (summary.step, summary.min_loss, summary.tokens, summary.duration, summary.step_age)
    assert np.isnan(numbers).all()
    more(state, 0, start(START_TS + 95, attempt=2), 95.0)
    picture = view(state, 95.0, curve_of(state))
    assert math.isnan(picture.summary.min_loss)
    assert np.isnan(picture.ranks.spark[0]).all()


def test_ranks_that_live_outweigh_a_launcher_that_counts_differently() -> None:
    state = job(RUNNING, RUNNING)
    manifest(state, "running", attempt=2)
    assert state.status(1.0) is JobStatus.RUNNING
    assert alerts(state, 30.0) == [("hung", None)]


def test_a_restart_begins_with_a_clean_slate() -> None:
    state = job(start() + steps(1, 20) + step(21, loss="NaN") + end("failed"))
    more(state, 0, start(START_TS + 60, attempt=2), 60.0)
    assert alerts(state, 61.0) == []
    assert states(state, 61.0) == ["running"]
    # Until steps have set the pace again, they may take as long as the first ones of any run.
    assert states(state, 179.0) == ["running"]
    assert states(state, 181.0) == ["stalled"]


def test_an_attempt_of_any_size_is_taken() -> None:
    assert job(start(attempt=2**40) + steps(1, 2)).attempt == 2**40


# --- error files


def _error(ts: float) -> ErrorReport:
    text = {"message": "ImportError: no module", "extraInfo": {"py_callstack": "a\nb", "timestamp": str(int(ts))}}
    found = parse_error(json.dumps({"message": text}).encode())
    assert found is not None
    return found


def test_an_error_file_alone_tells_of_a_dead_rank() -> None:
    state = JobState("job")
    state.apply_error(3, _error(START_TS), "local")
    assert states(state, 5.0) == ["dead"]
    assert state.status(5.0) is JobStatus.FAILED
    (alert,) = evaluate(state, 5.0)
    assert (alert.rank, alert.node, alert.what) == (3, "local", "ImportError: no module")


@pytest.mark.parametrize("error_first", [True, False])
@pytest.mark.parametrize(("ts", "expected"), [(START_TS - 60, "running"), (START_TS, "dead"), (START_TS + 9, "dead")])
def test_only_an_error_file_of_this_run_counts(error_first: bool, ts: float, expected: str) -> None:
    state = JobState("job")
    if error_first:
        state.apply_error(0, _error(ts), "local")
    more(state, 0, start(START_TS + 0.7) + steps(1, 3), 0.0)
    if not error_first:
        state.apply_error(0, _error(ts), "local")
    assert states(state, 1.0) == [expected]


def test_an_empty_metrics_file_tells_nothing() -> None:
    state = job(b"")
    assert states(state, 1.0) == ["unknown"]
    assert state.status(1.0) is JobStatus.UNKNOWN
    assert summarise(state, 1.0).verdict == "no news: neither records nor heartbeats tell what it does"


def test_a_file_made_anew_repeats_its_start_and_the_run_goes_on() -> None:
    state = job(start() + steps(1, 5) + start() + steps(6, 8))
    rank = state.ranks[0]
    assert len(rank.series) == 8
    assert rank.lost == 0
    assert not rank.series.rewinds


LOST_PEER = {"type": "RuntimeError", "message": "[gloo/pair.cc:544] Connection closed by peer [127.0.0.1]:8190"}


def test_a_killed_rank_comes_before_those_that_lost_it() -> None:
    """SIGKILL leaves no word; what the others say only follows from it."""
    state = job(RUNNING + end("failed", error=LOST_PEER), RUNNING)
    manifest(state, "failed", exit_code=1)
    first = state.first_failure(1.0)
    assert first is not None
    assert first.rank == 1
    alerts = evaluate(state, 1.0)
    assert [alert.rank for alert in alerts] == [1, 0]
    assert "SIGKILL" in alerts[0].what
    assert "logs/rank_1.log" in alerts[0].next_step


def test_an_error_of_its_own_comes_before_a_rank_that_was_killed_with_it() -> None:
    own = {"type": "ValueError", "message": "no such batch"}
    state = job(RUNNING, RUNNING + end("failed", error=own))
    manifest(state, "failed", exit_code=1)
    assert [alert.what for alert in evaluate(state, 1.0)] == [
        "ValueError: no such batch",
        "ended after rank 1 had failed",
    ]


def test_a_job_that_fails_before_its_first_record_says_where_to_look() -> None:
    state = JobState("job")
    manifest(state, "failed", exit_code=2)
    assert "exit code 2" in summarise(state, 1.0).verdict
    assert "logs/rank_0.log and of its own" in summarise(state, 1.0).verdict


def test_of_ranks_that_stand_still_the_one_that_others_wait_for_comes_first() -> None:
    state = job(RUNNING, RUNNING, at=-200.0)
    for rank, phase in ((0, "backward"), (1, None)):
        state.apply_heartbeat(rank, heartbeat(step_age=200.0, phase=phase, pid=40 + rank), 0.0, "local")
    (hang,) = evaluate(state, 1.0)
    assert (hang.name, hang.rank) == ("hung", 1)
    assert hang.what.endswith("rank 1 on node-a never entered the backward pass")
    assert "py-spy dump --pid 41" in hang.next_step
    # While a third still steps it is no hang: each of the two is told of, the one that does not wait before the other.
    more(state, 2, RUNNING, 0.5)
    stalled = evaluate(state, 1.0)
    assert [(alert.name, alert.rank) for alert in stalled] == [("rank stalled", 1), ("rank stalled", 0)]
    assert "not in the backward pass" in stalled[0].what
    assert "waits for others" in stalled[1].what
    assert "py-spy dump --pid 41" in stalled[0].next_step
    state = job(RUNNING, RUNNING, at=-200.0)
    assert math.isnan(summarise(state, 1.0).eta)
    assert math.isnan(summarise(state, 1.0).throughput)
