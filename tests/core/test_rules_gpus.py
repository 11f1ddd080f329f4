"""The GPUs of a job's ranks: busy enough, cool enough, whole; and what is not told is not judged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from tests.core.record_lines import START_TS, line, start, step
from tests.core.rule_scenes import GIB, Scene
from ugro_tui.core.alerts import Alert, Severity

pytestmark = pytest.mark.filterwarnings("error")


def scene_of(ranks: int = 1, settings: Mapping[str, float] | None = None) -> Scene:
    """Ranks that step, and go on doing so with each heartbeat."""
    scene = Scene(ranks, settings)
    scene.steps(range(1, 21))
    return scene


def sample(
    scene: Scene, seconds: float, gpu: Mapping[str, Any] | None, rule: str, every: float = 2.0, only: int | None = None
) -> list[bool]:
    """All ranks (or one) tell this of their GPU for so many seconds; whether the rule fired at each look."""
    fired = []
    for _ in range(round(seconds / every)):
        scene.now += every
        for rank in scene.ranks:
            told = gpu if only is None or rank == only else {"util": 99}
            scene.beat(rank, gpu=None if told is None else dict(told))
        fired.append(bool(scene.all(None, rule)))
    return fired


# --- under-used


@pytest.mark.parametrize(("util", "fires"), [(79.9, True), (80.0, False), (100.0, False)])
def test_a_gpu_below_four_fifths_for_a_minute_is_under_used(util: float, fires: bool) -> None:
    scene = scene_of()
    fired = sample(scene, 120, {"util": util}, "gpu_underused")
    assert any(fired) == fires
    assert not any(fired[:28])  # not before the minute
    if fires:
        assert all(fired[31:])
        alert = scene.tick()["gpu_underused"]
        assert (alert.severity, alert.rank, alert.node) == (Severity.WARN, 0, "node-a")
        assert alert.what == "80 % busy over 60 s (threshold 80 %)"
        assert (alert.threshold, alert.next_step) == (80.0, "look at the input pipeline")
        assert alert.value == pytest.approx(79.9)


def test_it_is_over_above_85_percent() -> None:
    scene = scene_of()
    sample(scene, 80, {"util": 50}, "gpu_underused")
    assert all(sample(scene, 90, {"util": 84}, "gpu_underused"))
    assert not sample(scene, 90, {"util": 86}, "gpu_underused")[-1]
    assert not any(sample(scene, 90, {"util": 84}, "gpu_underused"))


def test_evaluations_and_checkpoints_are_left_out() -> None:
    scene = scene_of()
    sample(scene, 50, {"util": 10}, "gpu_underused")
    scene.write(0, line("phase", name="eval", state="begin", ts=START_TS))
    assert not any(sample(scene, 200, {"util": 10}, "gpu_underused"))
    scene.write(0, line("phase", name="eval", state="end", ts=START_TS))
    fired = sample(scene, 100, {"util": 10}, "gpu_underused")
    assert not any(fired[:28])  # a whole minute of training, not half of one
    assert fired[-1]


def test_before_the_first_step_a_gpu_has_nothing_to_do() -> None:
    scene = Scene()
    assert not any(sample(scene, 100, {"util": 0}, "gpu_underused"))


@pytest.mark.parametrize("gpu", [None, {}, {"util": None}, {"util": "NaN"}, {"util": [1]}])
def test_a_gpu_that_does_not_tell_is_not_judged(gpu: Mapping[str, Any] | None) -> None:
    scene = scene_of()
    for _ in range(100):
        scene.now += 2.0
        scene.beat(0, gpu=gpu)
        assert scene.all() == []


def test_the_numbers_of_a_set_threshold_are_told() -> None:
    scene = scene_of(settings={"gpu_underused.threshold": 30, "gpu_underused.seconds": 20})
    assert not any(sample(scene, 60, {"util": 40}, "gpu_underused"))
    assert sample(scene, 60, {"util": 20}, "gpu_underused")[-1]
    assert scene.tick()["gpu_underused"].what == "20 % busy over 20 s (threshold 30 %)"


def test_the_least_busy_comes_first_and_more_than_eight_are_one_alert() -> None:
    for ranks, alerts in ((8, 8), (9, 1)):
        scene = scene_of(ranks)
        for _ in range(40):
            scene.now += 2.0
            for rank in scene.ranks:
                scene.beat(rank, gpu={"util": 50 - rank})
            found = scene.all(None, "gpu_underused")
        assert len(found) == alerts
        assert (found[0].rank, found[0].ranks) == (ranks - 1, 9 if alerts == 1 else 1)


def test_nothing_is_told_of_gpus_whose_rank_has_ended() -> None:
    scene = scene_of()
    sample(scene, 100, {"util": 10, "temp": 95, "throttle": ["hw_slowdown"]}, "gpu_underused")
    assert {"gpu_underused", "temperature", "thermal_throttle"} <= set(scene.tick())
    scene.write(0, line("end", status="completed", ts=START_TS))
    assert scene.tick() == {}


# --- throttled


@pytest.mark.parametrize(
    ("reason", "rule", "severity"),
    [
        ("sw_thermal_slowdown", "thermal_throttle", Severity.WARN),
        ("hw_thermal_slowdown", "thermal_throttle", Severity.CRIT),
        ("hw_slowdown", "thermal_throttle", Severity.CRIT),
        ("hw_power_brake_slowdown", "power_brake", Severity.CRIT),
    ],
)
def test_two_samples_of_a_reason_are_told(reason: str, rule: str, severity: Severity) -> None:
    scene = scene_of()
    gpu = {"throttle": ["sw_power_cap", reason], "temp": 80}
    assert sample(scene, 4, gpu, rule) == [False, True]
    alert = scene.tick()[rule]
    assert (alert.severity, alert.rank) == (severity, 0)
    if rule == "thermal_throttle":
        assert alert.what == f"clocks held back: {reason} at 80 °C"
        assert alert.next_step == "look at the cooling"
    else:
        assert alert.what == "the power supply or its cabling has told the GPU to slow down"
    assert sample(scene, 2, {"throttle": ["sw_power_cap"]}, rule) == [False]
    assert sample(scene, 2, gpu, rule) == [False]


def test_the_same_sample_seen_twice_is_one() -> None:
    scene = scene_of()
    assert sample(scene, 2, {"throttle": ["hw_slowdown"]}, "thermal_throttle") == [False]
    for now in (2.5, 3.0, 3.5):
        assert scene.all(now) == []


def test_reasons_of_usual_work_and_unknown_ones_are_none() -> None:
    scene = scene_of()
    gpu = {"throttle": ["sw_power_cap", "applications_clocks", "sync_boost", "display_clocks", "of_later_years"]}
    for rule in ("thermal_throttle", "power_brake"):
        assert not any(sample(scene, 20, gpu, rule))


def test_the_samples_can_be_set() -> None:
    scene = scene_of(settings={"thermal_throttle.samples": 4})
    assert sample(scene, 8, {"throttle": ["hw_slowdown"]}, "thermal_throttle") == [False, False, False, True]


# --- heat


@pytest.mark.parametrize(
    ("gpu", "limit"),
    [({}, 85), ({"temp_slowdown": 92}, 87), ({"temp_slowdown": None}, 85)],
)
def test_a_gpu_near_its_slowdown_for_a_minute_is_too_hot(gpu: dict[str, Any], limit: float) -> None:
    scene = scene_of()
    assert not any(sample(scene, 80, {**gpu, "temp": limit - 1}, "temperature"))
    fired = sample(scene, 80, {**gpu, "temp": limit}, "temperature")
    assert fired.index(True) == 30
    alert = scene.tick()["temperature"]
    assert (alert.severity, alert.what) == (Severity.WARN, f"{limit} °C (limit {limit} °C)")
    assert (alert.value, alert.threshold, alert.next_step) == (limit, limit, "look at the airflow")
    assert all(sample(scene, 20, {**gpu, "temp": limit - 2}, "temperature"))
    assert not any(sample(scene, 4, {**gpu, "temp": limit - 3}, "temperature"))
    assert not any(sample(scene, 60, {**gpu, "temp": limit}, "temperature"))


# --- broken


def test_uncorrected_errors_are_told_when_they_grow_and_stay_told_in_the_attempt() -> None:
    scene = scene_of(2)
    assert not any(sample(scene, 4, {"ecc": 3}, "ecc"))  # what was there before is not of this run
    assert sample(scene, 2, {"ecc": 5}, "ecc", only=1) == [True]
    (alert,) = scene.all(None, "ecc")
    assert (alert.severity, alert.rank, alert.value) == (Severity.CRIT, 1, 2.0)
    assert alert.what == "2 uncorrected memory errors since the attempt began"
    assert alert.next_step == "drain the node, then reset or replace the GPU"
    scene.now += 10_000.0
    assert scene.all(None, "ecc")
    for rank in scene.ranks:
        scene.write(rank, start(START_TS + 20_000, run_id="s", attempt=2, world_size=2) + step(21))
    assert not any(sample(scene, 4, {"ecc": 5}, "ecc"))


def test_rows_that_cannot_be_remapped_are_told_at_once() -> None:
    scene = scene_of()
    assert sample(scene, 2, {"remap_failed": False}, "ecc") == [False]
    assert sample(scene, 2, {"remap_failed": True}, "ecc") == [True]
    (alert,) = scene.all(None, "ecc")
    assert alert.what == "the GPU could not remap rows of its memory that are broken"
    assert sample(scene, 2, {"remap_failed": False}, "ecc") == [True]
    (alert,) = scene.all(None, "ecc")
    assert alert.what == "the GPU could not remap rows of its memory that are broken"


def test_a_lost_gpu_is_told_until_it_is_back() -> None:
    scene = scene_of()
    assert sample(scene, 2, {"lost": True}, "gpu_lost") == [True]
    (alert,) = scene.all(None, "gpu_lost")
    assert (alert.severity, alert.rank, alert.next_step) == (Severity.CRIT, 0, "reboot the node")
    assert sample(scene, 2, {"lost": False}, "gpu_lost") == [False]


# --- memory


def grow(scene: Scene, share: float, rise: float, minutes: float, total: float | None = 80 * GIB) -> list[bool]:
    """The memory in use rises so much (of all) a minute; whether it was told at each look, 5 s apart."""
    fired = []
    for place in range(round(minutes * 12)):
        scene.now += 5.0
        used = None if total is None else (share + rise * place / 12) * total
        scene.beat(0, gpu={"mem_used": used, "mem_total": total})
        fired.append("gpu_memory_trend" in scene.tick())
    return fired


def test_memory_that_is_nearly_full_and_rises_is_told_until_it_rises_no_more() -> None:
    scene = scene_of()
    assert any(grow(scene, 0.951, 0.004, 4))
    alert = scene.tick()["gpu_memory_trend"]
    assert (alert.severity, alert.threshold) == (Severity.WARN, 0.95)
    assert alert.what == f"{100 * alert.value:.1f} % of the GPU's memory in use, and rising"
    assert "expandable_segments" in alert.next_step
    assert not grow(scene, 0.967, 0.0, 4)[-1]


@pytest.mark.parametrize(("share", "rise"), [(0.97, 0.0), (0.99, -0.001), (0.90, 0.01)])
def test_memory_that_is_full_or_rises_alone_is_usual(share: float, rise: float) -> None:
    assert not any(grow(scene_of(), share, rise, 4.9))


@pytest.mark.parametrize("total", [None, 0, math.nan])
def test_memory_of_unknown_size_is_not_judged(total: float | None) -> None:
    assert not any(grow(scene_of(), 0.99, 0.01, 4, total))


# --- what is not told for a while


def test_a_gpu_that_tells_nothing_for_a_while_keeps_its_alerts() -> None:
    """A sample that is missing is no good news; the last that was told is shown."""
    scene = scene_of()
    hot = {"util": 10, "temp": 95}
    assert {"gpu_underused", "temperature"} <= set(sampled(scene, 80, hot))
    found = sampled(scene, 30, {"util": None, "temp": None})
    assert found["gpu_underused"].what == "10 % busy over 60 s (threshold 80 %)"
    assert (found["temperature"].what, found["temperature"].value) == ("95 °C (limit 85 °C)", 95.0)
    assert {"gpu_underused", "temperature"} <= set(sampled(scene, 4, hot))
    assert not {"gpu_underused", "temperature"} & set(sampled(scene, 200, {"util": 99, "temp": 60}))


def sampled(scene: Scene, seconds: float, gpu: Mapping[str, Any]) -> dict[str, Alert]:
    """What fires after the rank told this for so many seconds."""
    sample(scene, seconds, {name: "NaN" if value is None else value for name, value in gpu.items()}, "")
    return scene.tick()


def test_memory_of_which_nothing_is_told_for_a_while_goes_on_being_told_of() -> None:
    scene = scene_of()
    assert grow(scene, 0.951, 0.004, 4)[-1]
    share = scene.tick()["gpu_memory_trend"].value
    for _ in range(4):
        scene.now += 5.0
        scene.beat(0, gpu={"mem_used": "NaN", "mem_total": 80 * GIB})
        assert scene.tick()["gpu_memory_trend"].value == share
    assert not grow(scene, 0.967, 0.0, 6)[-1]
