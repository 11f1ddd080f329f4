"""What a node says of its health, taken apart: nothing of it is believed, and what makes no sense is not known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ugro_tui.core.fields import integer, number
from ugro_tui.core.health import NO_DRIVER, DiskHealth, GpuHealth, JobProcess, Late, NodeHealth
from ugro_tui.core.jobid import is_job_id
from ugro_tui.core.states import NodeState
from ugro_tui.core.text import visible

MAX_GPUS, MAX_PROCESSES = 256, 1024
_MAX_PATH, _MAX_NAME, _MAX_ERROR = 300, 80, 300
_MOST = 2**62
"""No machine has so many bytes of anything."""

THROTTLE = {
    0x2: "applications_clocks",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clocks",
}
"""NVML's clock event reasons (nvml.h, nvmlClocksEventReason*) but idleness (0x1), which slows nothing down."""

DISKS = ("metrics", "home", "central")
PARTS = {"machine": "load and memory", "processes": "processes of jobs", "gpus": "GPUs"}
PARTS |= {role: f"{role} directory" for role in DISKS}
"""The parts of a node that are asked, as people call them."""


def told(node: str, words: object, latency: float = math.nan, clock_offset: float = math.nan) -> NodeHealth:
    """What `node` says of itself in the words of `helper_health.tell`; whatever they are, this raises nothing.

    `latency` in seconds; `clock_offset`: seconds by which its clock is ahead.
    """
    parts = _mapping(_mapping(words).get("parts"))
    values = {name: _mapping(parts.get(name)).get("value") for name in PARTS}
    machine, gpus = _mapping(values["machine"]), _mapping(values["gpus"])
    late = tuple(_late(parts))
    return NodeHealth(
        node,
        age=0.0,
        state=NodeState.OK,
        latency=latency,
        clock_offset=clock_offset,
        load=_load(machine.get("load")),
        cpus=_count(machine.get("cpus")) or None,
        memory_total=_count(machine.get("total")),
        memory_available=_within(machine.get("available"), machine.get("total")),
        disks=tuple(_disk(role, values[role]) for role in DISKS if isinstance(values[role], Mapping)),
        gpus=tuple(map(_gpu, islice(_mappings(gpus.get("gpus")), MAX_GPUS))),
        gpus_known=isinstance(gpus.get("gpus"), list) and not gpus.get("error"),
        gpu_error=_text(gpus.get("error"), _MAX_ERROR),
        processes=tuple(islice(_processes(values["processes"]), MAX_PROCESSES)),
        late=late,
        unknown=tuple(_unknown(words, parts, late)),
    )


def _late(parts: Mapping[str, Any]) -> Iterator[Late]:
    for name, shown in PARTS.items():
        seconds = number(_mapping(parts.get(name)).get("late"))
        if 0.0 <= seconds < math.inf:
            yield Late(shown, seconds)


def _unknown(words: object, parts: Mapping[str, Any], late: Sequence[Late]) -> Iterator[str]:
    if failed := _text(_mapping(words).get("failed"), _MAX_ERROR):
        yield f"health: {failed}"
        return
    for name, shown in PARTS.items():
        part = _mapping(parts.get(name))
        value = _mapping(part.get("value"))
        error = _text(part.get("error"), _MAX_ERROR) or _text(value.get("untold"), _MAX_ERROR)
        if value.get("absent") is True:
            yield f"{shown}: {NO_DRIVER}"
        elif error or (part.get("value") is None and name in parts and shown not in {one.part for one in late}):
            yield f"{shown}: {error or 'not told'}"


def _disk(role: str, value: object) -> DiskHealth:
    words = _mapping(value)
    return DiskHealth(
        role,
        _text(words.get("path"), _MAX_PATH),
        total=_count(words.get("total")),
        free=_within(words.get("free"), words.get("total")),
        inodes=_count(words.get("inodes")),
        inodes_free=_within(words.get("inodes_free"), words.get("inodes")),
        device=_count(words.get("device")),
    )


def _gpu(words: Mapping[str, Any]) -> GpuHealth:
    remapped = words.get("remap_failed")
    bits = _count(words.get("throttle"))
    return GpuHealth(
        index=_count(words.get("index")),
        uuid=_text(words.get("uuid"), _MAX_NAME),
        name=_text(words.get("name"), _MAX_NAME),
        util=_measure(words.get("util"), 100.0),
        mem_used=_within(words.get("mem_used"), words.get("mem_total")),
        mem_total=_count(words.get("mem_total")),
        temp=_measure(words.get("temp"), 1000.0),
        temp_slowdown=_measure(words.get("temp_slowdown"), 1000.0),
        power=_measure(words.get("power"), 1e6),
        power_limit=_measure(words.get("power_limit"), 1e6),
        throttle=None if bits is None else tuple(name for bit, name in THROTTLE.items() if bits & bit),
        ecc=_count(words.get("ecc")),
        remap_failed=remapped if isinstance(remapped, bool) else None,
        lost=words.get("lost") is True,
    )


def _processes(value: object) -> Iterator[JobProcess]:
    for words in _mappings(value):
        job, pid = words.get("job"), _count(words.get("pid"))
        if not isinstance(job, str) or not is_job_id(job) or not pid:
            continue
        state = _text(words.get("state"), 1)
        rank = _count(words.get("rank"))
        yield JobProcess(job, rank, pid, _measure(words.get("cpu"), 1e7), _count(words.get("rss")), state)


def _load(value: object) -> tuple[float, float, float]:
    means = list(value[:3]) if isinstance(value, list | tuple) else []
    one, five, fifteen = (_measure(mean, 1e9) for mean in [*means, None, None, None][:3])
    return one, five, fifteen


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    entries: Sequence[object] = value if isinstance(value, list | tuple) else ()
    return (entry for entry in entries if isinstance(entry, Mapping))


def _text(value: object, most: int) -> str:
    return visible(value, most) if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    """A count or a size; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value <= _MOST else None
    found = None if isinstance(value, bool) else integer(value)
    return found if found is not None and found >= 0 else None


def _within(value: object, whole: object) -> int | None:
    """A part of a whole, where it is known and not more than that."""
    part, most = _count(value), _count(whole)
    return part if part is not None and most is not None and part <= most else None


def _measure(value: object, most: float) -> float:
    """A measured value from 0 to `most`; NaN for what is none."""
    found = math.nan if isinstance(value, bool | str) else number(value)
    return found if 0.0 <= found <= most else math.nan
