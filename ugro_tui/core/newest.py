"""The newest values of a rank, from the records and from the heartbeats, which tell of the GPU."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.records import Heartbeat, Matrix

GPU_COLUMNS: Final = (
    ("util", Column.GPU_UTIL),
    ("mem_used", Column.GPU_MEM_USED),
    ("mem_total", Column.GPU_MEM_TOTAL),
    ("temp", Column.GPU_TEMP),
    ("power", Column.GPU_POWER),
    ("power_limit", Column.GPU_POWER_LIMIT),
    ("ecc", Column.GPU_ECC),
    ("throttle", Column.GPU_THROTTLE),
)
"""What of a heartbeat's `gpu` has a column."""

_STICKY: Final = range(Column.GPU_UTIL, Column.GPU_THROTTLE + 1)
"""Columns that keep their value where a record has none: the heartbeat samples the GPU more often than records do."""

WAITING_PHASES: Final = ("backward", "sync_wait")
"""Phases in which a rank waits for the others where one does not come: their gradients meet there."""


@dataclass(slots=True)
class LastBeat:
    """What is kept of the newest heartbeat of a rank beside its row of `Beat`; fields as in `Heartbeat`."""

    run_id: str
    pid: int | None
    pid_start: int | None
    state: str
    phase: str
    dropped: int
    ts: float
    _names: tuple[str, ...]
    _values: bytes

    @classmethod
    def of(cls, beat: Heartbeat) -> LastBeat:
        """What is to be kept of this one."""
        values = struct.pack(f"{len(beat.gpu)}d", *beat.gpu.values())
        return cls(
            beat.run_id, beat.pid, beat.pid_start, beat.state, beat.phase, beat.dropped, beat.ts,
            _shared(tuple(beat.gpu)), values,
        )  # fmt: skip

    @property
    def gpu(self) -> dict[str, float]:
        """The numbers of its GPU by their names."""
        return dict(zip(self._names, struct.unpack(f"{len(self._names)}d", self._values), strict=True))


@lru_cache(maxsize=256)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same names as one object: all ranks tell the same."""
    return names


def newest(rows: Matrix, before: Matrix) -> Matrix:
    """The last of `rows`; in sticky columns the last value that there is, in `rows` or `before` them."""
    found: Matrix = rows[-1].copy()
    values = found[_STICKY.start : _STICKY.stop].tolist()
    for column in [column for column, value in zip(_STICKY, values, strict=True) if value != value]:
        told = [value for value in rows[:-1, column].tolist() if value == value] if len(rows) > 1 else []
        found[column] = told[-1] if told else before[column]
    return found


def beat_row(heartbeat: Heartbeat) -> list[float]:
    """What a heartbeat says of its machine, in the order of `Beat`."""
    gpu = [heartbeat.gpu.get(name, np.nan) for name in ("temp_slowdown", "remap_failed", "lost")]
    machine = [heartbeat.rss, heartbeat.mem_total, heartbeat.disk_free, heartbeat.disk_total]
    return [*machine, *gpu, heartbeat.step, float(heartbeat.phase in WAITING_PHASES)]
