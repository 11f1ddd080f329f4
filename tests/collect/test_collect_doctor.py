"""The doctor: which step an error is of, what is found where a node answers, and how long it takes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.writing import Clock, as_ordinary_user
from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.doctor import Check, Diagnosis, Grade, examine, examine_central
from ugro_tui.core.health import NodeHealth
from ugro_tui.exits import NONE_REACHED, PARTIAL, UNWELL, WELL, of_doctor
from ugro_tui.nodes.base import (
    Ask,
    HostKeyChanged,
    HostKeyUnknown,
    NeedsPassphrase,
    NodeAuth,
    NodeBusy,
    NodeError,
    NodeLied,
    NodeLost,
    NodeSetup,
    NodeSilent,
    NodeUnfit,
    NodeUnreachable,
    Probe,
    Ran,
    Reply,
)
from ugro_tui.nodes.local import LocalNode

GIB = 1 << 30


class Patient:
    """A node of which a test decides what it says of itself."""

    def __init__(self, probe: Callable[[], Probe], name: str = "gpu1", via: str = "helper") -> None:
        self.name = name
        self.via = via
        self.probe = probe

    def poll(self, ask: Ask) -> Reply:
        raise NotImplementedError

    def health(self) -> NodeHealth:
        raise AssertionError("not asked")

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = 30.0) -> Ran:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


def well(clock: Clock, **different: object) -> Probe:
    fields = {
        "time": clock.time(), "python": "3.11.2", "root": "/data/jobs", "exists": True, "readable": True,
        "free": 500 * GIB, "total": 1000 * GIB, "inodes_free": 1_000_000, "inodes": 2_000_000,
    }  # fmt: skip
    return Probe(**{**fields, **different})  # type: ignore[arg-type]


def failing(error: Exception) -> Callable[[], Probe]:
    def probe() -> Probe:
        raise error

    return probe


@pytest.fixture
def clock() -> Clock:
    return Clock()


def found(clock: Clock, probe: Callable[[], Probe], via: str = "helper") -> Diagnosis:
    (one,) = examine([Patient(probe, via=via)], clock)
    return one


def row(one: Diagnosis, name: str) -> Check:
    return next(check for check in one.checks if check.name == name)


@pytest.mark.parametrize(
    ("error", "steps", "reached"),
    [
        (NodeSetup("gpu1: bad"), ["settings"], False),
        (NodeUnreachable("gpu1: no"), ["settings", "reach"], False),
        (NodeSilent("gpu1: no"), ["settings", "reach"], False),
        (NodeLost("gpu1: no"), ["settings", "reach"], False),
        (NodeBusy("gpu1: no"), ["settings", "reach"], False),
        (HostKeyUnknown("gpu1: no"), ["settings", "reach", "host key"], False),
        (HostKeyChanged("gpu1: no"), ["settings", "reach", "host key"], False),
        (NodeAuth("gpu1: no"), ["settings", "reach", "host key", "login"], False),
        (NeedsPassphrase("gpu1: no", "/key"), ["settings", "reach", "host key", "login"], False),
        (NodeUnfit("gpu1: no"), ["settings", "reach", "host key", "login", "reading"], True),
        (NodeLied("gpu1: no"), ["settings", "reach", "host key", "login", "reading"], True),
    ],
)
def test_each_error_is_of_one_step(clock: Clock, error: NodeError, steps: list[str], reached: bool) -> None:
    one = found(clock, failing(error))
    assert [check.name for check in one.checks] == steps
    assert [check.grade for check in one.checks] == [Grade.OK] * (len(steps) - 1) + [Grade.FAIL]
    assert (one.reached, one.failed) == (reached, True)
    assert one.locked == ("/key" if isinstance(error, NeedsPassphrase) else "")


@pytest.mark.parametrize(
    ("message", "what", "remedy"),
    [
        ("gpu1: it broke", "it broke", ""),
        ("gpu1: it broke: mend it", "it broke", "mend it"),
        ("gpu1: refused: no key (tried: a, b): run `ssh gpu1`", "refused: no key (tried: a, b)", "run `ssh gpu1`"),
        ("gpu1: unknown: compare it (there: ssh-keygen -lf f)", "unknown", "compare it (there: ssh-keygen -lf f)"),
        ("/data) is odd: mend it", "/data) is odd", "mend it"),
        ("", "", ""),
    ],
)
def test_what_is_to_be_done_stands_apart(clock: Clock, message: str, what: str, remedy: str) -> None:
    check = found(clock, failing(NodeAuth(message))).checks[-1]
    assert (check.found, check.remedy) == (what, remedy)


def test_a_node_that_is_well(clock: Clock) -> None:
    one = found(clock, lambda: well(clock))
    assert [(check.name, check.found) for check in one.checks] == [
        ("settings", "well"),
        ("reach", "well"),
        ("host key", "well"),
        ("login", "well"),
        ("reading", "helper, Python 3.11.2, 0 ms"),
        ("metrics dir", "/data/jobs"),
        ("clock", "+0.0 s"),
        ("disk", "500.0 GiB free (50 %)"),
        ("inodes", "1,000,000 free (50 %)"),
    ]
    assert (one.grade, one.reached) == (Grade.OK, True)
    assert not any(check.remedy for check in one.checks)


@pytest.mark.parametrize(
    ("different", "name", "grade", "said", "remedy"),
    [
        ({"exists": False}, "metrics dir", Grade.WARN, "/data/jobs does not exist yet", "start a training script"),
        ({"readable": False}, "metrics dir", Grade.FAIL, "/data/jobs may not be read", "`chmod u+rx /data/jobs`"),
        ({"root": "/a b", "readable": False}, "metrics dir", Grade.FAIL, "/a b may not be read", "`chmod u+rx '/a b'`"),
        ({"free": GIB - 1, "total": 2 * GIB}, "disk", Grade.WARN, "1.0 GiB free (49 %)", "du -x /data/jobs"),
        ({"free": 49 * GIB}, "disk", Grade.WARN, "49.0 GiB free (4 %)", "du -x /data/jobs"),
        ({"free": 50 * GIB}, "disk", Grade.OK, "50.0 GiB free (5 %)", ""),
        ({"inodes_free": 9_999, "inodes": 20_000}, "inodes", Grade.WARN, "9,999 free (49 %)", "du --inodes -x"),
    ],
)
def test_what_wants_attention(
    clock: Clock, different: dict[str, object], name: str, grade: Grade, said: str, remedy: str
) -> None:
    one = found(clock, lambda: well(clock, **different))
    check = row(one, name)
    assert (check.grade, check.found) == (grade, said)
    assert remedy in check.remedy
    assert bool(check.remedy) == bool(remedy)
    assert one.grade is grade


@pytest.mark.parametrize(("via", "remedy"), [("helper", "below [node.NAME] of"), ("in place", "--metrics-dir, or ")])
def test_another_metrics_directory_is_named_where_the_node_is_set(clock: Clock, via: str, remedy: str) -> None:
    assert remedy in row(found(clock, lambda: well(clock, exists=False), via), "metrics dir").remedy


def test_a_disk_of_which_nothing_is_known_is_not_judged(clock: Clock) -> None:
    one = found(clock, lambda: well(clock, free=None, total=None, inodes_free=5, inodes=0))
    assert {check.name for check in one.checks} & {"disk", "inodes"} == set()
    assert one.grade is Grade.OK


@pytest.mark.parametrize(
    ("offset", "grade", "said"),
    [
        (1.9, Grade.OK, "+1.9 s"),
        (-1.9, Grade.OK, "-1.9 s"),
        (70.0, Grade.WARN, "ahead of this machine's"),
        (-3.0, Grade.WARN, "behind this machine's"),
    ],
)
def test_clocks_are_compared(clock: Clock, offset: float, grade: Grade, said: str) -> None:
    check = row(found(clock, lambda: well(clock, time=clock.time() + offset)), "clock")
    assert (check.grade, said in check.found) == (grade, True)


def test_the_time_that_connecting_takes_is_no_distance_between_clocks(clock: Clock) -> None:
    connecting = iter((7.0, 0.2))

    def probe() -> Probe:
        told = well(clock)
        clock.now += next(connecting)
        return told

    one = found(clock, probe)
    assert row(one, "clock").found == "-0.1 s"
    assert row(one, "reading").found.endswith(", 200 ms")


def test_an_answer_that_took_long_says_less_of_the_clock(clock: Clock) -> None:
    connecting = iter((0.0, 6.0))

    def probe() -> Probe:
        told = well(clock)
        clock.now += next(connecting)
        return told

    assert row(found(clock, probe), "clock").grade is Grade.OK


def test_sftp_is_said_to_be_slower(clock: Clock) -> None:
    check = row(found(clock, lambda: well(clock), via="sftp"), "reading")
    assert (check.grade, check.found) == (Grade.WARN, "over SFTP, 0 ms")
    assert "`apt-get install python3`" in check.remedy


def test_this_machine_has_no_steps_of_ssh(clock: Clock, tmp_path: Path) -> None:
    (one,) = examine([LocalNode(tmp_path, clock.time)], clock)
    assert [check.name for check in one.checks][:3] == ["reading", "metrics dir", "clock"]


def test_nodes_are_looked_at_side_by_side_and_told_in_order(clock: Clock) -> None:
    together = threading.Barrier(3)

    def probe() -> Probe:
        together.wait(30)
        return well(clock)

    nodes = [Patient(probe, name) for name in ("c", "a", "b")]
    assert [one.node for one in examine(nodes, clock)] == ["c", "a", "b"]


def test_an_error_of_ours_is_said_of_its_node_alone(clock: Clock) -> None:
    nodes = [Patient(failing(ZeroDivisionError("oops")), "a"), Patient(lambda: well(clock), "b")]
    first, second = examine(nodes, clock)
    assert "cannot be looked at: ZeroDivisionError('oops')" in first.checks[0].found
    assert (first.failed, second.failed) == (True, False)


def test_the_central_directory(clock: Clock, tmp_path: Path) -> None:
    copies = ResultAggregator(tmp_path / "central", clock, ["gpu1"])
    other = ResultAggregator(tmp_path / "central", clock, ["gpu1"])
    try:
        one = examine_central(copies)
        assert (one.checks[0].found, one.checks[0].grade) == (str(tmp_path / "central"), Grade.OK)
        assert [check.name for check in one.checks] == ["central dir", "disk", "inodes"]
        beside = examine_central(other).checks[0]
        assert (beside.found, beside.grade) == (
            f"ugro-tui (pid {os.getpid()} on {os.uname().nodename}) writes {tmp_path}/central",
            Grade.OK,
        )
    finally:
        copies.close()
        other.close()


def test_a_central_directory_that_cannot_be_written_fails(clock: Clock, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with as_ordinary_user():
        one = examine_central(ResultAggregator(closed / "central", clock, ["gpu1"]))
    (check,) = one.checks
    assert (check.grade, check.found.endswith("cannot be locked: Permission denied")) == (Grade.FAIL, True)
    assert check.remedy.startswith("allow it (chmod u+rwx), or choose another directory with --central")


def test_the_exit_code_says_how_much_is_wrong() -> None:
    good = Diagnosis("a", True, (Check("clock", Grade.WARN, ""),))
    away = Diagnosis("b", False, (Check("reach", Grade.FAIL, ""),))
    bad = Diagnosis("c", True, (Check("metrics dir", Grade.FAIL, ""),))
    assert of_doctor([good], None) == of_doctor([good], good) == WELL
    assert of_doctor([away, away], good) == NONE_REACHED
    assert of_doctor([good, away], bad) == of_doctor([good, bad], None) == PARTIAL
    assert of_doctor([bad, away], None) == of_doctor([good], bad) == UNWELL
