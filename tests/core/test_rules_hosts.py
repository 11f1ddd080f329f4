"""The machines of a job's ranks: memory that leaks, disks that fill, lines that are missing."""

from __future__ import annotations

import math

import pytest

from tests.core.record_lines import START_TS, line, start, step, steps
from tests.core.rule_scenes import GIB, Scene
from ugro_tui.core.alerts import Severity

pytestmark = pytest.mark.filterwarnings("error")
TIB = 1024 * GIB


def leaking(
    minutes: float, rise: float, total: float | None = 100 * GIB, settings: dict[str, float] | None = None
) -> Scene:
    """A process of 20 GiB of RAM that grows so many GiB an hour, looked at every 30 s."""
    scene = Scene(2, {f"host_memory_leak.{name}": value for name, value in (settings or {}).items()})
    scene.steps(range(1, 21))
    for place in range(round(minutes * 2) + 1):
        scene.now = 30.0 * place
        rss = 20 * GIB + rise * GIB * scene.now / 3_600
        scene.beat(0, rss=rss, mem_total=total)
        scene.beat(1, rss=20 * GIB + (place % 7) * GIB, mem_total=total)
        scene.tick()
    return scene


@pytest.mark.parametrize(("rise", "fires"), [(16.0, False), (17.0, True), (60.0, True), (0.0, False), (-20.0, False)])
def test_memory_that_is_full_within_four_hours_leaks(rise: float, fires: bool) -> None:
    """After 31 minutes the 95 GiB are 4 h 10 m away at 16 GiB an hour, and 3 h 54 m at 17."""
    scene = leaking(31, rise)
    found = scene.all(None, "host_memory_leak")
    assert bool(found) == fires
    if fires:
        left = (75 - rise * 31 / 60) / rise
        (alert,) = found
        assert (alert.severity, alert.rank, alert.threshold) == (Severity.WARN, 0, 4 * 3_600)
        assert alert.value == pytest.approx(left * 3_600, rel=0.03)
        assert "of RAM, and at its slope the memory is full in " in alert.what
        assert alert.next_step == "look at DataLoader workers and at what is kept between steps"


def test_less_than_half_an_hour_says_nothing() -> None:
    assert leaking(29, 60.0).all(None, "host_memory_leak") == []
    assert leaking(12, 60.0, settings={"minutes": 10}).all(None, "host_memory_leak")


@pytest.mark.parametrize("total", [None, 0, math.nan])
def test_a_machine_of_unknown_size_is_not_judged(total: float | None) -> None:
    assert leaking(31, 60.0, total).tick() == {}


def test_a_leak_goes_on_being_told_of_while_the_process_tells_nothing() -> None:
    scene = leaking(31, 60.0)
    (before,) = scene.all(None, "host_memory_leak")
    for _ in range(3):
        scene.now += 60.0
        scene.beat(0, mem_total=GIB * 100)
        (alert,) = scene.all(None, "host_memory_leak")
        assert alert.what == before.what


# --- disks


def filling(
    free: float, rise: float, minutes: float, hosts: tuple[str, ...] = ("node-a",), total: float | None = TIB
) -> Scene:
    """Disks with so much free space (a share) that falls by `rise` (a share) an hour, looked at once a minute."""
    scene = Scene(0)
    for rank, host in enumerate(hosts):
        scene.write(rank, start(world_size=len(hosts), host=host) + steps(1, 20))
    fill(scene, free, rise, minutes, total)
    return scene


def fill(scene: Scene, free: float, rise: float, minutes: float, total: float | None = TIB) -> None:
    """Go on so."""
    begun = scene.now
    for place in range(round(minutes) + 1):
        scene.now = begun + 60.0 * place
        for rank in scene.ranks:
            scene.beat(rank, disk_free=(free - rise * place / 60) * TIB, disk_total=total)
        scene.tick()


@pytest.mark.parametrize(
    ("free", "rise", "minutes", "severity"),
    [
        (0.14, 0.04, 12, Severity.WARN),  # full in 3 h 18 m
        (0.14, 0.03, 12, None),  # in 4 h 28 m
        (0.14, 0.00, 12, None),
        (0.14, 0.04, 8, None),  # too little is known
        (0.17, 0.06, 12, None),
        (0.06, 0.00, 12, None),
        (0.049, 0.0, 0, Severity.CRIT),
        (0.049, -0.1, 0, Severity.CRIT),
    ],
)
def test_a_disk_that_is_nearly_full_and_fills_is_told(
    free: float, rise: float, minutes: float, severity: Severity | None
) -> None:
    found = filling(free, rise, minutes).all(None, "disk_filling")
    assert [alert.severity for alert in found] == ([] if severity is None else [severity])
    for alert in found:
        assert (alert.rank, alert.node, alert.next_step) == (None, "node-a", "remove old checkpoints and logs")
        left = free - rise * minutes / 60
        assert alert.value == pytest.approx(left)
        assert alert.what.startswith(f"{100 * left:.1f} % free ({1024 * left:.1f}G)")
        assert (", full in 3h 18m" in alert.what) == (severity is Severity.WARN)


def test_a_disk_is_told_once_for_all_its_ranks_and_each_node_for_itself() -> None:
    found = filling(0.01, 0, 0, ("a", "a", "b", "b")).all(None, "disk_filling")
    assert sorted(alert.node for alert in found) == ["a", "b"]


def test_a_disk_does_not_come_and_go_at_the_limit_of_its_time() -> None:
    scene = filling(0.14, 0.04, 12)
    assert scene.all(None, "disk_filling")
    fill(scene, 0.132, 0.015, 65)  # full in 7 h 45 m: it would not begin to fire
    assert scene.all(None, "disk_filling")
    fill(scene, 0.115, 0.0, 65)
    assert scene.all(None, "disk_filling") == []


@pytest.mark.parametrize("total", [None, 0, math.nan])
def test_a_disk_of_unknown_size_is_not_judged(total: float | None) -> None:
    assert filling(0.01, 0.0, 12, total=total).tick() == {}


# --- lines


def lines(records: int, bad: int = 0, lost: int = 0) -> bytes:
    """A file with records, lines that are no record, and records that never came."""
    content = start() + steps(1, records) + b"damage\n" * bad
    return content + (step(records + 1, seq=records + 1 + lost) if lost else b"")


@pytest.mark.parametrize(
    ("records", "bad", "lost", "severity"),
    [
        (100, 0, 0, None),
        (100, 1, 0, Severity.INFO),
        (100, 0, 1, Severity.INFO),
        (100, 9, 0, Severity.INFO),  # too few for a share to mean anything
        (100, 5, 5, Severity.WARN),
        (2_000, 10, 9, Severity.INFO),  # less than 1 %
        (2_000, 20, 9, Severity.WARN),
    ],
)
def test_one_line_is_told_and_a_hundredth_of_all_is_a_warning(
    records: int, bad: int, lost: int, severity: Severity | None
) -> None:
    scene = Scene(0)
    scene.write(0, lines(records, bad, lost))
    found = scene.all(None, "lines_skipped")
    assert [alert.severity for alert in found] == ([] if severity is None else [severity])


def test_the_rank_with_the_most_is_named_and_all_are_counted() -> None:
    scene = Scene(0)
    for rank, bad in enumerate((0, 3, 7)):
        scene.write(rank, lines(99, bad))
    (alert,) = scene.all(None, "lines_skipped")
    assert (alert.rank, alert.ranks) == (2, 2)
    assert alert.what == "missing or no record: 10 of 310 lines (3.2 %), 7 of this rank"
    assert alert.value == pytest.approx(10 / 310)
    assert alert.where == "rank 2 on node-a and 1 more"


def test_a_share_that_is_set_decides() -> None:
    scene = Scene(0, {"lines_skipped.warn": 0.5})
    scene.write(0, lines(100, 20))
    assert scene.tick()["lines_skipped"].severity is Severity.INFO


def test_kinds_of_later_versions_are_not_missing() -> None:
    scene = Scene(0)
    scene.write(0, start() + line("dream", seq=1, ts=START_TS) + step(1, seq=2))
    assert scene.tick() == {}
