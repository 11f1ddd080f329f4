"""Moments for the screens of alerts and nodes: a book with entries, machines that are told of."""

from __future__ import annotations

from dataclasses import replace

from tests.ui.alert_scenes import straggler
from tests.ui.node_scenes import REFUSED, on_three
from tests.ui.scenes import WALL, Run, job, snapshot
from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.entries import BookView, Entry, Mark
from ugro_tui.core.health import DiskHealth, GpuHealth, JobProcess, NodeHealth
from ugro_tui.core.snapshot import NodeView, Snapshot
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


def _process(rank: int, job_id: str = "gpt2-xl") -> JobProcess:
    return JobProcess(job_id, rank, 4100 + rank, 100.0, 9 << 30, "R")


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
        processes=(_process(0), _process(3)),
    )  # fmt: skip
    ill = replace(
        well, node="gpu1", latency=0.031, disks=(DiskHealth("metrics", "/scratch/jobs", 900 << 30, 9 << 30),), score=60,
        reasons=("disk: 1 % of /scratch/jobs is free; make room there", "GPU 1 is at 80 °C and slows down at 90 °C"),
    )  # fmt: skip
    down = NodeHealth("gpu2", state=NodeState.WAITING, brief="unreachable", breaker="open", retry=8.0, score=0,
                      reasons=("does not answer",))  # fmt: skip
    return on_three(REFUSED, health=(well, ill, down))


def fleet() -> Snapshot:
    """Eight servers with eight GPUs each: on one a GPU idles and another is slowed down, one has lost a GPU."""
    views, healths = zip(*map(_server, range(8)), strict=True)
    state = job(
        Run("llama-8b", ranks=64, steps=60, total=20_000, hosts=lambda rank: f"dgx{rank // 8 + 1}", remote=True)
    )
    return replace(snapshot(state), nodes=views, health=healths)


def _server(number: int) -> tuple[NodeView, NodeHealth]:
    name = f"dgx{number + 1}"
    gpus = [
        GpuHealth(gpu, f"GPU-{number}-{gpu}", "NVIDIA H100 80GB HBM3", 99.0 - (3 * number + 5 * gpu) % 7, 71 << 30,
                  80 << 30, 58.0 + (2 * number + 3 * gpu) % 9, 90.0, 640.0 + 5 * gpu, 700.0, ())
        for gpu in range(8)
    ]  # fmt: skip
    health = NodeHealth(
        name, 3.0, NodeState.OK, latency=0.002, clock_offset=0.0, load=(9.1, 8.7, 8.8), cpus=112,
        memory_total=2 << 40, memory_available=3 << 39, gpus_known=True,
        disks=(DiskHealth("metrics", "/shared/jobs", 40 << 40, 21 << 40),),
        processes=tuple(_process(8 * number + rank, "llama-8b") for rank in range(8)),
    )  # fmt: skip
    if number == 2:
        gpus[5] = replace(gpus[5], util=0.0, power=92.0, temp=39.0)
        gpus[6] = replace(gpus[6], util=61.0, temp=88.0, throttle=("hw_thermal_slowdown",))
        health = replace(
            health, score=60, reasons=("GPU 6: slowed down (hw_thermal_slowdown); look at cooling and power supply",)
        )
    if number == 6:
        gpus[3] = GpuHealth(3, gpus[3].uuid, gpus[3].name, lost=True)
        health = replace(health, score=60, reasons=("GPU 3: lost; restart the node",))
    return NodeView(name, 1.0 + number % 3, via="helper"), replace(health, gpus=tuple(gpus))
