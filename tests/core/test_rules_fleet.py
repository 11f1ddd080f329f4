"""Rules about nodes: what fires from what is seen of them and what they say of themselves; `now` is given."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.health import DiskHealth, GpuHealth, NodeHealth
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.rules.fleet import FleetWatch
from ugro_tui.core.snapshot import NodeView
from ugro_tui.core.states import NodeState

WELL = NodeView("gpu1", 1.0, round_trip=0.01, clock_offset=0.1, looked=1.0)
GIB = 1 << 30


def watch() -> FleetWatch:
    """Looks are five seconds apart."""
    return FleetWatch(5.0)


def fired(alerts: tuple[Alert, ...]) -> list[tuple[str, Severity]]:
    """Rules and severities."""
    return [(alert.rule, alert.severity) for alert in alerts]


def test_nothing_is_wrong_with_a_node_that_is_well_or_of_which_nothing_is_known() -> None:
    assert watch().tick([WELL], [NodeHealth("gpu1")], 0.0) == ()
    unknown = NodeView("gpu1", math.nan, state=NodeState.CONNECTING)
    assert watch().tick([unknown], [], 1e6) == ()


@pytest.mark.parametrize("rule", ["node_unreachable", "auth_refused", "host_key_changed"])
def test_a_node_that_does_not_answer(rule: str) -> None:
    away = replace(WELL, age=47.0, state=NodeState.WAITING, brief="no answer", rule=rule)
    (alert,) = watch().tick([away], [], 0.0)
    assert (alert.rule, alert.node, alert.rank, alert.age) == (rule, "gpu1", None, 47.0)
    assert alert.what == "no answer; last heard of 47s ago"
    (never,) = watch().tick([replace(away, age=math.nan)], [], 0.0)
    assert never.what == "no answer; never heard of"


def test_a_clock_that_is_off_for_two_minutes() -> None:
    fleet, off = watch(), replace(WELL, clock_offset=-3_600.0)
    assert fleet.tick([off], [], 0.0) == ()
    assert fleet.tick([off], [], 119.0) == ()
    (alert,) = fleet.tick([off], [], 120.0)
    assert (alert.rule, alert.what) == ("clock_skew", "its clock is 1h 0m behind this machine's")
    assert fleet.tick([WELL], [], 125.0) == ()
    assert fleet.tick([off], [], 130.0) == ()  # it begins anew


def test_a_clock_of_a_node_that_does_not_answer_is_not_known() -> None:
    fleet, off = watch(), replace(WELL, clock_offset=10.0, state=NodeState.SILENT)
    assert fleet.tick([off], [], 0.0) == ()
    assert fleet.tick([off], [], 500.0) == ()


def test_a_copy_that_falls_behind_for_more_than_three_looks() -> None:
    assert watch().tick([replace(WELL, behind=15.0)], [], 0.0) == ()
    (alert,) = watch().tick([replace(WELL, behind=16.0)], [], 0.0)
    assert (alert.rule, alert.age) == ("sync_behind", 1.0)


@pytest.mark.parametrize(
    ("state", "looked", "blind"),
    [
        (NodeState.OK, 30.0, False),
        (NodeState.OK, 31.0, True),
        (NodeState.SILENT, 31.0, True),
        (NodeState.WAITING, 300.0, False),
        (NodeState.PERSON, 1e6, False),
    ],
)
def test_looks_that_do_not_come(state: NodeState, looked: float, *, blind: bool) -> None:
    alerts = watch().tick([replace(WELL, state=state, looked=looked)], [], 0.0)
    assert [alert.rule for alert in alerts] == ["monitor_blind"] * blind


def disk(free: float, role: str = "metrics") -> NodeHealth:
    """A node with one disk of 100 GiB."""
    return NodeHealth("gpu1", disks=(DiskHealth(role, "/d", 100 * GIB, int(free * GIB)),))


def test_a_disk_that_is_nearly_full() -> None:
    (alert,) = watch().tick([], [disk(4.0)], 0.0)
    assert (alert.rule, alert.severity, alert.node) == ("disk_filling", Severity.CRIT, "gpu1")
    assert alert.what == "metrics disk: 4.0 % free (4.0G)"
    assert watch().tick([], [disk(5.0)], 0.0) == ()


def test_a_disk_that_will_be_full_within_four_hours() -> None:
    fleet = watch()
    for minute in range(20):
        alerts = fleet.tick([], [disk(14.0 - minute / 10)], minute * 60.0)
        assert bool(alerts) == (minute >= 10)
    assert alerts[0].severity is Severity.WARN
    assert alerts[0].what == "metrics disk: 12.1 % free (12.1G), full in 2h 1m"


def test_a_disk_that_stays_as_it_is_or_fills_slowly_is_let_be() -> None:
    steady, slow = watch(), watch()
    for minute in range(60):
        assert steady.tick([], [disk(10.0)], minute * 60.0) == ()
        assert slow.tick([], [disk(14.0 - minute / 1_000)], minute * 60.0) == ()


def test_of_several_disks_of_a_node_the_worst_is_told() -> None:
    disks = (DiskHealth("metrics", "/d", 100 * GIB, 4 * GIB), DiskHealth("home", "/h", 100 * GIB, 2 * GIB))
    (alert,) = watch().tick([], [NodeHealth("gpu1", disks=disks)], 0.0)
    assert alert.what.startswith("home disk: 2.0 % free")
    assert watch().tick([], [NodeHealth("gpu1", disks=(DiskHealth("home", "/h"),))], 0.0) == ()


def test_gpus_that_are_gone_or_broken() -> None:
    gpus = (GpuHealth(0), GpuHealth(1, lost=True), GpuHealth(2, ecc_new=3), GpuHealth(3, remap_failed=True))
    alerts = watch().tick([], [NodeHealth("gpu1", gpus=gpus)], 0.0)
    assert fired(alerts) == [("gpu_lost", Severity.CRIT), ("ecc", Severity.CRIT)]
    assert [alert.what for alert in alerts] == ["GPU 1 is gone", "GPUs 2, 3: 3 new uncorrected memory errors"]


def test_what_is_switched_off_is_not_told() -> None:
    assert watch().tick([], [disk(1.0)], 0.0, DEFAULTS.having("disk_filling.enabled", 0)) == ()
    assert watch().tick([], [disk(4.0)], 0.0, DEFAULTS.having("disk_filling.crit", 0.01)) == ()
