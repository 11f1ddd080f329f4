"""Each node looked at step by step: how far one gets, and what to do where one gets no further."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from ugro_tui.core.numbers import duration
from ugro_tui.core.ports import Clock
from ugro_tui.nodes.base import (
    HostKeyChanged,
    HostKeyUnknown,
    Node,
    NodeAuth,
    NodeError,
    NodeLied,
    NodeSetup,
    Probe,
)

AT_ONCE = 16
"""Nodes looked at at the same time."""

CLOCK_SECONDS = 2.0
"""Clocks that differ by more are worth a word. Ages are taken by each node's own clock, so nothing here breaks."""

LEAST_FREE, LEAST_SHARE = 1 << 30, 0.05
"""Below 1 GiB, or a twentieth of the disk, a training run may soon not be able to write."""


class Grade(Enum):
    """How a step went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One step: what was found, and what to do about it (empty where nothing is to be done)."""

    name: str
    grade: Grade
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All steps of one node, in order; they end where one fails. `reached`: whether the node answered at all."""

    node: str
    reached: bool
    checks: tuple[Check, ...]

    @property
    def grade(self) -> Grade:
        """The worst of its steps."""
        grades = [check.grade for check in self.checks]
        return next((grade for grade in (Grade.FAIL, Grade.WARN) if grade in grades), Grade.OK)


_STEPS = ("settings", "reach", "host key", "login")


def examine(nodes: Sequence[Node], clock: Clock) -> tuple[Diagnosis, ...]:
    """All nodes, looked at side by side."""
    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(nodes)))) as pool:
        return tuple(pool.map(lambda node: _examine(node, clock), nodes))


def _examine(node: Node, clock: Clock) -> Diagnosis:
    asked = clock.time()
    try:
        probe = node.probe()
    except NodeError as error:
        return Diagnosis(node.name, _step(error) > _STEPS.index("login"), tuple(_failed(error)))
    offset = probe.time - (asked + clock.time()) / 2
    reached = [] if node.via == "in place" else [Check(step, Grade.OK, "well") for step in _STEPS]
    return Diagnosis(node.name, True, (*reached, *_probed(node, probe, offset)))


def _step(error: NodeError) -> int:
    """Which of `_STEPS` the error is of; beyond them: the node was reached, and something came after."""
    for kinds, step in ((NodeSetup, 0), ((HostKeyUnknown, HostKeyChanged), 2), (NodeAuth, 3), (NodeLied, 4)):
        if isinstance(error, kinds):
            return step
    return 1


def _failed(error: NodeError) -> Iterator[Check]:
    step = _step(error)
    for name in _STEPS[:step]:
        yield Check(name, Grade.OK, "well")
    name = _STEPS[step] if step < len(_STEPS) else "reading"
    what, _, remedy = str(error).rpartition(": ")
    yield Check(name, Grade.FAIL, what or str(error), remedy if what else "")


def _probed(node: Node, probe: Probe, offset: float) -> Iterator[Check]:
    if node.via == "sftp":
        yield Check("reading", Grade.WARN, "over SFTP", "install Python 3.6 or later there: one round trip a look")
    else:
        yield Check("reading", Grade.OK, f"{node.via}, Python {probe.python}")
    yield _directory(probe)
    if abs(offset) > CLOCK_SECONDS:
        way = "ahead of" if offset > 0 else "behind"
        found = f"{duration(abs(offset))} {way} this machine's"
        yield Check("clock", Grade.WARN, found, "have it set by NTP (chrony, systemd-timesyncd)")
    else:
        yield Check("clock", Grade.OK, f"{offset:+.1f} s")
    yield from _disk("disk", probe.free, probe.total, lambda free: f"{free / (1 << 30):,.1f} GiB", LEAST_FREE)
    yield from _disk("inodes", probe.inodes_free, probe.inodes, lambda free: f"{free:,}", 10_000)


def _directory(probe: Probe) -> Check:
    if not probe.exists:
        remedy = "start a training script that writes there, or set metrics_dir for this node"
        return Check("metrics dir", Grade.WARN, f"{probe.root} does not exist yet", remedy)
    if not probe.readable:
        return Check("metrics dir", Grade.FAIL, f"{probe.root} may not be read", "allow it: chmod u+rx, or its group")
    return Check("metrics dir", Grade.OK, probe.root)


def _disk(name: str, free: int | None, total: int | None, shown: Callable[[int], str], least: int) -> Iterator[Check]:
    if free is None or not total:
        return
    share = free / total
    found = f"{shown(free)} free ({math.floor(100 * share)} %)"
    if free < least or share < LEAST_SHARE:
        yield Check(name, Grade.WARN, found, "make room: a full disk ends the metrics, and then the checkpoints")
    else:
        yield Check(name, Grade.OK, found)
