"""How a node is, in the words of a table: the same for the command line and the screen."""

from __future__ import annotations

import math

from ugro_tui.core.health import NO_DRIVER, GpuHealth, NodeHealth
from ugro_tui.core.health_score import NOT_KNOWN
from ugro_tui.core.numbers import UNKNOWN, duration, gibibytes
from ugro_tui.core.states import NodeState


def reach(health: NodeHealth) -> str:
    """How the node answers, and when it is tried again where it is left alone."""
    word = health.brief or health.state.value
    if health.breaker == "open":
        return f"{word}, retry {duration(health.retry)}" if math.isfinite(health.retry) else word
    return f"{word}, tried now" if health.breaker == "half-open" else word


def score(health: NodeHealth) -> str:
    """Its points; of a node that has told nothing yet, and may be well, none."""
    return UNKNOWN if is_open(health) else str(health.score)


def is_open(health: NodeHealth) -> bool:
    """Whether nothing is known of how it is: neither that, nor that it does not answer."""
    return math.isnan(health.age) and health.state in (NodeState.CONNECTING, NodeState.OK)


def latency(health: NodeHealth) -> str:
    """How long a question and its answer took."""
    return UNKNOWN if math.isnan(health.latency) else f"{health.latency * 1000:.0f} ms"


def clock_offset(health: NodeHealth) -> str:
    """How far the node's clock is ahead of ours."""
    return UNKNOWN if math.isnan(health.clock_offset) else f"{health.clock_offset:+.1f} s"


def load(health: NodeHealth) -> str:
    """The load of the last minute, and the processors that carry it."""
    return UNKNOWN if math.isnan(health.load[0]) else f"{health.load[0]:.1f}/{health.cpus or UNKNOWN}"


def memory_used(health: NodeHealth) -> float:
    """The share of the memory that is in use, 0 to 1; NaN where it is not known."""
    total, available = health.memory_total, health.memory_available
    return 1 - available / total if total and available is not None else math.nan


def memory(health: NodeHealth) -> str:
    """How much of the memory is in use."""
    used = memory_used(health)
    return UNKNOWN if math.isnan(used) else f"{100 * used:.0f}% of {gibibytes(health.memory_total or math.nan)}"


def disk_free(health: NodeHealth) -> float:
    """The free share of the fullest disk, 0 to 1; NaN where none is known."""
    free = [disk.free / disk.total for disk in health.disks if disk.total and disk.free is not None]
    return min(free, default=math.nan)


def disk(health: NodeHealth) -> str:
    """How much is free on the fullest disk, rounded down: a full disk has 0 %."""
    free = disk_free(health)
    return UNKNOWN if math.isnan(free) else f"{math.floor(100 * free)}% free"


def reason(health: NodeHealth) -> str:
    """The worst of its reasons, and how many others there are."""
    if not health.reasons:
        return ""
    others = sum(not other.startswith(NOT_KNOWN) for other in health.reasons[1:])
    return health.reasons[0] + (f" (+{others} more)" if others else "")


def gpus(health: NodeHealth) -> str:
    """How many GPUs answer, how busy they are on average, and how hot the hottest is."""
    if not health.gpus:
        return "0" if health.gpus_known else UNKNOWN
    there = sum(not gpu.lost for gpu in health.gpus)
    count = str(there) if there == len(health.gpus) else f"{there} of {len(health.gpus)}"
    return f"{count}, {gpus_use(health)}"


def gpus_use(health: NodeHealth) -> str:
    """How busy its GPUs are on average, and how hot the hottest is."""
    busy = [gpu.util for gpu in health.gpus if not math.isnan(gpu.util)]
    hottest = max((gpu.temp for gpu in health.gpus if not math.isnan(gpu.temp)), default=math.nan)
    return f"{percent(sum(busy) / len(busy) if busy else math.nan)}, {degrees(hottest)}"


def gpus_free(health: NodeHealth) -> str:
    """How many of the GPUs nobody uses."""
    there = [gpu for gpu in health.gpus if not gpu.lost]
    if not there:
        return "none" if health.gpus_known or any(NO_DRIVER in one for one in health.unknown) else UNKNOWN
    free = sum(not gpu.busy for gpu in there)
    return f"{free} free" if free == len(there) else f"{free} of {len(there)} free"


def space(health: NodeHealth) -> str:
    """What is free on the disk that metrics are written to."""
    found = health.disk("metrics")
    return gibibytes(math.nan if found is None or found.free is None else found.free)


def gpu_line(gpu: GpuHealth) -> str:
    """One GPU with all that is known of it."""
    if gpu.lost:
        return f"{gpu.name} lost".strip()
    used, total = (gibibytes(math.nan if size is None else size) for size in (gpu.mem_used, gpu.mem_total))
    power = UNKNOWN if math.isnan(gpu.power) else f"{gpu.power:.0f} W"
    limit = "" if math.isnan(gpu.power_limit) else f" of {gpu.power_limit:.0f} W"
    slowed = f", slowed down: {', '.join(gpu.throttle)}" if gpu.throttle else ""
    return f"{gpu.name}: {percent(gpu.util)}, {used} of {total}, {degrees(gpu.temp)}, {power}{limit}{slowed}"


def percent(value: float) -> str:
    """A share in %."""
    return UNKNOWN if math.isnan(value) else f"{value:.0f}%"


def degrees(value: float) -> str:
    """A temperature in degrees Celsius."""
    return UNKNOWN if math.isnan(value) else f"{value:.0f} °C"
