"""Moments of a run, made from records as a node would send them: for snapshots, pilot tests and the gallery."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ugro_tui.core.archive import Finding, Found, Inquiry
from ugro_tui.core.commands import Command, Ticket
from ugro_tui.core.decode import decode
from ugro_tui.core.job import JobState
from ugro_tui.core.records import Heartbeat
from ugro_tui.core.snapshot import NodeView, Snapshot, curve_of, view
from ugro_tui.ui.app import UgroApp

NOW = 10_000.0
WALL = 1_790_000_000.0
"""What the wall clock shows, Unix seconds."""
BEGUN = WALL - 3_600.0
"""When runs began, Unix seconds."""
STEP_SECONDS = 0.25
PLACE = "~/ugro_data/jobs"
Record = dict[str, object]


@dataclass
class FakeFeed:
    """A feed that shows what a test hands it and keeps what was asked of it."""

    current: Snapshot
    asked: list[Command] = field(default_factory=list)

    @property
    def first(self) -> str | None:
        """The job that comes first, if there is one."""
        return self.current.jobs[0].job_id if self.current.jobs else None

    def snapshot(self) -> Snapshot:
        """What the test set last."""
        return self.current

    def request(self, command: Command) -> Ticket:
        """Keep the command."""
        self.asked.append(command)
        return Ticket(len(self.asked), command)


@dataclass
class FakeArchive:
    """An archive that knows what a test hands it, and is reading all else; it keeps what was asked of it."""

    findings: dict[Inquiry[Any], Finding[Any]] = field(default_factory=dict)
    asked: list[Inquiry[Any]] = field(default_factory=list)

    def look(self, inquiry: Inquiry[Found]) -> Finding[Found]:
        """What the test set."""
        self.asked.append(inquiry)
        return self.findings.get(inquiry, Finding())


def app_of(
    feed: FakeFeed, job_id: str | None = None, seconds: Iterable[float] = (), archive: FakeArchive | None = None
) -> UgroApp:
    """The application on `feed`; its clock reads the last of `seconds` (a list that a test may add to)."""
    files = archive or FakeArchive()
    return UgroApp(
        feed, place=PLACE, archive=files, job=job_id, clock=lambda: max(seconds, default=0.0), wall=lambda: WALL
    )


@dataclass(frozen=True)
class Run:
    """How a synthetic run looks; `odd` maps (rank, step) to fields that differ there."""

    job_id: str = "gpt2-small"
    ranks: int = 4
    steps: int = 300
    total: int = 500
    per_node: int = 8
    gpu: bool = True
    phase: str = ""
    odd: Mapping[tuple[int, int], Record] = field(default_factory=dict)
    ends: Mapping[int, Record] = field(default_factory=dict)
    ages: Mapping[int, float] = field(default_factory=dict)
    hosts: Callable[[int], str] = lambda rank: f"node{rank // 8}"
    shift: float = 0.0
    """By how much its loss is above that of the other runs."""
    remote: bool = False
    """Whether each host is a node that is read by its name."""


def job(run: Run) -> JobState:
    """The state of a job after it wrote what `run` says, a moment before NOW."""
    state = JobState(run.job_id)
    for rank in range(run.ranks):
        at, source = NOW - run.ages.get(rank, 0.4), run.hosts(rank) if run.remote else "local"
        lines = b"".join(orjson.dumps(record) + b"\n" for record in records(run, rank))
        state.apply(rank, decode(lines), at, source)
        beat = Heartbeat(f"run-{rank}", 100 + rank, run.steps, 0.0, "running", run.phase, 2e9, 1e12, 0, {})
        state.apply_heartbeat(rank, beat, at, source)
    return state


def loss_at(step: int) -> float:
    """The loss of all runs, without noise."""
    return 2.3 + 7.0 * math.exp(-step / 90)


def records(run: Run, rank: int) -> Iterable[Record]:
    """The lines of one rank."""
    noise = random.Random(rank)
    gpu = {"index": rank, "uuid": f"GPU-{rank}", "name": "NVIDIA H100", "memory_total": 80 << 30} if run.gpu else None
    common: Record = {"v": 1, "rank": rank}
    yield common | {
        "kind": "start", "seq": 0, "ts": BEGUN, "run_id": f"run-{rank}", "job_id": run.job_id, "attempt": 1,
        "local_rank": rank % 8, "world_size": run.ranks, "host": run.hosts(rank), "pid": 100 + rank, "gpu": gpu,
        "total_steps": run.total, "emit_every": 1, "versions": {},
    }  # fmt: skip
    for step in range(1, run.steps + 1):
        loss = loss_at(step) + run.shift + noise.gauss(0, 0.06)
        sample = {"util": 90 + rank % 8, "mem_used": 61 << 30, "mem_total": 80 << 30, "temp": 66, "power": 610.0}
        yield common | {
            "kind": "step", "seq": step, "ts": BEGUN + step * STEP_SECONDS, "step": step, "loss": loss, "lr": 3e-4,
            "grad_norm": 1.0 + noise.random() / 5, "throughput": 16_384 + 100.0 * noise.random(),
            "step_time": STEP_SECONDS, "epoch": 0, "tokens": step * 4096,
            "gpu": sample if run.gpu else None, "metrics": {},
            "phases": {"data": 0.004, "forward": 0.07, "backward": 0.14, "sync_wait": 0.02, "optimizer": 0.01},
        } | run.odd.get((rank, step), {})  # fmt: skip
    if run.phase:
        yield common | {"kind": "phase", "seq": run.steps + 1, "ts": BEGUN + 80.0, "name": run.phase, "state": "begin"}
    if rank in run.ends:
        at = BEGUN + run.steps * STEP_SECONDS + 3.0 + rank
        end: Record = {"kind": "end", "seq": run.steps + 1, "ts": at, "error": None, "dropped": 0}
        yield common | end | run.ends[rank]


def snapshot(*jobs: JobState, version: int = 1, error: str = "", listed: tuple[str, ...] = ()) -> Snapshot:
    """A snapshot of these jobs at NOW."""
    views = tuple(view(state, NOW, curve_of(state)) for state in jobs)
    nodes = (NodeView("local", math.nan if error else 0.4, error),)
    return Snapshot(version=version, now=NOW, jobs=views, listed=listed, nodes=nodes, cycles=1)


def ended(ranks: int, **record: object) -> dict[int, Record]:
    """The same `end` record for every rank."""
    return {rank: dict(record) for rank in range(ranks)}


COMPLETED: Record = {"status": "completed"}
CRASH: Record = {
    "status": "failed",
    "error": {"type": "OutOfMemoryError", "message": "CUDA out of memory: tried to allocate 2.5 GiB"},
}


def healthy() -> Snapshot:
    """Sixteen ranks on two nodes, all well."""
    return snapshot(job(Run(ranks=16)))


def small() -> Snapshot:
    """Two ranks without a GPU, as in the demo on a laptop."""
    return snapshot(job(Run("demo-20260101-120000", ranks=2, steps=180, gpu=False, hosts=lambda _: "laptop")))


def non_finite() -> Snapshot:
    """A loss that is no number any more on one rank."""
    odd: dict[tuple[int, int], Record] = {(2, step): {"loss": "NaN", "grad_norm": "NaN"} for step in range(290, 301)}
    return snapshot(job(Run(ranks=8, odd=odd)))


def stalled() -> Snapshot:
    """One rank of eight stopped stepping 40 s ago."""
    return snapshot(job(Run(ranks=8, ages={5: 40.0})))


def crashed() -> Snapshot:
    """One rank died of a lack of memory, the others were stopped with it."""
    return snapshot(job(Run(ranks=4, ends={1: CRASH}, ages=dict.fromkeys((0, 2, 3), 70.0))))


def finished() -> Snapshot:
    """All ranks ended well."""
    return snapshot(job(Run(ranks=4, steps=500, ends=ended(4, **COMPLETED))))


def damaged() -> Snapshot:
    """Of one rank a line is damaged and three are missing."""
    state = job(Run(ranks=2, steps=100))
    lines = [orjson.dumps(record) + b"\n" for record in records(Run(ranks=2, steps=110), 1)]
    state.apply(1, decode(b"{half\n" + b"".join(lines[104:])), NOW - 0.4, "local")
    return snapshot(state)


def evaluating() -> Snapshot:
    """All ranks are in a declared evaluation: silence is no stall."""
    return snapshot(job(Run(ranks=4, phase="eval", ages=dict.fromkeys(range(4), 14.0))))


def starting() -> Snapshot:
    """Ranks have started, no step yet."""
    return snapshot(job(Run(ranks=4, steps=0)))


def many_jobs() -> Snapshot:
    """Jobs in every status; the failed one is worst."""
    return snapshot(
        job(Run("llama-8b-sft", ranks=8, ends={3: CRASH})),
        job(Run("gpt2-small", ranks=4)),
        job(Run("ablation-lr-3e-4", ranks=4, steps=500, ends=ended(4, **COMPLETED))),
        job(Run("ablation-lr-1e-3", ranks=4, steps=220, ends=ended(4, status="stopped"))),
        listed=("old-run",),
    )


def hostile() -> Snapshot:
    """Names and messages that would like to move the cursor, change colours or end the app."""
    crash: Record = {
        "status": "failed",
        "error": {"type": "[red]Boom[/]", "message": "\x1b]52;c;aGk=\x07[/b] \x1b[2J[@click=app.quit]x"},
    }
    return snapshot(job(Run("hostile", ranks=2, ends={1: crash}, hosts=lambda _: "[bold]ev\x1b[31mil\u202e")))


def restarted() -> Snapshot:
    """A second attempt that began again at step 200."""
    state = job(Run(ranks=4))
    for rank in range(4):
        lines = list(records(Run(ranks=4, steps=260), rank))
        resumed = [line | {"seq": seq} for seq, line in enumerate(lines[200:], 1)]
        again = [lines[0] | {"attempt": 2, "run_id": f"again-{rank}"}, *resumed]
        state.apply(rank, decode(b"".join(orjson.dumps(line) + b"\n" for line in again)), NOW - 0.4, "local")
    return snapshot(state)


def empty() -> Snapshot:
    """Nothing there yet."""
    return snapshot()


def missing() -> Snapshot:
    """The metrics directory does not exist."""
    return snapshot(error=f"{PLACE} does not exist yet: no training script has written there")


def loading() -> Snapshot:
    """Nothing was read yet."""
    return Snapshot()


def large() -> Snapshot:
    """512 ranks on 64 nodes."""
    return snapshot(job(Run("llama-70b", ranks=512, steps=40, total=20_000)))


SCENES: dict[str, Callable[[], Snapshot]] = {
    scene.__name__: scene
    for scene in (
        healthy, small, non_finite, stalled, crashed, finished, damaged, evaluating, starting, many_jobs,
        hostile, restarted, empty, missing, loading, large,
    )
}  # fmt: skip
