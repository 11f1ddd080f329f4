"""What a rank wrote, decoded: runs of step rows and the single events between them, in file order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ugro_tui.core.vital import Vital as Vital

PROTOCOL_VERSION = 1

Matrix: TypeAlias = npt.NDArray[np.float64]
"""Step rows, shape `[rows, WIDTH]`; columns as in `core.columns.Column`."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Consecutive step records of one rank. `metrics` holds the newest value of each of the user's own scalars."""

    rows: Matrix
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Start:
    """A process began to write: a new run of this rank. `seq` is -1, here and below, where the record had none."""

    seq: int
    ts: float
    run_id: str
    attempt: int
    world_size: int | None
    host: str
    pid: int | None
    gpu_name: str
    total_steps: int | None
    emit_every: int
    pid_start: int | None = None
    local_rank: int | None = None
    gpu_index: int | None = None
    gpu_uuid: str = ""


CHECKPOINT: Final = "checkpoint"
"""The phase in which the state of a run is saved."""


@dataclass(frozen=True, slots=True)
class PhaseMark:
    """A declared phase (`eval`, `checkpoint`) began or ended; stall rules pause in between."""

    seq: int
    ts: float
    name: str
    begins: bool


@dataclass(frozen=True, slots=True)
class End:
    """A process said how it ended: `completed`, `failed` or `stopped`. `dropped` counts its lost records."""

    seq: int
    ts: float
    status: str
    error_type: str
    error_message: str
    dropped: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A record of a kind that this version does not know: all it tells is that no line was lost in its place."""

    seq: int
    ts: float
    kind: str


Item: TypeAlias = Steps | Start | PhaseMark | End | Unknown


@dataclass(frozen=True, slots=True)
class Tally:
    """What decoding had to count. Nothing here is fatal; all of it is shown.

    `lines` are those that were not blank, `skipped` those of them that nothing could be read from.
    """

    lines: int = 0
    skipped: int = 0
    unknown_kinds: int = 0
    unknown_versions: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.lines + other.lines,
            self.skipped + other.skipped,
            self.unknown_kinds + other.unknown_kinds,
            self.unknown_versions + other.unknown_versions,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """The decoded form of some whole lines of one rank's metrics file."""

    items: tuple[Item, ...] = ()
    tally: Tally = Tally()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A rank's heartbeat file. `step_age` is in seconds by the node's own monotonic clock, at the time of writing.

    Sizes are in bytes, NaN where not known: `mem_total` of the machine's RAM, `disk_total` of the disk that has
    `disk_free`. `gpu` holds the numbers of the protocol's `gpu` by their names, `remap_failed` and `lost` as 0 or 1,
    `throttle` as a `core.columns.Throttle`; what is not known is absent. `ts` is Unix seconds by the node's clock.
    """

    run_id: str
    pid: int | None
    step: float
    step_age: float
    state: str
    phase: str
    rss: float
    disk_free: float
    dropped: int
    gpu: Mapping[str, float]
    ts: float = math.nan
    pid_start: int | None = None
    mem_total: float = math.nan
    disk_total: float = math.nan


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """A torch elastic error file: what a rank raised, and when (Unix seconds; the earliest is the cause)."""

    message: str
    traceback: str
    ts: float

    def precedes(self, start: float) -> bool:
        """Whether it is of a run before the one that started at `start` (Unix seconds, of the same clock).

        torch writes whole seconds. Without both times it is taken for news.
        """
        return self.ts + 1 < start


@dataclass(frozen=True, slots=True)
class Manifest:
    """job.json: what a launcher wrote about the job. Numbers that it does not know are None.

    `exits`: the exit codes of the ranks that failed, minus the signal's number where a signal ended them. `said`: why
    the job waits, where a queue keeps it. `orphaned`: nodes where torchrun has ended and ranks go on without it, with
    its exit code, or minus the number of the signal that ended it.
    """

    backend: str
    status: str
    attempt: int
    world_size: int | None
    command: tuple[str, ...]
    exit_code: int | None
    started: float | None
    ended: float | None
    exits: Mapping[int, int] = field(default_factory=dict)
    said: str = ""
    orphaned: Mapping[str, int] = field(default_factory=dict)
