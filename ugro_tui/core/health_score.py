"""How well a node is, from 0 to 100, and why. What is not known neither raises nor lowers it, but is said.

How full a disk may be, how hot a GPU, and how far clocks may differ, alerts judge too: by numbers of the catalogue, as
set by users.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ugro_tui.core.health import DiskHealth, GpuHealth, NodeHealth
from ugro_tui.core.numbers import duration, gibibytes
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.states import NodeState

WELL_FROM = 70
"""A node with less is unwell: one critical reason is enough for that, of the others it takes three."""

CRITICAL, WARNING = 40, 15
"""Points that a reason costs."""

MEMORY_WARN, MEMORY_CRITICAL = 0.10, 0.05
"""Shares of memory that are available (node-mixin, NodeMemoryHighUtilization: above 90 % used)."""

LOAD_PER_CPU = 2.0
"""Load of the last 15 minutes per CPU (node-mixin, NodeSystemSaturation)."""

LATENCY_SECONDS = 1.0
"""A question that takes longer to be answered, without the work for it (our own figure)."""

LATE_SECONDS = 10.0
"""A part that has not answered for so long hangs: twice what a tool such as nvidia-smi is given."""

_HARD = {"hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"}
"""Reasons of throttling that the hardware itself has; `sw_thermal_slowdown` comes before those (NVML reference)."""


NOT_KNOWN = "not known: "
"""Begins what stands behind the reasons."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why points were lost: what is wrong and what to do."""

    points: int
    text: str


def judged(health: NodeHealth, thresholds: Thresholds = DEFAULTS) -> NodeHealth:
    """The same, with its score and the reasons for it, the worst first; behind them what is not known."""
    points, reasons = score(health, thresholds)
    return replace(health, score=points, reasons=reasons)


def score(health: NodeHealth, thresholds: Thresholds = DEFAULTS) -> tuple[int, tuple[str, ...]]:
    """Points from 0 to 100, and the reasons for what is missing, the worst first.

    A node that does not answer has none, whatever was known of it; one that was not asked yet has lost none. Each
    reason costs `CRITICAL` or `WARNING`, however many GPUs or disks share it.
    """
    if health.state in (NodeState.SILENT, NodeState.WAITING, NodeState.PERSON):
        return 0, (health.error or f"{health.node} does not answer: `ugro-tui doctor` says what to do",)
    found = sorted(_reasons(health, thresholds), key=lambda reason: -reason.points)
    points = max(0, 100 - sum(reason.points for reason in found))
    return points, (*(reason.text for reason in found), *_open(health))


def is_well(health: NodeHealth) -> bool:
    """Whether nothing has to be done."""
    return health.score >= WELL_FROM


def _reasons(health: NodeHealth, thresholds: Thresholds) -> Iterator[Reason]:
    yield from _late(health)
    yield from _disks(health.disks, thresholds["disk_filling"])
    yield from _memory(health)
    yield from _gpus(health)
    yield from _heat(health.gpus, thresholds["temperature"])
    yield from _machine(health, thresholds["clock_skew"]["seconds"])
    yield from _stopped(health)


def _open(health: NodeHealth) -> Iterator[str]:
    """What is not known: no reason to lose points, but said."""
    if health.error or math.isnan(health.age):
        yield health.error or "not asked yet"
    yield from (f"{NOT_KNOWN}{one.part}: no answer yet" for one in health.late if one.seconds < LATE_SECONDS)
    yield from (f"{NOT_KNOWN}{what}" for what in health.unknown)


def _late(health: NodeHealth) -> Iterator[Reason]:
    for one in health.late:
        if one.seconds >= LATE_SECONDS:
            remedy = "look at `dmesg` there" if one.part == "GPUs" else "look at its disks and mounts"
            yield Reason(CRITICAL, f"{one.part}: no answer for {duration(one.seconds)}: {remedy}")


def _disks(disks: Sequence[DiskHealth], numbers: Mapping[str, float]) -> Iterator[Reason]:
    shared: dict[object, list[DiskHealth]] = {}
    for place, disk in enumerate(disks):
        shared.setdefault(("own", place) if disk.device is None else disk.device, []).append(disk)
    for same in shared.values():
        disk, roles = same[0], " and ".join(one.role for one in same)
        if points := _short(disk.free, disk.total, numbers):
            room = f"{_percent(disk.free, disk.total)} free ({gibibytes(float(disk.free or 0))})"
            yield Reason(points, f"{roles} disk: {room}: make room at {disk.path}")
        if points := _short(disk.inodes_free, disk.inodes, numbers):
            room = f"{_percent(disk.inodes_free, disk.inodes)} free ({disk.inodes_free or 0:,.0f})"
            yield Reason(points, f"{roles} disk's inodes: {room}: many small files fill {disk.path}: remove some")


def _short(free: int | None, total: int | None, numbers: Mapping[str, float]) -> int:
    """The points that so little room costs. Inodes are judged as bytes are."""
    if free is None or not total or free / total >= max(numbers["warn"], numbers["crit"]):
        return 0
    return CRITICAL if free / total < numbers["crit"] else WARNING


def _percent(free: int | None, total: int | None) -> str:
    return f"{math.floor(100 * (free or 0) / (total or 1))} %"


def _memory(health: NodeHealth) -> Iterator[Reason]:
    free, total = health.memory_available, health.memory_total
    if free is None or not total or free / total >= MEMORY_WARN:
        return
    points = CRITICAL if free / total < MEMORY_CRITICAL else WARNING
    text = (
        f"memory: {math.floor(100 * free / total)} % available ({gibibytes(free)}): fewer workers, or a smaller batch"
    )
    yield Reason(points, text)


def _machine(health: NodeHealth, skew: float) -> Iterator[Reason]:
    load = health.load[2]
    if health.cpus and load > LOAD_PER_CPU * health.cpus:
        yield Reason(WARNING, f"load {load:.1f} on {health.cpus} CPUs for 15 minutes: see who runs there (`top`)")
    doubt = health.latency / 2 if math.isfinite(health.latency) else 0.0
    if abs(health.clock_offset) - doubt > skew:  # beyond what the latency leaves open
        way = "ahead" if health.clock_offset > 0 else "behind"
        text = f"clock {duration(abs(health.clock_offset))} {way}: `timedatectl set-ntp true` where it is wrong"
        yield Reason(WARNING, text)
    if health.latency > LATENCY_SECONDS:
        yield Reason(WARNING, f"a question takes {health.latency:.1f} s: look at its network")


def _stopped(health: NodeHealth) -> Iterator[Reason]:
    stopped = [process for process in health.processes if process.state in ("T", "t")]
    if stopped:
        names = [one.job_id if one.rank is None else f"rank {one.rank} of {one.job_id}" for one in stopped]
        pids = " ".join(str(one.pid) for one in stopped)
        text = f"{', '.join(names)} stopped, not ended: `kill -CONT {pids}` there lets it go on"
        yield Reason(WARNING, text)


def _gpus(health: NodeHealth) -> Iterator[Reason]:
    if health.gpu_error:
        yield Reason(CRITICAL, f"GPUs: {health.gpu_error}: try `nvidia-smi` there, see `dmesg`")
    yield from _each(health.gpus, lambda gpu: gpu.lost, CRITICAL, lambda _: "lost", "restart the node")
    yield from _each(
        health.gpus,
        lambda gpu: bool(gpu.ecc_new),
        CRITICAL,
        lambda gpu: f"{gpu.ecc_new} new uncorrected memory errors",
        "drain the node",
    )
    yield from _each(
        health.gpus, lambda gpu: bool(gpu.remap_failed), CRITICAL, lambda _: "no spare memory rows", "replace the GPU"
    )
    yield from _each(
        health.gpus,
        lambda gpu: bool(gpu.ecc) and not gpu.ecc_new,
        WARNING,
        lambda gpu: f"{gpu.ecc} uncorrected memory errors since the driver was loaded",
        "reset the GPU between jobs",
    )


def _heat(gpus: Sequence[GpuHealth], numbers: Mapping[str, float]) -> Iterator[Reason]:
    yield from _each(
        gpus, lambda gpu: bool(_HARD & {*(gpu.throttle or ())}), CRITICAL, _slowed, "look at cooling and power supply"
    )
    yield from _each(
        gpus, lambda gpu: "sw_thermal_slowdown" in (gpu.throttle or ()), WARNING, _slowed, "look at its cooling"
    )
    yield from _each(
        gpus, lambda gpu: _hot(gpu, numbers), WARNING, lambda gpu: f"{gpu.temp:.0f} °C", "look at its cooling"
    )


def _slowed(gpu: GpuHealth) -> str:
    return f"slowed down ({', '.join(gpu.throttle or ())})"


def _hot(gpu: GpuHealth, numbers: Mapping[str, float]) -> bool:
    """Where the GPU tells where it slows down, so much below that; else by one number for all."""
    limit = numbers["celsius"] if math.isnan(gpu.temp_slowdown) else gpu.temp_slowdown - numbers["margin"]
    return gpu.temp >= limit


def _each(
    gpus: Iterable[GpuHealth],
    holds: Callable[[GpuHealth], bool],
    points: int,
    shown: Callable[[GpuHealth], str],
    remedy: str,
) -> Iterator[Reason]:
    """One reason for all GPUs of which it holds, in the words for the first of them."""
    found = [gpu for gpu in gpus if holds(gpu)]
    if found:
        names = ", ".join(gpu.label for gpu in found)
        yield Reason(points, f"GPU{'s' if len(found) > 1 else ''} {names}: {shown(found[0])}: {remedy}")
