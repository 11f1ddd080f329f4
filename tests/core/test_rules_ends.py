"""Who failed first and what it died of, and runs that start again and again."""

from __future__ import annotations

import pytest

from tests.core.record_lines import START_TS, end, manifest, start, step
from tests.core.rule_scenes import Scene
from ugro_tui.core.alerts import Severity
from ugro_tui.core.records import Vital
from ugro_tui.core.states import ProcessState

GLOO = (
    "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer. This is typically caused by"
)
PEER = {"type": "RuntimeError", "message": GLOO}


def test_an_error_and_a_death_without_a_word_have_their_names_and_the_first_comes_first() -> None:
    scene = Scene(4)
    scene.steps(range(1, 21))
    scene.write(3, end("failed", ts=START_TS + 30, error=PEER))
    scene.write(1, end("failed", ts=START_TS + 31, error={"type": "ValueError", "message": "bad batch"}))
    scene.beat(0, pid=7, pid_start=1)
    scene.job.apply_vital(0, Vital(7, 1, ProcessState.GONE), "local")
    found = scene.all(4.0)
    assert [(alert.rule, alert.rank, alert.severity) for alert in found] == [
        ("rank_error", 1, Severity.CRIT),
        ("died_silently", 0, Severity.INFO),
        ("rank_error", 3, Severity.INFO),
    ]
    assert [alert.what for alert in found] == [
        "ValueError: bad batch",
        "ended after rank 1 had failed",
        "followed rank 1: RuntimeError: Connection closed by peer",
    ]
    assert found[0].sentence.startswith("rank error: rank 1 on node-a, 4.0s ago: ValueError: bad batch; read the end")


def test_ranks_that_lost_a_peer_are_not_blamed_while_one_has_not_said_why() -> None:
    """A killed rank says nothing, and its node needs some seconds to see that it is gone: its peers fail at once."""
    scene = Scene(3)
    scene.steps(range(1, 21))
    scene.write(0, end("failed", ts=START_TS + 1, error=PEER), "n1")
    scene.now = 4.0
    scene.beat(1, pid=6, pid_start=1)
    (alert,) = scene.all()
    assert (alert.rule, alert.rank, alert.node, alert.severity, alert.age) == ("rank_error", None, "", Severity.CRIT, 4)
    assert alert.what == (
        "ranks have lost another one that has not said why yet: rank 2 on node-a (or 1 more), last heard of 4.0s ago; "
        "rank 0 says RuntimeError: Connection closed by peer"
    )
    assert alert.next_step == "look at rank 2 on node-a"
    scene.write(1, end("failed", ts=START_TS + 4, error=PEER))
    assert "another one that has not said why yet: rank 2 on node-a, last heard" in scene.all()[0].what
    scene.beat(2, pid=7, pid_start=1)
    scene.job.apply_vital(2, Vital(7, 1, ProcessState.GONE), "local")
    assert [(alert.rule, alert.rank) for alert in scene.all()] == [
        ("died_silently", 2),
        ("rank_error", 0),
        ("rank_error", 1),
    ]
    assert scene.all()[1].what == "followed rank 2: RuntimeError: Connection closed by peer"


def test_where_all_ranks_say_that_they_lost_a_peer_the_first_to_say_so_is_named() -> None:
    scene = Scene(3)
    scene.steps(range(1, 21))
    for rank in scene.ranks:
        scene.write(rank, end("failed", ts=START_TS + 9 - rank, error=PEER))
    assert scene.all()[0].sentence.startswith(f"rank error: rank 2 on node-a: RuntimeError: {GLOO};")


def test_the_node_is_told_also_where_the_error_names_the_rank_itself() -> None:
    scene = Scene(2)
    scene.steps(range(1, 21))
    scene.write(1, end("failed", error={"type": "ValueError", "message": "rank 1 has no batch"}))
    assert scene.all()[0].sentence.startswith("rank error: rank 1 on node-a: ValueError: rank 1 has no batch;")


def test_where_to_look_depends_on_what_is_known() -> None:
    scene = Scene(2)
    scene.steps(range(1, 21))
    scene.beat(1, pid=7, pid_start=1)
    scene.job.apply_vital(1, Vital(7, 1, ProcessState.GONE, oom=True), "local")
    (alert,) = scene.all(4.0)
    assert alert.what == "killed: out of memory"
    assert alert.next_step == "look at its node's kernel log (dmesg), and read the end of what it printed"
    manifest(scene.job, "running", attempt=1)
    assert scene.all()[0].next_step.endswith("read the end of logs/rank_1.log of the job")


def test_the_first_failure_is_told_apart_from_the_many_that_follow() -> None:
    scene = Scene(32)
    scene.steps(range(1, 21))
    for rank in scene.ranks:
        error = {"type": "ValueError", "message": "bad batch"} if rank == 17 else PEER
        scene.write(rank, end("failed", ts=START_TS + 30, error=error))
    first, rest = scene.all(4.0)
    assert (first.rank, first.ranks, first.what) == (17, 1, "ValueError: bad batch")
    assert (rest.rank, rest.ranks) == (0, 31)
    assert rest.where == "rank 0 on node-a and 30 more"


def test_what_ends_after_somebody_stopped_the_job_is_no_news() -> None:
    scene = Scene(2)
    scene.steps(range(1, 21))
    scene.write(0, end("failed", error=PEER))
    assert scene.all(1.0)
    manifest(scene.job, "stopped", attempt=1)
    assert scene.all(1.0) == []


def test_a_new_attempt_forgets_who_failed() -> None:
    scene = Scene(2)
    scene.steps(range(1, 21))
    scene.write(0, end("failed", error=PEER))
    for rank in scene.ranks:
        scene.write(rank, start(START_TS + 60, run_id="s", attempt=2, world_size=2))
    assert scene.all(1.0) == []


# --- restarts


def restart(scene: Scene, attempt: int, seconds: float) -> None:
    """Every rank starts anew."""
    scene.now = seconds
    for rank in scene.ranks:
        scene.write(rank, start(START_TS + seconds, run_id=f"run-{attempt}", attempt=attempt, world_size=2))


@pytest.mark.parametrize(("gap", "fires"), [(449.0, True), (451.0, False)])
def test_five_starts_within_half_an_hour_are_a_loop(gap: float, fires: bool) -> None:
    """Each gets further than the one before."""
    scene = Scene(2)
    scene.steps(range(1, 11))
    for attempt in range(2, 6):
        assert "restart_loop" not in scene.tick()
        restart(scene, attempt, gap * (attempt - 1))
        scene.steps(range(10 * attempt, 10 * attempt + 10))
    found = scene.tick()
    assert ("restart_loop" in found) == fires
    if fires:
        alert = found["restart_loop"]
        assert (alert.severity, alert.rank, alert.what) == (Severity.CRIT, None, "5 starts within 29m 56s")
        assert alert.next_step == "stop it and mend the cause of the first failure"


def test_three_starts_without_progress_are_a_loop_until_the_run_gets_further() -> None:
    scene = Scene(2)
    for attempt, fires in ((2, False), (3, False), (4, True)):
        scene.steps(range(1, 11))
        restart(scene, attempt, 4_000.0 * attempt)
        assert ("restart_loop" in scene.tick()) == fires
    assert scene.tick()["restart_loop"].what == "3 starts in a row without getting beyond step 10"
    scene.steps(range(1, 11))
    assert "restart_loop" in scene.tick()
    scene.steps([11])
    assert "restart_loop" not in scene.tick()


def test_a_run_that_dies_a_little_earlier_each_time_makes_no_progress_either() -> None:
    scene = Scene(2)
    for attempt, last in ((2, 10), (3, 9), (4, 8)):
        scene.steps(range(1, last + 1))
        restart(scene, attempt, 4_000.0 * attempt)
    assert scene.tick()["restart_loop"].what == "3 starts in a row without getting beyond step 10"


def test_three_starts_without_a_single_step_are_a_loop() -> None:
    scene = Scene(2)
    restart(scene, 2, 4_000.0)
    assert "restart_loop" not in scene.tick()
    restart(scene, 3, 8_000.0)
    assert scene.tick()["restart_loop"].what == "3 starts in a row without a step"


def test_two_restarts_that_get_on_are_no_loop() -> None:
    scene = Scene(2)
    for attempt in (2, 3):
        scene.steps(range(10 * attempt, 10 * attempt + 10))
        restart(scene, attempt, 100.0 * attempt)
    scene.steps(range(50, 60))
    assert scene.tick() == {}


def test_a_loop_is_over_when_the_run_steps_for_half_an_hour_or_has_finished() -> None:
    scene = Scene(2, {"restart_loop.starts": 3})
    scene.steps(range(1, 11))
    for attempt in (2, 3):
        restart(scene, attempt, 100.0 * attempt)
        scene.steps(range(10 * attempt, 10 * attempt + 10))
    assert "restart_loop" in scene.tick()
    scene.now = 2_000.0
    scene.steps([100])
    assert "restart_loop" in scene.tick()
    for rank in scene.ranks:
        scene.write(rank, end(ts=START_TS + 2_001))
    assert "restart_loop" not in scene.tick()
    scene.now = 300.0 + 1_801.0
    scene.write(0, step(101, START_TS + scene.now))
    assert "restart_loop" not in scene.tick()


def test_ranks_that_go_on_without_torchrun_are_told_of_until_they_have_ended() -> None:
    scene = Scene(2)
    scene.steps(range(1, 21))
    manifest(scene.job, "running", orphaned={"n1": -9, "n2": 1})
    found = scene.all(1.0, "launcher_gone")
    assert [(alert.node, alert.what) for alert in found] == [
        ("n1", "torchrun has ended there (signal 9), and its ranks go on"),
        ("n2", "torchrun has ended there (exit code 1), and its ranks go on"),
    ]
    assert found[0].severity is Severity.WARN
    manifest(scene.job, "stopped", orphaned={"n1": -9})
    assert scene.all(2.0, "launcher_gone") == []
