"""`RankView`: all that is known of one rank, for the screen, the command line and the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ugro_tui.core.alerts import Alert
from ugro_tui.core.beside import Beside
from ugro_tui.core.records import ErrorReport


@dataclass(frozen=True, slots=True)
class Identity:
    """Who it is. `node` is the node as users call it, `host` what the process says; empty, or None: not known."""

    node: str = ""
    host: str = ""
    pid: int | None = None
    run_id: str = ""
    attempt: int = 1
    local_rank: int | None = None
    gpu_name: str = ""
    gpu_index: int | None = None
    gpu_uuid: str = ""


@dataclass(frozen=True, slots=True)
class Ages:
    """Seconds since its last step (before the first: its start), its last write, and the last answer of its node."""

    step: float
    write: float
    poll: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """What its newest heartbeat says; sizes in bytes, NaN where not known. `gpu`: as `Heartbeat.gpu`.

    `process`: what its node says of the process since it fell silent; `throttle`: why its GPU is slower than it could.
    """

    state: str
    phase: str
    rss: float
    ram: float
    disk_free: float
    disk_total: float
    process: str
    throttle: tuple[str, ...]
    gpu: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Counts:
    """Records told, and how many of them hold no finite number; records lost on the way, dropped by the emitter, lines
    that could not be read; steps that loss scaling left out (NaN: not told)."""

    records: int = 0
    non_finite: int = 0
    lost: int = 0
    dropped: int = 0
    skipped: int = 0
    skipped_steps: float = float("nan")


@dataclass(frozen=True, slots=True)
class Begun:
    """A start of its process: when (Unix seconds by the node's clock), and how that process ended; empty: it has not.

    `step`: the step that the run had come to by then, NaN before the first.
    """

    at: float
    step: float
    ended: str


@dataclass(frozen=True, slots=True)
class RankView:
    """One rank in full. `why` says why it is in this state; `seen`: whether it has written anything yet.

    `numbers` and `phases` stand beside those of the other ranks of the newest attempt; `stands_out` is the phase that
    costs it the most beyond the others, in words. `alerts` are those about it or its node, `metrics` its own scalars.
    """

    job_id: str
    rank: int
    world_size: int
    seen: bool
    state: str
    why: str
    identity: Identity = Identity()
    ages: Ages = Ages(float("nan"), float("nan"), float("nan"))
    pulse: Pulse | None = None
    numbers: tuple[Beside, ...] = ()
    loss_bad: bool = False
    min_loss: float = float("nan")
    avg_throughput: float = float("nan")
    metrics: Mapping[str, float] | None = None
    phases: tuple[Beside, ...] = ()
    stands_out: str = ""
    counts: Counts = Counts()
    starts: tuple[Begun, ...] = ()
    error: ErrorReport | None = None
    alerts: tuple[Alert, ...] = ()
