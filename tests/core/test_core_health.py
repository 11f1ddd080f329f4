"""How a node is judged: thresholds, what is not known, and whatever a node may say of itself."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.health import NO_DRIVER, DiskHealth, GpuHealth, JobProcess, Late, NodeHealth, remembered
from ugro_tui.core.health_facts import MAX_GPUS, MAX_PROCESSES, told
from ugro_tui.core.health_score import CRITICAL, WARNING, is_well, judged, score
from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.states import NodeState

GIB = 1 << 30
FINE = NodeHealth(
    "n1",
    age=0.0,
    state=NodeState.OK,
    latency=0.01,
    clock_offset=0.1,
    load=(1.0, 1.0, 1.0),
    cpus=4,
    memory_total=16 * GIB,
    memory_available=8 * GIB,
    disks=(DiskHealth("metrics", "/m", 100 * GIB, 50 * GIB, 1000, 900, 1),),
    gpus=(GpuHealth(0, "GPU-a", "H100", 50.0, 1, 2, 60.0, 90.0, 100.0, 700.0, (), 0, 0, False),),
)


def disk(free: int, inodes_free: int = 900) -> NodeHealth:
    return replace(FINE, disks=(DiskHealth("metrics", "/m", 1000, free, 1000, inodes_free, 1),))


def gpu(**changes: object) -> NodeHealth:
    return replace(FINE, gpus=(replace(FINE.gpus[0], **changes),))  # type: ignore[arg-type]


def test_a_node_without_trouble_has_all_points() -> None:
    assert score(FINE) == (100, ())


@pytest.mark.parametrize(
    ("health", "points", "words"),
    [
        (disk(150), 0, ""),
        (disk(149), WARNING, "metrics disk: 14 % free"),
        (disk(50), WARNING, "5 % free"),
        (disk(49), CRITICAL, "4 % free (0.0G): make room at /m"),
        (disk(500, inodes_free=49), CRITICAL, "metrics disk's inodes: 4 % free (49)"),
        (replace(FINE, memory_available=GIB), WARNING, "memory: 6 % available (1.0G)"),
        (replace(FINE, memory_available=GIB // 2), CRITICAL, "memory: 3 %"),
        (replace(FINE, load=(0.0, 0.0, 8.1)), WARNING, "load 8.1 on 4 CPUs"),
        (replace(FINE, load=(99.0, 99.0, 8.0)), 0, ""),
        (replace(FINE, clock_offset=-2.1), WARNING, "clock 2.1s behind"),
        (replace(FINE, clock_offset=2.1), WARNING, "clock 2.1s ahead"),
        (replace(FINE, clock_offset=2.3, latency=0.8), 0, ""),
        (replace(FINE, latency=1.5), WARNING, "a question takes 1.5 s"),
        (gpu(temp=84.9), 0, ""),
        (gpu(temp=85.0), WARNING, "GPU 0: 85 °C"),
        (gpu(temp=84.9, temp_slowdown=math.nan), 0, ""),
        (gpu(temp=85.0, temp_slowdown=math.nan), WARNING, "GPU 0: 85 °C"),
        (gpu(temp=90.0, temp_slowdown=100.0), 0, ""),
        (gpu(throttle=("sw_power_cap",)), 0, ""),
        (gpu(throttle=("sw_thermal_slowdown",)), WARNING, "GPU 0: slowed down (sw_thermal_slowdown)"),
        (gpu(throttle=("hw_power_brake_slowdown",)), CRITICAL, "hw_power_brake_slowdown"),
        (gpu(ecc=2), WARNING, "2 uncorrected memory errors since"),
        (gpu(ecc=2, ecc_new=1), CRITICAL, "1 new uncorrected memory errors: drain"),
        (gpu(remap_failed=True), CRITICAL, "no spare memory rows"),
        (gpu(lost=True), CRITICAL, "GPU 0: lost"),
        (replace(FINE, gpu_error="Driver/library version mismatch"), CRITICAL, "GPUs: Driver/library"),
        (replace(FINE, late=(Late("GPUs", 9.0),)), 0, "not known: GPUs: no answer yet"),
        (replace(FINE, late=(Late("GPUs", 10.0),)), CRITICAL, "GPUs: no answer for 10s"),
        (replace(FINE, processes=(JobProcess("run", 3, 7, state="T"),)), WARNING, "rank 3 of run stopped"),
        (replace(FINE, processes=(JobProcess("run", 3, 7, state="D"),)), 0, ""),
    ],
)
def test_each_threshold_costs_its_points(health: NodeHealth, points: int, words: str) -> None:
    left, reasons = score(health)
    assert left == 100 - points
    assert (words in reasons[0]) if words else not reasons


def test_one_critical_reason_makes_a_node_unwell_and_two_warnings_do_not() -> None:
    assert not is_well(judged(disk(10)))
    assert is_well(judged(replace(disk(100), latency=1.5)))
    assert not is_well(judged(replace(disk(100), latency=1.5, clock_offset=30.0)))


def test_the_worst_reason_stands_first() -> None:
    _, reasons = score(replace(gpu(lost=True), latency=1.5, clock_offset=30.0))
    assert "lost" in reasons[0]
    assert len(reasons) == 3


def test_what_is_not_known_costs_nothing_and_is_said() -> None:
    bare = NodeHealth("n1", age=0.0, state=NodeState.OK, unknown=(f"GPUs: {NO_DRIVER}", "home directory: stale"))
    assert score(bare) == (100, ("not known: GPUs: no NVIDIA driver", "not known: home directory: stale"))


@pytest.mark.parametrize("state", [NodeState.SILENT, NodeState.WAITING, NodeState.PERSON])
def test_a_node_that_does_not_answer_has_no_points(state: NodeState) -> None:
    assert score(replace(FINE, state=state, error="n1: no answer")) == (0, ("n1: no answer",))
    assert "doctor" in score(replace(FINE, state=state))[1][0]


def test_a_node_that_was_not_asked_yet_has_lost_nothing() -> None:
    assert score(NodeHealth("n1")) == (100, ("not asked yet",))


def test_a_disk_that_two_roles_share_costs_once() -> None:
    shared = tuple(DiskHealth(role, "/m", 1000, 10, device=1) for role in ("metrics", "home"))
    left, reasons = score(replace(FINE, disks=shared))
    assert (left, len(reasons)) == (100 - CRITICAL, 1)
    assert reasons[0].startswith("metrics and home disk: 1 % free")
    apart = tuple(replace(disk, device=None) for disk in shared)
    assert score(replace(FINE, disks=apart))[0] == 100 - 2 * CRITICAL


def test_many_gpus_with_the_same_trouble_cost_once() -> None:
    hot = tuple(GpuHealth(index, f"GPU-{index}", temp=99.0) for index in range(8))
    left, reasons = score(replace(FINE, gpus=hot))
    assert left == 100 - WARNING
    assert reasons[0].startswith("GPUs 0, 1, 2, 3, 4, 5, 6, 7: 99 °C")


def test_a_gpu_that_is_gone_is_lost_until_it_is_back() -> None:
    both = (GpuHealth(0, "GPU-a", "A"), GpuHealth(1, "GPU-b", "B"))
    one = remembered(both, both[:1])
    assert one == (both[0], GpuHealth(1, "GPU-b", "B", lost=True))
    assert remembered(one, both[:1]) == one
    assert remembered(one, both) == both


def test_a_lost_gpu_that_no_longer_tells_its_uuid_is_told_once() -> None:
    both = (GpuHealth(0, "GPU-a", "A"), GpuHealth(1, "GPU-b", "B"))
    named = remembered(both, (both[0], GpuHealth(1, lost=True)))
    assert [gpu.index for gpu in named] == [0, 1]
    assert named[1].lost


def test_memory_errors_are_counted_from_when_they_are_watched() -> None:
    seen = remembered((), (GpuHealth(0, "GPU-a", ecc=5),))
    assert seen[0].ecc_new == 0
    for ecc, new in ((5, 0), (7, 2), (1, 3), (None, 3), (9, 3)):  # 1: the driver was loaded anew
        seen = remembered(seen, (GpuHealth(0, "GPU-a", ecc=ecc),))
        assert seen[0].ecc_new == new


def test_the_words_of_a_node_become_facts() -> None:
    words = {
        "parts": {
            "machine": {"value": {"load": [1, 2.5, 3], "cpus": 8, "total": 100, "available": 40}},
            "metrics": {"value": {"path": "/m", "total": 10, "free": 4, "inodes": 0, "device": 3}},
            "home": {"late": 12.5, "error": ""},
            "gpus": {"value": {"gpus": [{"index": 0, "uuid": "GPU-a", "throttle": 0x41, "lost": False, "temp": 71}]}},
            "processes": {"value": [{"job": "run", "rank": 0, "pid": 12, "cpu": 99.5, "rss": 7, "state": "R"}]},
        }
    }
    health = told("n1", words, 0.02, -1.0)
    assert health.load == (1.0, 2.5, 3.0)
    assert (health.cpus, health.memory_total, health.memory_available) == (8, 100, 40)
    assert health.disks == (DiskHealth("metrics", "/m", 10, 4, 0, None, 3),)
    assert health.late == (Late("home directory", 12.5),)
    assert health.gpus[0].throttle == ("hw_thermal_slowdown",)
    assert health.gpus[0].temp == 71.0
    assert health.processes == (JobProcess("run", 0, 12, 99.5, 7, "R"),)
    assert (health.latency, health.clock_offset, health.gpus_known, health.unknown) == (0.02, -1.0, True, ())


def test_what_makes_no_sense_is_not_known() -> None:
    words = {
        "parts": {
            "machine": {"value": {"load": [-1, "x", True], "cpus": -3, "total": 10, "available": 11}},
            "metrics": {"value": {"path": "\x1b[2J", "total": "many", "free": 1e400}},
            "gpus": {"value": {"gpus": [{"util": 101, "temp": -4, "ecc": 1.5e30, "lost": 1, "remap_failed": 1}] * 999}},
            "processes": {
                "value": [{"job": "../x", "pid": 1}, {"job": "x", "pid": 0}, *[{"job": "x", "pid": 1}] * 2000]
            },
        }
    }
    health = told("n1", words)
    assert all(math.isnan(mean) for mean in health.load)
    assert (health.cpus, health.memory_available) == (None, None)
    assert health.disks == (DiskHealth("metrics", "␛[2J"),)
    assert (len(health.gpus), len(health.processes)) == (MAX_GPUS, MAX_PROCESSES)
    assert jsonable(health.gpus[0]) == jsonable(GpuHealth())
    assert score(health)[0] == 100


def test_parts_that_are_not_told_are_said() -> None:
    parts: dict[str, object] = {"machine": {}, "processes": {"error": "no"}, "home": {"late": 1}, "gpus": {"value": {}}}
    assert told("n1", {"parts": parts}).unknown == ("load and memory: not told", "processes of jobs: no")
    assert told("n1", {"failed": "SyntaxError"}).unknown == ("health: SyntaxError",)


@pytest.mark.parametrize(
    ("value", "known", "error", "unknown"),
    [
        ({"gpus": []}, True, "", ()),
        ({"gpus": [], "error": "GPU 3: lost power"}, False, "GPU 3: lost power", ()),
        ({"error": "Driver/library version mismatch"}, False, "Driver/library version mismatch", ()),
        ({"absent": True}, False, "", ("GPUs: no NVIDIA driver",)),
        ({"untold": "no Python"}, False, "", ("GPUs: no Python",)),
        (None, False, "", ("GPUs: not told",)),
    ],
)
def test_gpus_are_known_missing_or_at_fault(value: object, known: bool, error: str, unknown: tuple[str, ...]) -> None:
    health = told("n1", {"parts": {"gpus": {"value": value}}})
    assert (health.gpus_known, health.gpu_error, health.unknown) == (known, error, unknown)


WORDS = [
    "parts", "machine", "gpus", "metrics", "processes", "value", "late",
    "error", "load", "total", "free", "uuid", "temp", "job",
    "pid", "state", "throttle", "inodes", "inodes_free", "failed", "absent",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(WORDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(JSON, st.floats(), st.floats())
def test_whatever_a_node_says_is_judged(words: object, latency: float, offset: float) -> None:
    health = judged(told("n1", words, latency, offset))
    assert 0 <= health.score <= 100
    assert all(isinstance(reason, str) and reason.isprintable() for reason in health.reasons)
    assert jsonable(health)["node"] == "n1"


@given(st.dictionaries(st.sampled_from(["machine", "gpus", "metrics", "home", "processes"]), JSON))
def test_whatever_the_parts_hold_is_judged(parts: dict[str, object]) -> None:
    health = told("n1", {"parts": {name: {"value": value} for name, value in parts.items()}})
    assert 0 <= judged(replace(health, gpus=remembered(FINE.gpus, health.gpus))).score <= 100
