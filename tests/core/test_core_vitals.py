"""What a node says of the process of a rank: it counts at once, for that process alone, until it is overtaken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.record_lines import START_TS, alerts, end, heartbeat, job, manifest, more, start, states, steps
from ugro_tui.core.job import Away, JobState
from ugro_tui.core.records import Vital
from ugro_tui.core.states import JobStatus, ProcessState
from ugro_tui.core.watch import evaluate

GONE = Vital(7, 1_000, ProcessState.GONE, oom=False)
BEAT: dict[str, Any] = {"pid": 7, "pid_start": 1_000, "ts": START_TS + 20}


def run(pid: int = 7, pid_start: int = 1_000, **fields: object) -> bytes:
    return start(world_size=2, pid=pid, pid_start=pid_start, **fields)  # type: ignore[arg-type]


def two_ranks(**fields: Any) -> JobState:
    """A job of two ranks that have just stepped, and a heartbeat of the second."""
    state = job(start(world_size=2) + steps(1, 20), run() + steps(1, 20))
    state.apply_heartbeat(1, heartbeat(**BEAT, **fields), 0.0, "local")
    return state


@pytest.mark.parametrize(
    ("process", "at_once", "later"),
    [
        (ProcessState.GONE, "dead", "dead"),
        (ProcessState.ZOMBIE, "dead", "dead"),
        (ProcessState.STOPPED, "running", "hung"),  # never dead: its node says that it is there
        (ProcessState.ALIVE, "running", "hung"),
        (ProcessState.UNKNOWN, "running", "dead"),
    ],
)
def test_a_state_of_the_process_counts_at_once(process: ProcessState, at_once: str, later: str) -> None:
    state = two_ranks()
    state.apply_vital(1, Vital(7, 1_000, process), "local")
    assert states(state, 6.0)[1] == at_once
    assert states(state, 3_000.0)[1] == later


@pytest.mark.parametrize(
    ("oom", "cause"),
    [
        (True, "killed: out of memory"),
        (False, "killed: its process is gone, without an end record or an error file (SIGKILL?)"),
        (None, "killed: its process is gone, without an end record or an error file (SIGKILL?)"),
    ],
)
def test_the_cause_of_a_death_without_a_word(oom: bool | None, cause: str) -> None:
    state = two_ranks()
    state.apply_vital(1, Vital(7, 1_000, ProcessState.GONE, oom), "local")
    found = evaluate(state, 6.0)
    assert [(alert.name, alert.rank, alert.what) for alert in found] == [("died silently", 1, cause)]


def test_an_end_record_is_believed_before_the_process_is_looked_at() -> None:
    state = two_ranks()
    state.apply_vital(1, GONE, "local")
    more(state, 1, end(), 6.0)
    assert states(state, 7.0)[1] == "finished"
    assert alerts(state, 7.0) == []


def test_what_is_said_of_another_process_does_not_count() -> None:
    for pid, pid_start in ((8, 1_000), (7, 1_001)):
        state = two_ranks()
        state.apply_vital(1, Vital(pid, pid_start, ProcessState.GONE), "local")
        assert state.ranks[1].vital is None
        assert states(state, 6.0)[1] == "running"


def test_a_newer_heartbeat_of_the_same_process_overtakes_it() -> None:
    state = two_ranks()
    state.apply_vital(1, GONE, "local")
    state.apply_heartbeat(1, heartbeat(**{**BEAT, "ts": START_TS + 22}), 6.0, "local")
    assert states(state, 7.0)[1] == "running"


def test_the_same_heartbeat_seen_by_another_node_does_not() -> None:
    state = two_ranks()
    state.apply_vital(1, GONE, "local")
    state.apply_heartbeat(1, heartbeat(**BEAT), 1.0, "other")
    assert states(state, 7.0)[1] == "dead"


def test_a_new_run_overtakes_it_by_its_start_and_by_its_heartbeat() -> None:
    by_start, by_heartbeat = two_ranks(), two_ranks()
    for state in (by_start, by_heartbeat):
        state.apply_vital(1, GONE, "local")
    more(by_start, 1, run(9, 2_000, run_id="s", ts=START_TS + 30), 6.0)
    new = heartbeat(run_id="s", pid=9, pid_start=2_000, ts=START_TS + 31)
    by_heartbeat.apply_heartbeat(1, new, 6.0, "local")
    for state in (by_start, by_heartbeat):
        assert state.ranks[1].vital is None
        assert states(state, 7.0)[1] == "running"


def test_it_counts_whatever_is_read_first_of_the_files() -> None:
    """Documents come before a long metrics file, which is then read in pieces: starts of older runs, then its own."""
    state = job(start(world_size=2) + steps(1, 20))
    state.apply_heartbeat(1, heartbeat(**BEAT), 0.0, "local")
    state.apply_vital(1, GONE, "local")
    for pid, run_id in ((5, "p"), (6, "q"), (7, "r")):
        more(state, 1, run(pid, run_id=run_id, ts=START_TS - 100 + pid) + steps(1, 20), 0.0)
    assert states(state, 6.0)[1] == "dead"


def test_a_rank_that_is_gone_stays_so_when_its_node_does_not_answer() -> None:
    state = two_ranks()
    state.apply_vital(1, GONE, "local")
    state.away = {"local": Away(3.0, "no answer", sure=True, next_step="")}
    assert states(state, 9.0) == ["unreachable", "dead"]


def test_the_rank_that_was_killed_comes_before_those_that_the_launcher_ended_then() -> None:
    state = job(*[start(world_size=3) + steps(1, 20)] * 3)
    assert [state.exit_code(rank) for rank in state.ranks] == [None] * 3
    manifest(state, "failed", exits={"0": -15, "1": -9, "2": -15}, attempt=1)
    assert [state.exit_code(rank) for rank in state.ranks] == [-15, -9, -15]
    assert alerts(state, 1.0)[0] == ("died silently", 1)
    more(state, 0, start(ts=START_TS + 90, attempt=2, run_id="s"), 2.0)
    assert [state.exit_code(rank) for rank in state.ranks] == [None] * 3


def test_the_launchers_word_on_the_end_comes_first() -> None:
    state = two_ranks()
    state.apply_vital(1, GONE, "local")
    manifest(state, "stopped")
    assert states(state, 9.0)[1] == "stopped"
    assert state.status(9.0) is JobStatus.STOPPED


@pytest.mark.parametrize(
    ("code", "oom", "cause"),
    [
        (-9, True, "killed: out of memory"),
        (-9, False, "killed (SIGKILL), without an end record or an error file"),
        (-11, True, "segmentation fault (SIGSEGV), without an end record or an error file"),
        (
            -6,
            None,
            "aborted (SIGABRT): a failed check in C, or NCCL's watchdog, without an end record or an error file",
        ),
        (-3, None, "ended by signal 3, without an end record or an error file"),
        (17, None, "exited with code 17, without an end record or an error file"),
    ],
)
def test_what_the_launcher_knows_of_a_death(code: int, oom: bool | None, cause: str) -> None:
    state = two_ranks()
    state.apply_vital(1, Vital(7, 1_000, ProcessState.GONE, oom), "local")
    manifest(state, "failed", exits={"0": -15, "1": code}, attempt=1)
    assert evaluate(state, 6.0)[0].what == cause
