"""When nodes are asked how they are, and what is said of those that do not answer; the clock is the tests' own."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.collect.bench import Bench, Moody
from tests.writing import Clock, wait_until, whole_job
from ugro_tui.collect.health import (
    AGE_SECONDS,
    FAST_SECONDS,
    FIRST_SECONDS,
    NORMAL_SECONDS,
    QUIET_SECONDS,
    WATCHED_SECONDS,
    AdaptiveHealthMonitor,
)
from ugro_tui.collect.messages import Cycle
from ugro_tui.core.commands import Health
from ugro_tui.core.health import CENTRAL, DiskHealth, GpuHealth, Late, NodeHealth
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.states import NodeState
from ugro_tui.nodes.base import Ask, NodeSilent, NodeUnreachable, Probe, Ran, Reply
from ugro_tui.nodes.local import LocalNode

FINE = NodeHealth("n1", age=0.0, state=NodeState.OK)
FULL = replace(FINE, disks=(DiskHealth("metrics", "/m", 100, 1),))


class Patient:
    """A node that says of its health what a test decides, and counts how often it is asked."""

    via = "helper"

    def __init__(self, name: str = "n1") -> None:
        self.name = name
        self.asked = 0
        self.says: Callable[[], NodeHealth] = lambda: FINE

    def health(self) -> NodeHealth:
        self.asked += 1
        return self.says()

    def poll(self, ask: Ask) -> Reply:
        raise NotImplementedError

    def probe(self) -> Probe:
        raise NotImplementedError

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = 30.0) -> Ran:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


class Ward:
    """A monitor of one node."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.node = Patient()
        self.lives = False
        self.monitor = AdaptiveHealthMonitor(["n1"], self.clock, lambda: self.lives, None)

    def pause(self) -> int:
        """Seconds, to the next whole one, until the node is asked again; it is looked at once a second."""
        self.monitor.look(self.node)
        before = self.node.asked
        for seconds in range(1, 400):
            self.clock.now += 1
            self.monitor.look(self.node)
            if self.node.asked > before:
                return seconds
        return 0

    def shown(self) -> NodeHealth:
        (one,) = self.monitor.view(self.clock.now)
        return one


@pytest.fixture
def ward() -> Ward:
    made = Ward()
    made.clock.now += FIRST_SECONDS
    return made


def raising(error: Exception) -> Callable[[], NodeHealth]:
    def say() -> NodeHealth:
        raise error

    return say


def test_a_look_that_ends_soon_pays_nothing() -> None:
    ward = Ward()
    ward.monitor.look(ward.node)
    assert (ward.node.asked, ward.shown().reasons) == (0, ("not asked yet",))
    ward.clock.now += FIRST_SECONDS
    ward.monitor.look(ward.node)
    assert ward.node.asked == 1
    assert ward.shown().reasons == ()


def test_many_nodes_are_not_asked_all_at_once() -> None:
    clock, patients = Clock(), [Patient(f"n{number}") for number in range(5)]
    monitor = AdaptiveHealthMonitor([one.name for one in patients], clock, lambda: False, None)
    clock.now += FIRST_SECONDS
    for asked in range(1, 6):
        for one in patients:
            monitor.look(one)
        assert sum(one.asked for one in patients) == asked
        clock.now += FAST_SECONDS / 5


def test_a_quiet_node_is_asked_rarely_and_a_job_or_trouble_makes_it_more_often(ward: Ward) -> None:
    assert ward.pause() == QUIET_SECONDS
    ward.lives = True
    ward.clock.now += QUIET_SECONDS
    assert ward.pause() == NORMAL_SECONDS
    ward.node.says = lambda: FULL
    ward.clock.now += QUIET_SECONDS
    assert ward.pause() == FAST_SECONDS


def test_who_watches_is_told_at_once_and_often_for_a_while(ward: Ward) -> None:
    ward.monitor.look(ward.node)
    assert ward.node.asked == 1
    ward.monitor.watch()
    ward.monitor.look(ward.node)
    assert ward.node.asked == 2
    assert [ward.pause(), ward.pause()] == [FAST_SECONDS, FAST_SECONDS]
    ward.clock.now += WATCHED_SECONDS
    assert ward.pause() == QUIET_SECONDS


def test_what_is_still_looked_at_is_asked_for_at_the_next_look(ward: Ward) -> None:
    ward.node.says = lambda: replace(FINE, late=(Late("GPUs", 0.3),))
    assert ward.pause() == 1
    ward.node.says = lambda: replace(FINE, late=(Late("GPUs", 12.0),))
    ward.clock.now += 1
    assert ward.pause() == FAST_SECONDS
    assert "GPUs: no answer for 12s" in ward.shown().reasons[0]


def test_while_there_is_more_to_read_only_who_watches_is_served(ward: Ward) -> None:
    ward.monitor.look(ward.node, more=True)
    ward.monitor.look(ward.node, reads=True)
    assert ward.node.asked == 0
    request = ward.monitor.watch()
    assert ward.monitor.awaited(request, ["n1"]) == ["n1"]
    ward.monitor.look(ward.node, more=True)
    assert ward.node.asked == 1
    assert ward.monitor.awaited(request, ["n1"]) == []


def test_a_request_that_comes_while_a_node_is_asked_is_answered_by_the_next_look(ward: Ward) -> None:
    requests: list[int] = []

    def say() -> NodeHealth:
        requests.append(ward.monitor.watch())
        return FINE

    ward.node.says = say
    ward.monitor.look(ward.node)
    assert ward.monitor.awaited(requests[0], ["n1"]) == ["n1"]
    ward.node.says = lambda: FINE
    ward.monitor.look(ward.node)
    assert ward.monitor.awaited(requests[0], ["n1"]) == []


def test_a_node_that_does_not_answer_keeps_what_was_known_with_its_age(ward: Ward) -> None:
    ward.node.says = lambda: FULL
    ward.monitor.look(ward.node)
    ward.clock.now += 7
    request = ward.monitor.watch()
    down = Cycle("n1", ward.clock.now, "n1: no answer within 5 s", state=NodeState.SILENT, brief="no answer")
    ward.monitor.heard(down)
    shown = ward.shown()
    assert (shown.state, shown.score, shown.age, shown.breaker) == (NodeState.SILENT, 0, 7.0, "closed")
    assert shown.reasons == ("n1: no answer within 5 s",)
    assert shown.disks == FULL.disks
    assert ward.monitor.awaited(request, ["n1"]) == []
    assert ward.node.asked == 1


def test_the_breaker_is_shown_and_the_look_that_tries_it_asks_for_health(ward: Ward) -> None:
    now = ward.clock.now
    ward.monitor.heard(Cycle("n1", now, "gone", state=NodeState.WAITING, sure=True, retry_at=now + 8))
    assert (ward.shown().breaker, ward.shown().retry) == ("open", 8.0)
    ward.clock.now += 8
    assert (ward.shown().breaker, ward.shown().retry) == ("half-open", 0.0)
    ward.monitor.look(ward.node)
    ward.monitor.heard(Cycle("n1", ward.clock.now))
    assert (ward.shown().breaker, ward.shown().score, ward.node.asked) == ("closed", 100, 1)
    ward.monitor.heard(Cycle("n1", now, "no key", state=NodeState.PERSON, sure=True))
    assert ward.shown().breaker == "open"
    assert math.isnan(ward.shown().retry)


def test_a_node_that_answers_but_not_about_its_health_says_so_and_is_asked_again(ward: Ward) -> None:
    ward.node.says = raising(NodeSilent("n1: no answer within 5 s"))
    assert ward.pause() == FAST_SECONDS
    ward.monitor.heard(Cycle("n1", ward.clock.now))
    assert (ward.shown().state, ward.shown().score) == (NodeState.OK, 100)
    assert ward.shown().reasons == ("n1: no answer within 5 s",)
    ward.node.says = lambda: FINE
    ward.pause()
    assert ward.shown().reasons == ()


def test_an_error_of_ours_does_not_reach_the_metrics(ward: Ward) -> None:
    ward.node.says = raising(ZeroDivisionError())
    ward.monitor.look(ward.node)
    assert "an error in ugro-tui" in ward.shown().reasons[0]


def test_where_another_application_polls_only_the_health_says_how_the_node_answers(ward: Ward) -> None:
    ward.monitor.heard(Cycle("n1", ward.clock.now, via="mirror"))
    assert ward.shown().reasons == ("not asked yet",)
    ward.monitor.watch()
    ward.node.says = raising(NodeUnreachable("n1: connection refused"))
    ward.monitor.look(ward.node, reads=True)
    ward.monitor.heard(Cycle("n1", ward.clock.now, via="mirror"))
    assert (ward.shown().state, ward.shown().score) == (NodeState.SILENT, 0)
    ward.node.says = lambda: FINE
    ward.monitor.watch()
    ward.monitor.look(ward.node, reads=True)
    assert (ward.shown().state, ward.shown().score) == (NodeState.OK, 100)


def test_what_only_several_looks_tell_is_remembered(ward: Ward) -> None:
    both = (GpuHealth(0, "GPU-a", ecc=1), GpuHealth(1, "GPU-b", ecc=1))
    said = [
        replace(FINE, gpus=both, gpus_known=True),
        replace(FINE, gpu_error="Unknown Error"),
        replace(FINE, gpus=(replace(both[0], ecc=4),), gpus_known=True),
    ]
    for health in said:
        ward.node.says = lambda health=health: health  # type: ignore[misc]
        ward.monitor.watch()
        ward.monitor.look(ward.node)
    assert [(gpu.index, gpu.lost, gpu.ecc_new) for gpu in ward.shown().gpus] == [(0, False, 3), (1, True, None)]
    assert ward.shown().score == 100 - 2 * 40


def test_ages_are_counted_anew_once_a_second(ward: Ward) -> None:
    ward.monitor.look(ward.node)
    first = ward.monitor.view(ward.clock.now)
    ward.clock.now += AGE_SECONDS / 2
    assert ward.monitor.view(ward.clock.now) is first
    ward.clock.now += AGE_SECONDS
    assert ward.shown().age == 1.5


def test_a_number_that_is_set_is_judged_by_at_once() -> None:
    patient, numbers = Patient(), [DEFAULTS]
    patient.says = lambda: replace(FINE, disks=(DiskHealth("metrics", "/m", 1 << 40, (1 << 40) // 5),))
    monitor = AdaptiveHealthMonitor(["n1"], Clock(), lambda: False, None, lambda: numbers[0])
    monitor.watch()
    monitor.look(patient)
    assert monitor.view(1_000.0)[0].score == 100
    numbers[0] = DEFAULTS.having("disk_filling.crit", 0.3)
    (health,) = monitor.view(1_000.1)
    assert health.score == 60
    assert health.reasons[0].startswith("metrics disk: 19 % free (204.8G): make room at /m")


def test_the_disk_of_the_central_directory_is_told_besides(tmp_path: Path) -> None:
    monitor = AdaptiveHealthMonitor(["n1"], Clock(), lambda: False, tmp_path / "not yet")
    node = Patient()

    def told() -> bool:
        monitor.watch()
        monitor.look(node)
        return bool(monitor.view(1000.0)[-1].disks)

    wait_until(told, 30)
    names = [one.node for one in monitor.view(1000.0)]
    (disk,) = monitor.view(1000.0)[-1].disks
    assert names == ["n1", CENTRAL]
    assert (disk.role, disk.path) == ("central", str(tmp_path))
    assert disk.free is not None


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for collector in made.collectors:
        collector.stop()


def test_the_collector_publishes_health_and_keeps_the_distance_of_the_look(bench: Bench) -> None:
    whole_job(bench.root / "job", bench.clock, ranks=1)
    collector = bench.collector()
    snapshot = bench.done(collector, Health())
    (health,) = snapshot.health
    (node,) = snapshot.nodes
    assert (health.node, health.state, node.round_trip) == ("local", NodeState.OK, 0.0)
    assert health.disk("metrics") is not None


def test_a_health_that_hangs_for_a_moment_counts_into_no_round_trip(bench: Bench) -> None:
    class Slow(Moody):
        name = "local"

        def health(self) -> NodeHealth:
            bench.clock.now += 0.25
            return replace(FINE, node="local")

    slow = Slow(LocalNode(bench.root, bench.clock.time))
    (node,) = bench.done(bench.collector(slow), Health()).nodes
    assert (node.round_trip, node.clock_offset) == (0.0, 0.0)


def test_nodes_without_a_metrics_directory_are_asked_too(bench: Bench) -> None:
    collector = bench.collector(LocalNode(bench.root / "nothing", bench.clock.time))
    snapshot = bench.done(collector, Health())
    assert snapshot.nodes[0].brief == "no metrics dir"
    assert snapshot.health[0].disk("metrics") is not None
    assert (snapshot.health[0].state, snapshot.health[0].error) == (NodeState.OK, "")


def test_a_node_in_trouble_is_not_asked_for_its_health(bench: Bench) -> None:
    asked = threading.Event()

    class Down(Moody):
        name = "down"

        def health(self) -> NodeHealth:
            asked.set()
            return FINE

    def fail() -> None:
        raise NodeUnreachable("down: refused")

    down = Down(LocalNode(bench.root, bench.clock.time))
    down.mood = fail
    (health,) = bench.done(bench.collector(down), Health()).health
    assert (health.score, health.reasons, health.brief) == (0, ("down: refused",), "unreachable")
    assert not asked.is_set()
