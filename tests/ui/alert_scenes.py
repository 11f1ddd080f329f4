"""Snapshots of what the rules find: a straggler, a hang, a node that is not well."""

from __future__ import annotations

from dataclasses import replace

from tests.ui.scenes import BEGUN, NOW, STEP_SECONDS, Record, Run, job, snapshot
from ugro_tui.core.curve import EMPTY
from ugro_tui.core.health import DiskHealth, NodeHealth
from ugro_tui.core.job import JobState
from ugro_tui.core.records import Heartbeat
from ugro_tui.core.rules.fleet import FleetWatch
from ugro_tui.core.rules.stragglers import LEAST_SECONDS
from ugro_tui.core.snapshot import Snapshot, curve_of, view
from ugro_tui.core.watch import JobWatch

SLOW, STUCK = 11, 11


def straggler() -> Snapshot:
    """Of sixteen ranks one waits long for its data, and the others wait for it."""
    return straggling()[1]


def straggling() -> tuple[JobState, Snapshot]:
    """The job of that, and the picture."""
    odd: dict[tuple[int, int], Record] = {}
    for rank in range(16):
        slow = rank == SLOW
        phases = {"data": 0.412 if slow else 0.004, "forward": 0.07, "backward": 0.14, "optimizer": 0.01}
        for step in range(260, 301):
            odd[rank, step] = {
                "ts": BEGUN + 259 * STEP_SECONDS + (step - 259) * 0.65, "step_time": 0.65, "throughput": 6_300.0,
                "phases": {**phases, "sync_wait": 0.018 if slow else 0.424},
            }  # fmt: skip
    state, watch = job(Run("gpt2-xl", ranks=16, odd=odd)), JobWatch()
    view(state, NOW - LEAST_SECONDS, EMPTY, watch)
    return state, replace(snapshot(), jobs=(view(state, NOW, curve_of(state), watch),))


def hung() -> Snapshot:
    """All ranks of a job have stopped; one of them is not where the others wait."""
    state = job(Run("gpt2-xl", ranks=16, ages=dict.fromkeys(range(16), 32.0)))
    for rank in range(16):
        _beat(state, rank, "data" if rank == STUCK else "backward")
    return snapshot(state)


def _beat(state: JobState, rank: int, phase: str) -> None:
    beat = Heartbeat(f"run-{rank}", 100 + rank, 300, 31.6, "running", phase, 2e9, 1e12, 0, {})
    state.apply_heartbeat(rank, beat, NOW - 0.4, "local")


def full_disk() -> Snapshot:
    """A healthy run on a node whose disk is nearly full."""
    shown = snapshot(job(Run(ranks=4)))
    health = NodeHealth("node0", disks=(DiskHealth("metrics", "/scratch", total=2 << 40, free=40 << 30),))
    return replace(shown, alerts=FleetWatch(5.0).tick(shown.nodes, [health], NOW))
