"""The numbers of a step record as columns of a float64 matrix; NaN where a record has none.

A value that is missing and a value that is NaN would look alike, so the loss keeps its own flag column.
"""

from __future__ import annotations

from enum import IntEnum
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
    GPU_UTIL = 15
    GPU_MEM_USED = 16
    GPU_MEM_TOTAL = 17
    GPU_TEMP = 18
    GPU_POWER = 19
    BAD = 20
    """1 where the record carried a loss or gradient norm that is NaN or infinite, else 0."""


WIDTH: Final = len(Column)

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
GPU_FIELDS: Final = ("util", "mem_used", "mem_total", "temp", "power")
