"""Moments for the screens of alerts and nodes: a book with entries, machines that are told of."""

from __future__ import annotations

from dataclasses import replace

from tests.ui.alert_scenes import straggler
from tests.ui.node_scenes import REFUSED, on_three
from tests.ui.scenes import WALL
from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.entries import BookView, Entry, Mark
from ugro_tui.core.health import DiskHealth, GpuHealth, NodeHealth
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.core.states import NodeState

_SPIKE = Alert(
    "loss spike", Severity.WARN, 3, "node0", "9.1 against a median of 2.4 at step 120", 60.0,
    "look at the batch", "loss_spike",
)  # fmt: skip
_DISK = Alert("disk filling", Severity.CRIT, None, "node1", "1.9 % of /scratch is free", 4_000.0, "make room there",
              "disk_low")  # fmt: skip


def booked() -> Snapshot:
    """A straggler and what it costs, one alert acknowledged, one over, and a node's disk."""
    shown = straggler()
    slow, drop = shown.jobs[0].summary.alerts
    job = shown.jobs[0].job_id
    firing = (
        Entry("", 0, _DISK, WALL - 4_000.0),
        Entry(job, 1, slow, WALL - 95.0),
        Entry(job, 1, drop, WALL - 90.0, Mark.ACKNOWLEDGED),
    )
    over = (Entry(job, 1, _SPIKE, WALL - 7_200.0, Mark.RESOLVED, resolved=WALL - 7_000.0, times=3),)
    return replace(shown, book=BookView(firing, over))


def machines() -> Snapshot:
    """Three nodes: one well, one with a hot GPU and a full disk, one that refuses connections."""
    gpus = tuple(
        GpuHealth(number, f"GPU-{number}", "NVIDIA RTX 4090", 97.0, 21 << 30, 24 << 30, 66.0 + 14 * number, 90.0,
                  380.0, 450.0, ())
        for number in range(2)
    )  # fmt: skip
    well = NodeHealth(
        "gpu-master", 3.0, NodeState.OK, latency=0.004, clock_offset=0.1, load=(3.2, 3.0, 2.8), cpus=16,
        memory_total=64 << 30, memory_available=41 << 30,
        disks=(DiskHealth("metrics", "~/ugro_data/jobs", 900 << 30, 412 << 30),), gpus=gpus, gpus_known=True,
    )  # fmt: skip
    ill = replace(
        well, node="gpu1", latency=0.031, disks=(DiskHealth("metrics", "/scratch/jobs", 900 << 30, 9 << 30),), score=60,
        reasons=("disk: 1 % of /scratch/jobs is free; make room there", "GPU 1 is at 80 °C and slows down at 90 °C"),
    )  # fmt: skip
    down = NodeHealth("gpu2", state=NodeState.WAITING, brief="unreachable", breaker="open", retry=8.0, score=0,
                      reasons=("does not answer",))  # fmt: skip
    return on_three(REFUSED, health=(well, ill, down))
