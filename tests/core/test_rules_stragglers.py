"""Who holds the others up: told from phases, on two ranks and on many; and what is not told."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from tests.core.record_lines import START_TS, line, start, step
from tests.core.rule_scenes import Scene
from ugro_tui.core.alerts import Severity
from ugro_tui.core.states import RankState

HEALTHY = {"data": 0.004, "forward": 0.070, "backward": 0.140, "sync_wait": 0.020, "optimizer": 0.010}
"""Seconds a step of a rank that waits little: 224 ms of work."""


def train(
    scene: Scene,
    slow: Mapping[int, Mapping[str, float]],
    first: int = 10,
    records: int = 5,
    noise: random.Random | None = None,
    drop: tuple[str, ...] = (),
    unread: Mapping[int, int] | None = None,
    seconds: float = 1.0,
) -> None:
    """Synchronous steps: `slow` says what phases of a rank take; all wait for the one with the most work.

    `unread`: how many of a rank's records have not come here yet; `seconds`: from record to record.
    """
    for number in range(first, first + records):
        phases = {}
        for rank in scene.ranks:
            own = dict(HEALTHY) | dict(slow.get(rank, {}))
            phases[rank] = {name: value * (noise.gauss(1, 0.03) if noise else 1) for name, value in own.items()}
        work = {rank: sum(own.values()) - own["sync_wait"] for rank, own in phases.items()}
        longest = max(work.values()) + HEALTHY["sync_wait"]
        for rank, own in phases.items():
            own["sync_wait"] = longest - work[rank]
            told = {name: value for name, value in own.items() if name not in drop}
            if number < first + records - (unread or {}).get(rank, 0):
                scene.write(rank, step(number, START_TS + seconds * number, step_time=longest, phases=told))


def scene_of(ranks: int, settings: Mapping[str, float] | None = None, **fields: Any) -> Scene:
    """Ranks that have made their first step."""
    scene = Scene(ranks, settings, **fields)
    for rank in scene.ranks:
        scene.write(rank, step(1))
    return scene


@pytest.mark.parametrize("ranks", [2, 3, 4, 64])
@pytest.mark.parametrize(
    ("phase", "seconds", "advice"),
    [
        ("data", 0.412, "look at its dataloader"),
        ("forward", 0.5, "look at its GPU (clocks, temperature, other processes) and the sizes of its inputs"),
        ("backward", 0.6, "look at its GPU (clocks, temperature, other processes) and the sizes of its inputs"),
        ("optimizer", 0.4, "look at its GPU, and at what it does besides in the optimizer step"),
    ],
)
def test_the_slow_rank_and_its_phase_are_named(ranks: int, phase: str, seconds: float, advice: str) -> None:
    scene = scene_of(ranks)
    train(scene, {1: {phase: seconds}})
    (alert,) = scene.all(None, "straggler")
    assert (alert.severity, alert.rank, alert.ranks, alert.node) == (Severity.WARN, 1, 1, "node-a")
    extra = seconds - HEALTHY[phase]
    assert alert.what == (
        f"{phase} {1e3 * seconds:.0f} ms against a median of {1e3 * HEALTHY[phase]:.0f} ms; "
        f"the others wait {1e3 * extra:.0f} ms a step for it"
    )
    assert alert.next_step == advice
    assert alert.value == pytest.approx(0.224 / (0.224 + extra))
    assert alert.threshold == 0.75
    words = [RankState(int(code)).word for code in scene.job.states(scene.now)]
    assert words == ["slow" if rank == 1 else "running" for rank in scene.ranks]
    assert scene.watch.unjudged == ()


@pytest.mark.parametrize("ranks", [2, 3, 4, 64])
def test_healthy_noise_is_no_straggler(ranks: int) -> None:
    noise = random.Random(ranks)
    scene = scene_of(ranks)
    for first in range(10, 10 + 5 * (40 if ranks < 64 else 10), 5):
        train(scene, {}, first, noise=noise)
        assert scene.all(None, "straggler") == []


def test_time_outside_of_the_phases_is_named_as_such() -> None:
    scene = scene_of(4)
    for number in range(10, 15):
        for rank in scene.ranks:
            phases = dict(HEALTHY, sync_wait=0.02 if rank == 2 else 0.52)
            scene.write(rank, step(number, step_time=0.744, phases=phases))
    (alert,) = scene.all(None, "straggler")
    assert (alert.rank, alert.what.split(" against")[0]) == (2, "rest of the step 500 ms")
    assert alert.next_step == "look at what it alone does between the phases: logging, checkpoints, evaluation"


@pytest.mark.parametrize(("forward", "data", "named"), [(0.391, 0.083, True), (0.389, 0.085, False)])
def test_a_phase_is_named_only_if_it_explains_four_fifths_of_the_wait(forward: float, data: float, named: bool) -> None:
    """400 ms more in all: 321 ms of them in the forward pass are enough, 319 ms are not."""
    scene = scene_of(4)
    train(scene, {3: {"forward": forward, "data": data}})
    (alert,) = scene.all(None, "straggler")
    assert alert.rank == 3
    assert alert.what.startswith("forward") == named
    if not named:
        own, wait = alert.what.split("; ")
        assert own == "own work 624 ms a step against a median of 224 ms, in no single phase"
        assert wait == "the others wait 400 ms a step for it"
        assert alert.next_step == "look at what else runs on node-a (ugro-tui health)"


@pytest.mark.parametrize(("own", "fires"), [(0.224 / 0.75 - 0.001, False), (0.224 / 0.75 + 0.001, True)])
@pytest.mark.parametrize("ranks", [2, 8])
def test_the_score_decides(own: float, fires: bool, ranks: int) -> None:
    scene = scene_of(ranks)
    train(scene, {0: {"forward": HEALTHY["forward"] + own - 0.224}})
    assert bool(scene.all(None, "straggler")) == fires


def test_three_of_the_last_five_records_decide() -> None:
    scene = scene_of(4)
    train(scene, {}, 10)
    for number, fires in ((15, False), (16, False), (17, True)):
        train(scene, {1: {"data": 0.5}}, number, 1)
        assert bool(scene.all(None, "straggler")) == fires
    scene = scene_of(4, {"straggler.records": 4})
    train(scene, {}, 10)
    train(scene, {1: {"data": 0.5}}, 15, 3)
    assert scene.all(None, "straggler") == []


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_that_take_turns_at_being_slow_are_none(ranks: int) -> None:
    """As on cores that many programs share: one is slow in three of five records, the other one in the two others."""
    scene = scene_of(ranks)
    for first in range(10, 60, 5):
        train(scene, {0: {"data": 0.09}}, first, 3)
        train(scene, {1: {"data": 0.15}}, first + 3, 2)
        assert scene.all(None, "straggler") == []


def test_where_records_come_fast_a_rank_must_be_slow_for_five_seconds() -> None:
    """Ten records a second: five of them are half a second, in which any other program may take a core."""
    scene = scene_of(3)
    train(scene, {}, 10, 5, seconds=0.1)
    found = {}
    for number in range(8):
        train(scene, {1: {"data": 0.5}}, 15 + 10 * number, 10, seconds=0.1)
        found[float(number)] = bool(scene.all(float(number), "straggler"))
    assert [second for second, fires in found.items() if fires] == [5.0, 6.0, 7.0]
    train(scene, {}, 95, 5, seconds=0.1)
    assert scene.all(8.0, "straggler") == []


def test_a_straggler_is_over_above_its_own_threshold() -> None:
    scene = scene_of(4)
    train(scene, {1: {"data": 0.5}}, 10)
    assert scene.all(None, "straggler")
    train(scene, {1: {"data": 0.004 + 0.224 / 0.80 - 0.224}}, 15)  # a score of 0.80: it would not begin to fire
    assert scene.all(None, "straggler")
    train(scene, {1: {"data": 0.004 + 0.224 / 0.86 - 0.224}}, 20)
    assert scene.all(None, "straggler") == []
    train(scene, {1: {"data": 0.004 + 0.224 / 0.80 - 0.224}}, 25)
    assert scene.all(None, "straggler") == []


@pytest.mark.parametrize("ranks", [3, 4])
def test_of_two_slow_ranks_the_slower_one_is_named_first(ranks: int) -> None:
    """Of three ranks, the slow one is enough to hide a very slow one from a robust z, and nobody waits for it."""
    scene = scene_of(ranks)
    train(scene, {1: {"data": 0.5}})
    assert [alert.rank for alert in scene.all(None, "straggler")] == [1]
    train(scene, {1: {"data": 0.5}, 2: {"forward": 2.0}}, 15)
    first, *rest = scene.all(None, "straggler")
    assert (first.rank, first.what.split(" against")[0]) == (2, "forward 2,000 ms")
    assert len(rest) == ranks - 3
    train(scene, {1: {"data": 0.5}}, 20)
    assert [alert.rank for alert in scene.all(None, "straggler")] == [1]


def test_ranks_whose_nodes_are_looked_at_seconds_apart_are_compared_at_steps_that_all_have_told() -> None:
    """Records may come faster than looks: the last five of one rank may all be newer than those of another."""
    scene = scene_of(3)
    train(scene, {1: {"data": 0.5}}, 10, 60, unread={1: 15, 2: 30})
    (alert,) = scene.all(None, "straggler")
    assert (alert.rank, alert.what.split(" against")[0]) == (1, "data 500 ms")


def test_no_news_change_nothing() -> None:
    scene = scene_of(4)
    train(scene, {1: {"data": 0.5}})
    assert scene.tick(1.0)["straggler"].age == 0.0
    assert scene.tick(9.0)["straggler"].age == 8.0


def test_ranks_that_nobody_waits_for_are_no_stragglers() -> None:
    """Without synchronous steps (or with a wait below a tenth of the step) a slow rank holds nobody up."""
    scene = scene_of(4)
    for number in range(10, 15):
        for rank in scene.ranks:
            data = 0.4 if rank == 2 else 0.004
            scene.write(rank, step(number, step_time=0.244 + data, phases=dict(HEALTHY, data=data)))
    assert scene.all(None, "straggler") == []


def test_the_warm_up_is_not_judged() -> None:
    scene = Scene(4)
    train(scene, {1: {"data": 5.0}}, first=1, records=5, seconds=2.0)
    assert scene.all(None, "straggler") == []
    train(scene, {1: {"data": 5.0}}, first=6, records=2, seconds=2.0)
    assert scene.all(None, "straggler") == []
    train(scene, {1: {"data": 5.0}}, first=8, records=1, seconds=2.0)
    assert scene.all(None, "straggler")


def test_records_without_the_wait_are_not_judged_and_it_is_said() -> None:
    scene = scene_of(4)
    train(scene, {1: {"data": 0.5}}, drop=("sync_wait",))
    assert scene.all(None, "straggler") == []
    assert scene.watch.unjudged == (
        "stragglers are not judged: the records have no sync_wait (emitter.instrument(model), and DDP)",
    )
    scene = scene_of(1)
    train(scene, {}, drop=("sync_wait",))
    scene.tick()
    assert scene.watch.unjudged == ()  # one rank has nobody to wait for


def test_the_few_ranks_that_do_not_tell_their_wait_are_left_out() -> None:
    scene = scene_of(8)
    train(scene, {1: {"data": 0.5}})
    for number in range(15, 20):
        for rank in scene.ranks:
            data = 0.5 if rank == 1 else 0.004
            phases = dict(HEALTHY, data=data, sync_wait=0.02 if rank == 1 else 0.516)
            if rank == 7:
                phases = {"data": 90.0}
            scene.write(rank, step(number, step_time=0.74, phases=phases))
    assert [alert.rank for alert in scene.all(None, "straggler")] == [1]
    assert scene.watch.unjudged == ()


def test_ranks_in_a_declared_evaluation_are_left_out() -> None:
    scene = scene_of(4)
    train(scene, {1: {"data": 0.5}})
    assert scene.all(None, "straggler")
    scene.write(1, line("phase", name="checkpoint", state="begin", ts=START_TS))
    assert scene.all(None, "straggler") == []


def test_more_than_eight_are_one_alert_that_names_the_slowest() -> None:
    scene = scene_of(64)
    train(scene, {rank: {"data": 0.5 + rank / 1_000} for rank in range(9)})
    (alert,) = scene.all(None, "straggler")
    assert (alert.rank, alert.ranks) == (8, 9)
    assert alert.where == "rank 8 on node-a and 8 more"
    scene = scene_of(64)
    train(scene, {rank: {"data": 0.5} for rank in range(8)})
    assert sorted(alert.rank or 0 for alert in scene.all(None, "straggler")) == list(range(8))


def test_thresholds_that_are_set_decide() -> None:
    for settings, fires in (({}, True), ({"straggler.threshold": 0.2}, False), ({"straggler.cost": 0.9}, False)):
        scene = scene_of(4, settings)
        train(scene, {1: {"data": 0.4}})
        assert bool(scene.all(None, "straggler")) == fires


@pytest.mark.parametrize("before", [0.070, 0.4])
def test_a_rank_with_another_gpu_is_judged_by_its_own_history(before: float) -> None:
    """An older GPU takes its time at every step: that is no news. When it gets slower than it was, it is."""
    scene = Scene(4)
    for rank in scene.ranks:
        name = "NVIDIA A100" if rank == 3 else "NVIDIA H100"
        scene.write(rank, start(START_TS + 1, run_id="s", attempt=2, world_size=4, gpu={"name": name}))
        scene.write(rank, step(1))
    train(scene, {3: {"forward": before}}, first=10, records=30)
    assert scene.all(None, "straggler") == []
    train(scene, {3: {"forward": 0.8}}, first=40, records=5)
    assert [alert.rank for alert in scene.all(None, "straggler")] == [3]


def test_a_step_that_a_rank_tells_twice_stands_for_no_other_rank() -> None:
    scene = scene_of(2)
    train(scene, {1: {"data": 0.5}}, records=2)
    for _ in scene.ranks:
        scene.write(0, step(90, step_time=1.0, phases=dict(HEALTHY, sync_wait=0.9)))
    assert scene.all(None, "straggler") == []
    assert scene.watch.unjudged == ()
