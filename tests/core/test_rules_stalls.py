"""Is it stepping: the rank that hangs all others, by the phases of heartbeats; ranks that stall; ranks apart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.record_lines import START_TS, end, line, start, step
from tests.core.rule_scenes import Scene
from ugro_tui.core.alerts import Severity
from ugro_tui.core.job import Away
from ugro_tui.core.records import Vital
from ugro_tui.core.states import ProcessState

pytestmark = pytest.mark.filterwarnings("error")
NAN = float("nan")


def silent_since(ranks: int, seconds: float, beats: dict[int, dict[str, Any]], **fields: Any) -> Scene:
    """Ranks that made steps until `seconds` ago, and whose heartbeats say this now."""
    scene = Scene(ranks, **fields)
    scene.steps(range(1, 21))
    scene.now = seconds
    for rank, told in beats.items():
        scene.beat(rank, step_age=seconds, **{"step": 20, "pid": 40 + rank, **told})
    return scene


def _everywhere(told: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The same heartbeat of four ranks."""
    return dict.fromkeys(range(4), told)


WAITS: dict[str, Any] = {"phase": "backward"}


# --- the hang


@pytest.mark.parametrize(
    ("culprit", "stands", "advice"),
    [
        ({"phase": "data"}, "never entered the backward pass: it is in data", "look at its dataloader; look at what"),
        ({"phase": "forward"}, "never entered the backward pass: it is in forward", "look at what it printed"),
        ({"phase": None}, "never entered the backward pass", "look at what it printed"),
        ({"phase": "backward", "step": 19}, "is a step behind the others", "look at what it printed"),
    ],
)
@pytest.mark.parametrize("waits", ["backward", "sync_wait"])
def test_the_rank_that_the_others_wait_for_is_named(
    culprit: dict[str, Any], stands: str, advice: str, waits: str
) -> None:
    scene = silent_since(4, 16.0, _everywhere({"phase": waits}) | {2: culprit})
    (alert,) = scene.all()
    assert (alert.rule, alert.severity, alert.rank, alert.node) == ("job_hang", Severity.CRIT, 2, "node-a")
    assert alert.what == f"all 4 ranks stopped at step 20 16s ago; rank 2 on node-a {stands}"
    assert alert.next_step.startswith(advice)
    assert alert.next_step.endswith("its stack: d (ugro-tui diagnose), or py-spy dump --pid 42")
    assert alert.age == alert.value == 16.0
    assert alert.sentence.startswith("hung: all 4 ranks stopped")  # the rank is in the sentence, told once


def held(scene: Scene, *ranks: int) -> Scene:
    """Their node says that a signal holds the processes of these ranks."""
    for rank in ranks:
        scene.job.apply_vital(rank, Vital(40 + rank, 1, ProcessState.STOPPED), "local")
    return scene


def test_a_process_that_is_held_is_what_the_others_wait_for_wherever_it_stands() -> None:
    beats = {rank: {**WAITS, "pid_start": 1, "step": 19 if rank == 0 else 20} for rank in range(4)}
    (alert,) = held(silent_since(4, 16.0, beats), 2).all()
    assert (alert.rule, alert.rank) == ("job_hang", 2)
    assert alert.what.endswith("; rank 2 on node-a is held by a signal (SIGSTOP) or a debugger")
    assert alert.next_step == "find out who holds it, and let it go on: kill -CONT 42"
    (alert,) = held(silent_since(4, 16.0, beats), *range(4)).all()
    assert alert.what.endswith("; rank 0 on node-a and 3 more are held by a signal (SIGSTOP) or a debugger")


def test_of_ranks_that_stall_the_one_that_is_held_comes_first_and_says_so() -> None:
    scene = silent_since(4, 16.0, {rank: {**WAITS, "pid_start": 1} for rank in range(4)})
    scene.write(0, end())
    found = held(scene, 2).all()
    assert [(alert.rule, alert.rank) for alert in found] == [("rank_stalled", rank) for rank in (2, 1, 3)]
    assert "the process is held by a signal" in found[0].what
    assert "kill -CONT 42" in found[0].next_step


def test_a_rank_without_a_heartbeat_is_what_the_others_wait_for() -> None:
    """Its machine or container is frozen: nobody says more of it."""
    scene = Scene(4)
    scene.steps(range(1, 21))
    for rank in scene.ranks:
        scene.beat(rank, step=20, pid=40 + rank, **WAITS)
    scene.now = 16.0
    for rank in (0, 1, 3):
        scene.beat(rank, step_age=16.0, step=20, pid=40 + rank, **WAITS)
    (alert,) = scene.all()
    assert (alert.rule, alert.rank) == ("job_hang", 2)
    assert alert.what.endswith("writes no heartbeat: the process is frozen, gone or cannot write")


@pytest.mark.parametrize(
    "beats",
    [
        _everywhere(WAITS),  # all wait
        _everywhere({"phase": "forward"}),  # none waits
        {0: WAITS, 1: {"phase": "data"}, 2: {"phase": "data"}, 3: {"phase": "data"}},  # most do not wait
        {0: WAITS, 1: WAITS, 2: {"phase": "data"}},  # one does not say
        {},
        _everywhere({"phase": "backward", "step": None}),
    ],
)
def test_nobody_is_accused_where_the_heartbeats_do_not_tell(beats: dict[int, dict[str, Any]]) -> None:
    (alert,) = silent_since(4, 16.0, beats).all()
    assert (alert.rule, alert.rank, alert.node) == ("job_hang", None, "")
    assert alert.what.endswith("; the heartbeats do not tell which one the others wait for")
    assert alert.next_step == "take the stacks of all ranks, restart"


def test_several_culprits_are_one_alert_that_names_the_first() -> None:
    beats = {rank: {"phase": "data"} if rank in (5, 6) else WAITS for rank in range(16)}
    (alert,) = silent_since(16, 16.0, beats).all()
    assert alert.rank == 5
    assert "rank 5 on node-a and 1 more never entered the backward pass" in alert.what


def test_a_hang_is_told_within_16_seconds_not_before_15_and_ends_with_a_step() -> None:
    scene = silent_since(2, 15.0, {})
    assert scene.all() == []
    assert [alert.rule for alert in scene.all(15.1)] == ["job_hang"]
    scene.now = 20.0
    scene.steps([21])
    assert scene.all() == []


def test_a_hang_before_the_first_step_says_so() -> None:
    scene = Scene(2)
    assert scene.all(119.0) == []
    (alert,) = scene.all(121.0)
    assert alert.what.startswith("all 2 ranks stopped before the first step")


# --- ranks that stall


def test_a_rank_that_stalls_while_others_step_is_told_with_its_limit() -> None:
    scene = silent_since(4, 16.0, _everywhere(WAITS))
    scene.steps([21], only=[0, 1, 2])
    (alert,) = scene.all()
    assert (alert.rule, alert.rank, alert.value, alert.threshold) == ("rank_stalled", 3, 16.0, 15.0)
    assert alert.what == "no step for 16s (limit 15s)"
    assert alert.next_step == "look at what it printed; its stack: d (ugro-tui diagnose), or py-spy dump --pid 43"
    assert alert.sentence.startswith("rank stalled: rank 3 on node-a: no step for 16s")


def test_the_first_that_is_late_of_ranks_that_stop_together_is_not_accused() -> None:
    """Ranks are looked at in different moments: one is late a little before the others, whoever held them up."""
    scene = Scene(3)
    scene.steps(range(1, 21))
    scene.now = 3.0
    scene.steps([21], only=[0, 2])
    for rank in scene.ranks:
        scene.beat(rank, step_age=0.0 if rank != 1 else 3.0, step=21, pid=40 + rank, **WAITS)
    for now in (16.0, 17.9):
        scene.now = now
        for rank in scene.ranks:
            scene.beat(rank, step_age=now - (3.0 if rank != 1 else 0.0), step=21, pid=40 + rank, **WAITS)
        assert scene.all() == []
    (alert,) = scene.all(18.1)
    assert alert.rule == "job_hang"


def test_a_rank_that_stopped_with_others_is_told_when_those_declare_a_pause() -> None:
    scene = Scene(3)
    scene.steps(range(1, 21))
    scene.now = 1.0
    scene.steps([21], only=[0, 2])
    for rank in (0, 2):
        scene.write(rank, line("phase", name="eval", state="begin", ts=START_TS + 1))
    (alert,) = scene.all(16.0)
    assert (alert.rule, alert.rank) == ("rank_stalled", 1)


def test_a_process_that_is_held_says_who_holds_it() -> None:
    scene = Scene(2)
    for rank in scene.ranks:
        scene.write(rank, b"".join(step(n, START_TS + 60 * n) for n in range(1, 20)))
    scene.beat(0, pid=7, pid_start=1)
    scene.beat(1, pid=8, pid_start=1)
    scene.job.apply_vital(1, Vital(8, 1, ProcessState.STOPPED), "local")
    scene.now = 16.0
    scene.beat(0, pid=7, pid_start=1)
    (alert,) = scene.all()
    assert (alert.rank, alert.what) == (
        1,
        "no heartbeat for 16s: the process is held by a signal (SIGSTOP) or a debugger",
    )


def test_stalls_pause_in_declared_evaluations_and_checkpoints() -> None:
    for name in ("eval", "checkpoint"):
        scene = Scene(2)
        scene.steps(range(1, 21))
        for rank in scene.ranks:
            scene.write(rank, line("phase", name=name, state="begin", ts=START_TS))
        assert scene.all(3_000.0) == []


def test_the_limits_can_be_set() -> None:
    for settings, limit in (({"rank_stalled.seconds": 40}, 40.0), ({"rank_stalled.intervals": 30}, 30.0)):
        scene = Scene(2, settings)
        scene.steps(range(1, 21))
        assert scene.all(limit) == []
        assert [alert.rule for alert in scene.all(limit + 0.1)] == ["job_hang"]


def test_nothing_is_said_of_the_ranks_of_a_node_that_does_not_answer() -> None:
    scene = Scene(0)
    for rank, node in ((0, "n1"), (1, "n1"), (2, "n2")):
        scene.write(rank, b"".join(step(n) for n in range(1, 21)), node)
    scene.now = 100.0
    scene.write(2, step(200, START_TS + 100), "n2")
    scene.job.away = {"n1": Away(100.0, "no answer", sure=True, next_step="look at its network and its sshd")}
    (alert,) = scene.all()
    assert (alert.rule, alert.rank, alert.node, alert.severity) == ("node_unreachable", None, "n1", Severity.CRIT)
    assert alert.what == "no answer; last heard of 1m 40s ago; 2 ranks there"
    assert (alert.age, alert.next_step) == (100.0, "look at its network and its sshd")
    scene.job.away = {"n1": Away(5.0, "no answer", sure=False, next_step="")}
    assert scene.all() == []  # a blip is none


def test_ranks_that_wait_may_wait_for_those_of_a_node_that_does_not_answer() -> None:
    scene = Scene(0)
    for rank, node in enumerate(("n1", "n2", "n3")):
        scene.write(rank, start(world_size=3) + b"".join(step(n) for n in range(1, 21)), node)
    scene.job.away = {"n2": Away(30.0, "no answer", sure=True, next_step="look at its network and its sshd")}
    alert = scene.tick(30.0)["job_hang"]
    assert alert.what.endswith("; they may wait for rank 1 on n2, which does not answer")
    assert alert.next_step.startswith("see whether that node and its network are up")


def test_each_node_that_does_not_answer_is_told_by_what_is_wrong_with_it() -> None:
    scene = Scene(0)
    for rank, node in enumerate(("n1", "n2", "n3")):
        scene.write(rank, b"".join(step(n) for n in range(1, 21)), node)
    scene.job.away = {
        "n3": Away(NAN, "the key was refused", sure=True, next_step="doctor", rule="auth_refused"),
        "n2": Away(9.0, "the host key changed", sure=True, next_step="verify", rule="host_key_changed"),
    }
    assert [(alert.rule, alert.node, alert.what) for alert in scene.all(1.0)] == [
        ("host_key_changed", "n2", "the host key changed; last heard of 9.0s ago; rank 1 there"),
        ("auth_refused", "n3", "the key was refused; never heard of; rank 2 there"),
    ]


def test_a_finished_rank_makes_the_others_stall_each_for_itself() -> None:
    scene = Scene(3)
    scene.steps(range(1, 21))
    scene.write(0, end())
    assert [(alert.rule, alert.rank) for alert in scene.all(16.0)] == [("rank_stalled", 1), ("rank_stalled", 2)]


def test_more_than_eight_that_stall_are_one_alert() -> None:
    for ranks, alerts in ((9, 8), (10, 1)):
        scene = Scene(ranks)
        scene.steps(range(1, 21))
        scene.now = 16.0
        scene.steps([21], only=[0])
        found = scene.all()
        assert [alert.rule for alert in found] == ["rank_stalled"] * alerts
        assert found[0].ranks == (1 if alerts == 8 else 9)


# --- ranks apart


def apart(behind: int, every: int = 1, settings: dict[str, float] | None = None) -> Scene:
    """Rank 1 is `behind` steps behind rank 0; both record every `every` steps, a second apart."""
    scene = Scene(2, settings)
    last = 60 * every
    scene.steps(range(every, last + 1, every), only=[0])
    scene.steps(range(every, last + 1 - behind, every), only=[1])
    return scene


def go_on(scene: Scene, steps: dict[int, float], seconds: int, every: int = 1) -> dict[float, list[int | None]]:
    """Both go on, a record a second; which ranks are told of as apart, by the second."""
    found: dict[float, list[int | None]] = {}
    for _ in range(seconds):
        scene.now += 1.0
        for rank in steps:
            steps[rank] += every
            scene.write(rank, step(steps[rank], START_TS + scene.now))
        found[scene.now] = [alert.rank for alert in scene.all(None, "desync")]
    return found


@pytest.mark.parametrize(("behind", "fires"), [(2, False), (3, True), (9, True)])
@pytest.mark.parametrize("every", [1, 10])
def test_ranks_three_records_apart_for_ten_seconds_are_out_of_step(behind: int, fires: bool, every: int) -> None:
    scene = apart(behind * every, every)
    steps = {0: 60.0 * every, 1: float((60 - behind) * every)}
    scene.tick()
    found = go_on(scene, steps, 12, every)
    assert [second for second, ranks in found.items() if ranks] == ([10.0, 11.0, 12.0] if fires else [])
    if fires:
        (alert,) = scene.all(None, "desync")
        assert (alert.rank, alert.severity, alert.value) == (1, Severity.WARN, behind * every)
        assert alert.what == f"{behind * every} steps behind the furthest rank"
        steps[1] = steps[0]
        assert list(go_on(scene, steps, 1, every).values()) == [[]]


def test_ranks_that_were_looked_at_at_different_moments_are_not_apart() -> None:
    """A node's records come a few seconds later, because it is looked at later: that alone is no lag."""
    scene = apart(0)
    steps = {0: 60.0, 1: 60.0}
    for second in range(1, 40):
        scene.now = float(second)
        for rank in steps:
            if second % 3 == rank:
                lines = [step(60 + n, START_TS + n) for n in range(int(steps[rank]) - 59, second + 1)]
                scene.write(rank, b"".join(lines))
                steps[rank] = 60.0 + second
        assert scene.all(None, "desync") == []


def test_ranks_without_times_are_not_judged() -> None:
    scene = Scene(0)
    for rank, last in ((0, 60), (1, 20)):
        scene.write(rank, b"".join(line("step", step=n) for n in range(1, last)))
    for now in (0.0, 5.0, 11.0, 14.0):
        assert scene.all(now) == []
