"""The numbers of a step record as columns of a float64 matrix; NaN where a record has none.

A value that is missing and a value that is NaN would look alike, so the loss keeps its own flag column.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import Final


class Column(IntEnum):
    """Column numbers of every step matrix (shape `[rows, len(Column)]`, float64)."""

    SEQ = 0
    TS = 1
    STEP = 2
    LOSS = 3
    LR = 4
    GRAD_NORM = 5
    THROUGHPUT = 6
    STEP_TIME = 7
    EPOCH = 8
    TOKENS = 9
    DATA = 10
    FORWARD = 11
    BACKWARD = 12
    SYNC_WAIT = 13
    OPTIMIZER = 14
    BAD = 15
    """2 where the record carried a loss that is NaN or infinite, 1 where only its gradient norm was, else 0."""
    SKIPPED = 16
    """`metrics.skipped`: steps that loss scaling left out, since the run began or of this record."""
    GPU_UTIL = 17
    GPU_MEM_USED = 18
    GPU_MEM_TOTAL = 19
    GPU_TEMP = 20
    GPU_POWER = 21
    GPU_POWER_LIMIT = 22
    GPU_ECC = 23
    """Uncorrected memory errors since the driver was loaded."""
    GPU_THROTTLE = 24
    """The reasons in force, as a `Throttle`; 0 for none."""


class Beat(IntEnum):
    """What the newest heartbeat of each rank says of its machine, as columns; NaN where it says nothing."""

    RSS = 0
    """Memory of the process, bytes."""
    RAM = 1
    """Memory of the machine, bytes."""
    DISK_FREE = 2
    DISK_TOTAL = 3
    """Of the disk that has the job's folder, bytes."""
    TEMP_SLOWDOWN = 4
    """Degrees Celsius at which the GPU slows down."""
    REMAP_FAILED = 5
    LOST = 6
    """1 where the GPU could not remap broken rows, or is lost; else 0."""
    STEP = 7
    WAITS = 8
    """1 where the training thread is in a phase that waits for other ranks, else 0; NaN before the first heartbeat."""


WIDTH: Final = len(Column)

HISTORY_WIDTH: Final = int(Column.GPU_UTIL)
"""The first columns, of which histories are kept; of a GPU only the newest values are asked for."""

MAX_COUNT: Final = 2**53
"""Beyond this float64 skips whole numbers: a step or a `seq` of that size is damage."""

TOP_FIELDS: Final = (
    "seq",
    "ts",
    "step",
    "loss",
    "lr",
    "grad_norm",
    "throughput",
    "step_time",
    "epoch",
    "tokens",
)
PHASE_FIELDS: Final = ("data", "forward", "backward", "sync_wait", "optimizer")
GPU_FIELDS: Final = ("util", "mem_used", "mem_total", "temp", "power", "power_limit", "ecc")


class Throttle(IntFlag):
    """Why a GPU runs slower than it could: NVML's clock event reasons, by NVML's bits.

    In lower case they are the names of the protocol.
    """

    APPLICATIONS_CLOCKS = 0x2
    SW_POWER_CAP = 0x4
    HW_SLOWDOWN = 0x8
    SYNC_BOOST = 0x10
    SW_THERMAL_SLOWDOWN = 0x20
    HW_THERMAL_SLOWDOWN = 0x40
    HW_POWER_BRAKE_SLOWDOWN = 0x80
    DISPLAY_CLOCKS = 0x100


_BITS: Final[dict[object, int]] = {reason.name.lower(): int(reason) for reason in Throttle if reason.name}


def throttle_mask(names: Iterable[object]) -> float:
    """The reasons of these names as one number; names that this version does not know are passed over."""
    return float(sum({_BITS.get(name, 0) for name in names if isinstance(name, str)}))
