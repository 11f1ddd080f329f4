"""What ranks do while they live: stepping, stalling, hanging, pausing, losing lines, not-a-number; `now` is given."""

from __future__ import annotations

import orjson
import pytest

from tests.core.record_lines import (
    RUNNING,
    START_TS,
    alerts,
    end,
    heartbeat,
    job,
    line,
    more,
    start,
    states,
    step,
    steps,
)
from ugro_tui.core.alerts import Severity
from ugro_tui.core.job import JobState
from ugro_tui.core.snapshot import curve_of, view
from ugro_tui.core.states import JobStatus
from ugro_tui.core.summary import summarise
from ugro_tui.core.watch import evaluate

EVAL = line("phase", name="eval", state="begin", ts=START_TS + 20)


# --- stepping, stalling, hanging


@pytest.mark.parametrize(
    ("now", "expected"),
    [(0.0, "running"), (15.0, "running"), (15.1, "stalled"), (3_600.0, "stalled"), (3_600.1, "unknown")],
)
def test_a_writer_without_heartbeats_stalls_and_is_forgotten(now: float, expected: str) -> None:
    state = job(start() + steps(1, 20))
    assert states(state, now) == [expected]
    assert state.status(now) is (JobStatus.UNKNOWN if expected == "unknown" else JobStatus.RUNNING)
    assert alerts(state, now) == ([("rank stalled", 0)] if expected == "stalled" else [])


def test_the_stall_limit_follows_the_time_between_records() -> None:
    slow = start() + b"".join(step(number, START_TS + 60 * number) for number in range(1, 20))
    assert states(job(slow), 299.0) == ["running"]
    assert states(job(slow), 301.0) == ["stalled"]
    assert states(job(slow), 3_601.0) == ["unknown"]


def test_a_writer_of_rare_records_is_not_forgotten_between_them() -> None:
    rare = start() + b"".join(step(number, START_TS + 1_800 * number) for number in range(1, 20))
    assert states(job(rare), 8_900.0) == ["running"]
    assert states(job(rare), 9_100.0) == ["stalled"]
    assert states(job(rare), 18_100.0) == ["unknown"]


@pytest.mark.parametrize(("records", "gap", "limit"), [(0, 1, 120), (1, 1, 120), (3, 1, 120), (5, 60, 300), (6, 1, 15)])
def test_first_steps_may_take_longer(records: int, gap: int, limit: float) -> None:
    content = start() + b"".join(step(number, START_TS + gap * number) for number in range(records))
    assert states(job(content), limit - 0.5) == ["running"]
    assert states(job(content), limit + 0.5) == ["stalled"]


def test_a_heartbeat_keeps_the_step_age_without_records() -> None:
    state = job(start() + steps(1, 20))
    state.apply_heartbeat(0, heartbeat(step_age=0.5), 100.0, "local")
    assert states(state, 101.0) == ["running"]
    state.apply_heartbeat(0, heartbeat(step_age=16.0), 116.0, "local")
    assert states(state, 116.0) == ["stalled"]
    assert evaluate(state, 116.0)[0].what == "no step for 16s (limit 15s)"


def test_a_lying_heartbeat_does_not_move_the_step_into_the_future() -> None:
    state = job(start() + steps(1, 20))
    state.apply_heartbeat(0, heartbeat(step_age=-1e9), 1.0, "local")
    state.apply_heartbeat(0, heartbeat(step_age=1e300), 30.0, "local")
    assert states(state, 30.0) == ["stalled"]


@pytest.mark.parametrize(("silence", "expected"), [(15.0, "running"), (15.5, "stalled"), (60.5, "dead")])
def test_a_silent_process_is_frozen_and_then_gone(silence: float, expected: str) -> None:
    # Records come every 20 s, so that no step is missed yet when the heartbeats stop.
    state = job(start() + b"".join(step(number, START_TS + 20 * number) for number in range(1, 20)))
    state.apply_heartbeat(0, heartbeat(), 0.0, "local")
    assert states(state, silence) == [expected]
    if expected == "stalled":
        (alert,) = evaluate(state, silence)
        assert alert.what == "no heartbeat for 16s: the process is frozen, gone or cannot write"
    if expected == "dead":
        assert state.status(silence) is JobStatus.FAILED
        (alert,) = evaluate(state, silence)
        assert (alert.name, alert.age) == ("died silently", silence)
        assert alert.what == "gone without a word: killed (SIGKILL, out of memory), or its machine went down"


def test_one_rank_that_waits_is_stalled_and_all_of_them_hang() -> None:
    state = job(RUNNING, RUNNING)
    more(state, 1, steps(21, 22), 20.0)
    assert states(state, 20.0) == ["stalled", "running"]
    assert states(state, 36.0) == ["hung", "hung"]
    assert state.status(36.0) is JobStatus.RUNNING
    assert alerts(state, 20.0) == [("rank stalled", 0)]
    (hang,) = evaluate(state, 36.0)
    assert (hang.name, hang.rank, hang.severity) == ("hung", None, Severity.CRIT)
    assert hang.what == (
        "all 2 ranks stopped at step 20 16s ago; the heartbeats do not tell which one the others wait for"
    )


def test_a_hang_after_a_restart_with_fewer_ranks_is_one() -> None:
    state = job(RUNNING, RUNNING, RUNNING + end())
    for rank in (0, 1):
        more(state, rank, start(START_TS + 50, attempt=2, world_size=2) + steps(21, 30), 50.0)
    assert states(state, 51.0) == ["running", "running", "unknown"]
    assert states(state, 300.0) == ["hung", "hung", "unknown"]


def test_a_single_rank_stalls_rather_than_hangs() -> None:
    assert states(job(start() + steps(1, 20)), 30.0) == ["stalled"]


# --- declared phases


def test_an_evaluation_is_no_stall_and_the_age_starts_anew_after_it() -> None:
    state = job(start() + steps(1, 20))
    more(state, 0, EVAL, 1.0)
    assert states(state, 500.0) == ["running"]
    assert view(state, 500.0, curve_of(state)).phase == "eval"
    assert summarise(state, 500.0).verdict == "in eval"
    more(state, 0, line("phase", name="eval", state="end", ts=START_TS + 520), 500.0)
    assert states(state, 514.0) == ["running"]
    assert view(state, 514.0, curve_of(state)).phase == ""
    assert states(state, 516.0) == ["stalled"]


def test_a_process_killed_in_an_evaluation_is_found() -> None:
    state = job(start() + steps(1, 20) + EVAL)
    state.apply_heartbeat(0, heartbeat(), 5.0, "local")
    assert states(state, 21.0) == ["stalled"]
    assert states(state, 66.0) == ["dead"]


def test_the_phase_train_pauses_nothing() -> None:
    state = job(start() + steps(1, 20) + line("phase", name="train", state="begin"))
    assert states(state, 20.0) == ["stalled"]
    assert view(state, 20.0, curve_of(state)).phase == ""


# --- non-finite losses


def _bad(kind: str) -> bytes:
    return {
        "loss": step(21, seq=21, loss="NaN"),
        "gradient": step(21, seq=21, loss=2.5, grad_norm="Infinity"),
        "minus": step(21, seq=21, loss="-Infinity"),
        "masked": step(21, seq=21, loss=0.0, grad_norm="NaN"),
    }[kind]


RESUME = "stop, resume an earlier checkpoint with a lower learning rate"
CLIP = "an overflow that loss scaling skips is usual at first; else clip gradients, or use bf16"
FILTER = "stop, resume an earlier checkpoint, and switch the NaN filter of the logging off"


@pytest.mark.parametrize(
    ("kind", "name", "severity", "what", "advice"),
    [
        ("loss", "non-finite loss", Severity.CRIT, "loss not finite since step 21 (loss NaN)", RESUME),
        ("minus", "non-finite loss", Severity.CRIT, "loss not finite since step 21 (loss -inf)", RESUME),
        ("gradient", "non-finite loss", Severity.WARN, "gradient norm not finite since step 21 (loss 2.500)", CLIP),
        (
            "masked",
            "masked NaN",
            Severity.CRIT,
            "loss 0 with a gradient norm that is not finite since step 21 (loss 0)",
            FILTER,
        ),
    ],
)
def test_a_non_finite_loss_is_latched_until_ten_finite_ones(
    kind: str, name: str, severity: Severity, what: str, advice: str
) -> None:
    state = job(start() + steps(1, 20))
    more(state, 0, _bad(kind), 3.0)
    more(state, 0, steps(22, 30), 4.0)
    (alert,) = evaluate(state, 5.0)
    assert (alert.name, alert.severity, alert.rank, alert.node) == (name, severity, 0, "node-a")
    what += "; finite in the last 9 records"
    assert alert.what == what
    assert alert.age == 10.0  # by the times of the records, and what has passed since the last came
    assert summarise(state, 5.0).verdict == f"{name}: rank 0 on node-a, for 10s: {what}; {advice}"
    more(state, 0, steps(31, 31), 5.0)
    assert [found.name for found in evaluate(state, 5.0)] == ["loss recovered"]


def test_records_without_a_loss_clear_nothing() -> None:
    state = job(start() + step(1, loss="NaN") + b"".join(step(number) for number in range(2, 40)))
    assert alerts(state, 1.0) == [("non-finite loss", 0)]


@pytest.mark.parametrize(("bad", "since"), [((3, 9, 30), 30), ((3, 14, 30), 30), ((20, 30), 20), ((19, 30), 30)])
@pytest.mark.parametrize("size", [1, 7, 35])
def test_episodes_do_not_depend_on_how_records_arrive(bad: tuple[int, ...], since: int, size: int) -> None:
    state = job(start())
    for first in range(0, 35, size):
        numbers = range(first, min(35, first + size))
        more(state, 0, b"".join(step(n, loss="NaN" if n in bad else 1.0) for n in numbers), 0.0)
    episode = state.ranks[0].bad
    assert episode is not None
    assert (episode.step, episode.finite) == (since, 4)


# --- foreign writers


def test_a_writer_without_start_seq_or_times_is_followed() -> None:
    content = b"".join(orjson.dumps({"kind": "step", "step": n, "loss": 1.0}) + b"\n" for n in range(30))
    state = job(content)
    summary = summarise(state, 10.0)
    assert states(state, 10.0) == ["running"]
    assert (summary.status, summary.step, summary.world_size, summary.verdict) == (JobStatus.RUNNING, 29, 1, "stepping")
    assert summary.per_rank_stats[0].lost == 0
    assert str(summary.duration) == str(summary.eta) == str(summary.seconds_per_step) == "nan"


def test_a_rank_without_a_loss_is_no_alarm() -> None:
    state = job(start(world_size=2) + steps(1, 20), start(world_size=2) + b"".join(step(n) for n in range(1, 21)))
    assert alerts(state, 1.0) == []
    summary = summarise(state, 1.0)
    assert summary.final_loss == 2.0
    assert str(summary.per_rank_stats[1].final_loss) == "nan"
    assert curve_of(state).median.tolist() == [2.0] * 20


# --- lost lines


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        (start() + steps(1, 9), 0),
        (start() + steps(1, 3) + steps(6, 9), 2),
        (start() + steps(1, 3) + line("dream", seq=4) + steps(5, 9), 0),
        (start() + steps(1, 3) + b"{}\n" + steps(4, 9), 0),
        (start() + steps(1, 3) + line("phase", name="eval", state="begin", seq=4) + end(seq=7), 2),
        (start() + steps(1, 3) + start() + steps(1, 3), 0),
        (start() + steps(1, 3) + step(4, seq=1e300) + step(5, seq="NaN") + steps(6, 7), 2),
        (steps(5, 9) + steps(20, 30), 0),
    ],
)
def test_gaps_in_seq_are_lost_lines_however_they_arrive(lines: bytes, lost: int) -> None:
    assert job(lines).ranks[0].lost == lost
    state = JobState("job")
    for part in lines.splitlines(keepends=True):
        more(state, 0, part, 0.0)
    assert state.ranks[0].lost == lost


def test_iterations_end_the_warm_up_not_records() -> None:
    """A writer that records each fifth step has made twenty by its fifth record."""
    sparse = b"".join(step(number, seq=number, loss=2.0) for number in (5, 10, 15))
    assert states(job(start() + sparse, at=0.0), 26.0) == ["stalled"]
    dense = b"".join(step(number, seq=number, loss=2.0) for number in (1, 2, 3))
    assert states(job(start() + dense, at=0.0), 26.0) == ["running"]
