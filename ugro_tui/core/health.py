"""How a node is: what it says of its machine, disks, GPUs and the processes of its jobs. `health_score` judges it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from ugro_tui.core.states import NodeState

CENTRAL = "central directory"
"""The name under which the disk of the central directory is told; no node can have it, as it holds a space."""

NO_DRIVER = "no NVIDIA driver"
"""What `NodeHealth.unknown` says of the GPUs of a machine that has none of NVIDIA's: that is no fault."""

BUSY_SHARE = 0.1
"""Of a GPU's memory, beyond which somebody uses it: what a driver takes for itself is less."""


@dataclass(frozen=True, slots=True)
class DiskHealth:
    """The disk that holds a directory. `role`: `metrics`, `home` or `central`; bytes and inodes, None where not known.

    `free` is what users may still write. Two roles with the same `device` share a disk.
    """

    role: str
    path: str
    total: int | None = None
    free: int | None = None
    inodes: int | None = None
    inodes_free: int | None = None
    device: int | None = None


@dataclass(frozen=True, slots=True)
class GpuHealth:
    """One GPU, by NVML's index. Bytes, °C and W; NaN and None where not known.

    `temp_slowdown`: where the GPU begins to slow itself down. `throttle`: names of the reasons that slow it down now
    (those of the emitter's protocol). `ecc`: uncorrected memory errors since the driver was loaded, `ecc_new`: those
    that came while this application watched. `remap_failed`: no spare memory rows are left. `lost`: it has fallen off
    the bus, or was there before and is no more.
    """

    index: int | None = None
    uuid: str = ""
    name: str = ""
    util: float = math.nan
    mem_used: int | None = None
    mem_total: int | None = None
    temp: float = math.nan
    temp_slowdown: float = math.nan
    power: float = math.nan
    power_limit: float = math.nan
    throttle: tuple[str, ...] | None = None
    ecc: int | None = None
    ecc_new: int | None = None
    remap_failed: bool | None = None
    lost: bool = False

    @property
    def busy(self) -> bool:
        """Whether its memory tells that somebody uses it."""
        return self.mem_used is not None and self.mem_used > BUSY_SHARE * (self.mem_total or 0)

    @property
    def label(self) -> str:
        """How people call it on its node."""
        return "?" if self.index is None else str(self.index)


@dataclass(frozen=True, slots=True)
class JobProcess:
    """A process of a job: the outermost one of each rank; `rank` is None for what runs no rank, such as torchrun.

    `cpu`: % of one core since the look before, at the first look since the process began. `rss`: bytes of memory.
    `state`: the kernel's letter (R running, S sleeping, D waiting for a device, T stopped).
    """

    job_id: str
    rank: int | None
    pid: int
    cpu: float = math.nan
    rss: int | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class Late:
    """A part of the node that was asked, and has not answered for so many seconds."""

    part: str
    seconds: float


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """How a node is, as it was told last. Seconds, bytes and inodes; NaN and None where not known.

    `age`: since it was told (NaN: never). `state`, `brief` and `error`: how the node answers at present, as in
    `NodeView`; an error may also be the health's alone, in the state OK. `breaker`: `closed`, `open` (the node is left
    alone) or `half-open` (the next question decides), `retry`: seconds until the next try. `latency`: of a question and
    its answer. `clock_offset`: the node's clock minus ours, to half the latency. `load`: means of 1, 5 and 15 minutes.
    `gpus_known`: whether `gpus` are all that there are. `gpu_error`: the fault for which they, or some, are not known.
    `late`: what was asked and has not answered yet. `unknown`: what is not known otherwise, and why. `score`: 0 to 100;
    `reasons` for it, the worst first, and behind them what is not known.
    """

    node: str
    age: float = math.nan
    state: NodeState = NodeState.CONNECTING
    brief: str = ""
    error: str = ""
    breaker: str = "closed"
    retry: float = math.nan
    latency: float = math.nan
    clock_offset: float = math.nan
    load: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    cpus: int | None = None
    memory_total: int | None = None
    memory_available: int | None = None
    disks: tuple[DiskHealth, ...] = ()
    gpus: tuple[GpuHealth, ...] = ()
    gpus_known: bool = False
    gpu_error: str = ""
    processes: tuple[JobProcess, ...] = ()
    late: tuple[Late, ...] = ()
    unknown: tuple[str, ...] = ()
    score: int = 100
    reasons: tuple[str, ...] = field(default=())

    def disk(self, role: str) -> DiskHealth | None:
        """The disk of that role, if it is known."""
        return next((disk for disk in self.disks if disk.role == role), None)


def remembered(before: tuple[GpuHealth, ...], now: tuple[GpuHealth, ...]) -> tuple[GpuHealth, ...]:
    """The GPUs `now`, with what only several looks tell: those that are gone (`lost`), and errors since (`ecc_new`)."""
    old = {gpu.uuid or gpu.label: gpu for gpu in before}
    found = [_with_growth(gpu, old.pop(gpu.uuid or gpu.label, None)) for gpu in now]
    places = {gpu.index for gpu in now if gpu.lost or not gpu.uuid}  # a lost GPU may no longer tell its UUID
    gone = [GpuHealth(gpu.index, gpu.uuid, gpu.name, lost=True) for gpu in old.values() if gpu.index not in places]
    return tuple(sorted([*found, *gone], key=lambda gpu: (gpu.index is None, gpu.index or 0, gpu.uuid)))


def _with_growth(gpu: GpuHealth, before: GpuHealth | None) -> GpuHealth:
    if gpu.ecc is None:
        return gpu if before is None else replace(gpu, ecc_new=before.ecc_new)
    if before is None or before.ecc is None:
        return replace(gpu, ecc_new=0 if before is None else before.ecc_new)
    # The counter begins anew with the driver; what came since is then all of it.
    grown = gpu.ecc - before.ecc if gpu.ecc >= before.ecc else gpu.ecc
    return replace(gpu, ecc_new=(before.ecc_new or 0) + grown)
