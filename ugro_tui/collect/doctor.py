"""Each node looked at step by step: how far one gets, and what to do where one gets no further."""

from __future__ import annotations

import logging
import math
import os
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.follower import Role
from ugro_tui.core.numbers import duration
from ugro_tui.core.ports import Clock
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import (
    HostKeyChanged,
    HostKeyUnknown,
    NeedsPassphrase,
    Node,
    NodeAuth,
    NodeError,
    NodeLied,
    NodeSetup,
    NodeUnfit,
    Probe,
)

log = logging.getLogger(__name__)

CLOCK_SECONDS = 2.0
"""Clocks that differ by more are worth a word. Ages are taken by each node's own clock, so nothing here breaks."""

LEAST_FREE, LEAST_SHARE = 1 << 30, 0.05
"""Below 1 GiB, or a twentieth of the disk, a training run may soon not be able to write."""


LEAST_INODES = 10_000

CENTRAL = "central directory"


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
    """All steps of one node, in order; they end where one fails. `reached`: whether we could log in.

    `locked` is the file of a key that would have to be opened first; empty where none is.
    """

    node: str
    reached: bool
    checks: tuple[Check, ...]
    locked: str = ""

    @property
    def grade(self) -> Grade:
        """The worst of its steps."""
        grades = [check.grade for check in self.checks]
        return next((grade for grade in (Grade.FAIL, Grade.WARN) if grade in grades), Grade.OK)

    @property
    def failed(self) -> bool:
        """Whether one of its steps failed."""
        return self.grade is Grade.FAIL


_STEPS = ("settings", "reach", "host key", "login")


def examine(nodes: Sequence[Node], clock: Clock) -> tuple[Diagnosis, ...]:
    """All nodes, looked at side by side: it takes as long as the slowest, at most its deadlines."""
    found: dict[Node, Diagnosis] = {}

    def look(node: Node) -> None:
        try:
            found[node] = _examine(node, clock)
        except Exception as error:  # a thread's outer edge
            log.exception("examining %s failed", node.name)
            why = f"cannot be looked at: {error!r}"
            check = Check("reading", Grade.FAIL, why, "this is an error in ugro-tui: see its log")
            found[node] = Diagnosis(node.name, False, (check,))

    threads = [threading.Thread(target=look, args=(node,), daemon=True) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:  # not a pool's: those would hold an interrupted process until the last deadline
        thread.join()
    return tuple(found[node] for node in nodes)


def _examine(node: Node, clock: Clock) -> Diagnosis:
    try:
        node.probe()  # connects, which would count as distance between the clocks
        asked, began = clock.time(), clock.monotonic()
        probe = node.probe()
    except NodeError as error:
        locked = error.key if isinstance(error, NeedsPassphrase) else ""
        return Diagnosis(node.name, _step(error) > _STEPS.index("login"), tuple(_failed(node.name, error)), locked)
    took = clock.monotonic() - began
    reached = [] if node.via == "in place" else [Check(step, Grade.OK, "well") for step in _STEPS]
    return Diagnosis(node.name, True, (*reached, *_probed(node, probe, took, probe.time - asked - took / 2)))


def examine_central(copies: ResultAggregator) -> Diagnosis:
    """Whether the central directory can be written, and whether there is room."""
    role, place = copies.role(), visible(str(copies.central))
    if role is Role.NONE:
        return Diagnosis(CENTRAL, False, (_split("central dir", "", copies.said()),))
    checks = [Check("central dir", Grade.OK, place if role is Role.WRITES else copies.said())]
    try:
        disk = os.statvfs(copies.central)
    except OSError as error:
        checks.append(Check("disk", Grade.FAIL, f"{place}: {error.strerror}", f"`ls -ld {shlex.quote(place)}`"))
        return Diagnosis(CENTRAL, False, tuple(checks))
    checks += _room(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize, disk.f_favail, disk.f_files, place)
    return Diagnosis(CENTRAL, True, tuple(checks))


def _step(error: NodeError) -> int:
    """Which of `_STEPS` the error is of; beyond them: the login succeeded, and something came after."""
    kinds: tuple[tuple[type[NodeError] | tuple[type[NodeError], ...], int], ...] = (
        ((NodeUnfit, NodeLied), 4),
        (NodeSetup, 0),
        ((HostKeyUnknown, HostKeyChanged), 2),
        (NodeAuth, 3),
    )
    return next((step for kind, step in kinds if isinstance(error, kind)), 1)


def _failed(name: str, error: NodeError) -> Iterator[Check]:
    step = _step(error)
    yield from (Check(name, Grade.OK, "well") for name in _STEPS[:step])
    yield _split(_STEPS[step] if step < len(_STEPS) else "reading", name, str(error))


def _split(step: str, node: str, message: str) -> Check:
    """A failed step: the message without the node's name, and what is to be done apart from it.

    Messages end with a colon and what to do; colons in brackets are not meant.
    """
    message = message.removeprefix(f"{node}: ")
    depth, place = 0, -1
    for at, sign in enumerate(message):
        depth = max(0, depth + (sign == "(") - (sign == ")"))
        if depth == 0 and message.startswith(": ", at):
            place = at
    if place < 0:
        return Check(step, Grade.FAIL, message)
    return Check(step, Grade.FAIL, message[:place], message[place + 2 :])


def _probed(node: Node, probe: Probe, took: float, offset: float) -> Iterator[Check]:
    if node.via == "sftp":
        remedy = "install Python 3.6 or later there (Debian: `apt-get install python3`): one round trip a look"
        yield Check("reading", Grade.WARN, f"over SFTP, {took * 1000:.0f} ms", remedy)
    else:
        yield Check("reading", Grade.OK, f"{node.via}, Python {probe.python}, {took * 1000:.0f} ms")
    yield _directory(probe, in_place=node.via == "in place")
    if abs(offset) - took / 2 > CLOCK_SECONDS:
        way = "ahead of" if offset > 0 else "behind"
        found = f"{duration(abs(offset))} {way} this machine's"
        yield Check("clock", Grade.WARN, found, "`timedatectl set-ntp true`, on the one that is wrong")
    else:
        yield Check("clock", Grade.OK, f"{offset:+.1f} s")
    yield from _room(probe.free, probe.total, probe.inodes_free, probe.inodes, probe.root)


def _directory(probe: Probe, *, in_place: bool) -> Check:
    quoted = shlex.quote(probe.root)
    if not probe.exists:
        own = "name another with --metrics-dir, or metrics_dir in"
        other = own if in_place else "set metrics_dir below [node.NAME] of"
        remedy = f"start a training script that writes there, or {other} the settings file"
        return Check("metrics dir", Grade.WARN, f"{probe.root} does not exist yet", remedy)
    if not probe.readable:
        return Check(
            "metrics dir", Grade.FAIL, f"{probe.root} may not be read", f"`chmod u+rx {quoted}` there, as its owner"
        )
    return Check("metrics dir", Grade.OK, probe.root)


def _room(
    free: int | None, total: int | None, inodes_free: int | None, inodes: int | None, place: str
) -> Iterator[Check]:
    yield from _disk("disk", free, total, lambda free: f"{free / (1 << 30):,.1f} GiB", LEAST_FREE, place)
    yield from _disk("inodes", inodes_free, inodes, lambda free: f"{free:,}", LEAST_INODES, place)


def _disk(
    name: str, free: int | None, total: int | None, shown: Callable[[int], str], least: int, place: str
) -> Iterator[Check]:
    if free is None or not total:
        return
    share = free / total
    found = f"{shown(free)} free ({math.floor(100 * share)} %)"
    if free < least or share < LEAST_SHARE:
        largest = f"`du {'--inodes ' if name == 'inodes' else ''}-x {shlex.quote(place)} | sort -n | tail`"
        yield Check(
            name, Grade.WARN, found, f"make room, or the metrics and checkpoints end; {largest} shows what is large"
        )
    else:
        yield Check(name, Grade.OK, found)
