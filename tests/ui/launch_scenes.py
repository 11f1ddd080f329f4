"""Moments of launching and stopping: a plan, a launch under way, one that failed on a node, commands that were run."""

from __future__ import annotations

from dataclasses import replace

from tests.ui.node_scenes import on_three
from tests.ui.scenes import WALL, Run, job, snapshot
from ugro_tui.core.health import DiskHealth, GpuHealth, JobProcess, NodeHealth
from ugro_tui.core.launching import (
    Executed,
    LaunchPlan,
    LaunchRequest,
    LaunchView,
    NodePlan,
    NodeProgress,
    Stage,
)
from ugro_tui.core.snapshot import NodeView, Snapshot

NODES = ("gpu-master", "gpu1", "gpu2")


def three() -> Snapshot:
    """Three nodes that answer, and a job that runs on them."""
    gib = 2**30
    cards = [tuple(GpuHealth(index, mem_used=used * gib, mem_total=80 * gib) for index in range(4)) for used in (1, 40)]
    health = (
        NodeHealth("gpu-master", 1.0, disks=(DiskHealth("metrics", "/", 900 * gib, 212 * gib),), gpus=cards[0]),
        NodeHealth(
            "gpu1", 1.0, disks=(DiskHealth("metrics", "/", 900 * gib, 3 * gib),), gpus=(*cards[0][:1], *cards[1][1:])
        ),
        NodeHealth("gpu2", 1.0, gpus_known=True),
    )
    return replace(on_three(NodeView("gpu2", 2.0)), health=health)


def plan(request: LaunchRequest) -> LaunchPlan:
    """What a launch of this would be, two ranks a node."""
    nodes = tuple(
        NodePlan(
            node, number, 2, 2 * number,
            ("/opt/venv/bin/python", "-m", "torch.distributed.run", "--nnodes=3", "--nproc-per-node=2",
             f"--node-rank={number}", "--master-addr=gpu-master", request.script or "train_production.py",
             *request.args),
            "~/train", {"UGRO_JOB_ID": request.job_id, "HF_TOKEN": "S3cr3t", **request.environment},
        )
        for number, node in enumerate(request.nodes)
    )  # fmt: skip
    copies = ("the emitter (41 files, 92 kB) to gpu2, which has none",)
    return LaunchPlan(request, 1, 2 * len(nodes), "0" * 32, nodes, copies)


def planned(request: LaunchRequest) -> LaunchView:
    """The plan, before anything is started."""
    return LaunchView(request.job_id, Stage.WAITING, tuple(map(NodeProgress, request.nodes)), plan(request))


def broken(request: LaunchRequest) -> LaunchView:
    """One node has no torch: the others are stopped, the launch has failed."""
    nodes = (
        NodeProgress("gpu-master", Stage.DONE, "stopped again"),
        NodeProgress("gpu1", Stage.STOPPING, "2 processes left"),
        NodeProgress("gpu2", Stage.FAILED, "preflight", "/opt/venv/bin/python cannot import torch: No module named "
                     "'torch': install it there, or name another interpreter with --python"),
    )  # fmt: skip
    warnings = ("gpu1: its clock is 2.1 s behind this machine's",)
    problem = "gpu2 cannot run it; nothing was left running"
    return LaunchView(request.job_id, Stage.FAILED, nodes, plan(request), problem, warnings)


def stoppable() -> Snapshot:
    """A job on two hosts, of one of which the processes are known; a checkpoint was declared."""
    run = Run("gpt2-xl", ranks=8, per_node=4, hosts=lambda rank: ("gpu-master", "gpu1")[rank // 4], remote=True)
    state = job(run)
    state.ranks[0].saved_ts = state.ranks[0].last_ts - 185.0
    processes = tuple(JobProcess("gpt2-xl", rank, 4711 + rank) for rank in range(4))
    others = (JobProcess("another", 0, 99),)
    shown = snapshot(state)
    return replace(
        shown,
        nodes=(NodeView("gpu-master", 1.0), NodeView("gpu1", 2.0)),
        health=(NodeHealth("gpu-master", 1.0, processes=processes + others),),
    )


def commands() -> Snapshot:
    """What was run on nodes: one runs, one failed, one was cut off."""
    return replace(
        three(),
        executed=(
            Executed(WALL - 600, "gpu1", "ssh gpu1", 0, 0.21),
            Executed(WALL - 599, "gpu1", "exec sh -c 'exec 2>/dev/null; for p in /usr/bin/python3; do \"$p\"; done'"),
            Executed(WALL - 90, "gpu2", "python -c 'import torch'", 1, 2.4),
            Executed(WALL - 60, "gpu2", "(subsystem sftp)", -1, 30.0),
            Executed(WALL - 5, "gpu-master", "env 'HF_TOKEN=***' torchrun [bold]train.py[/]", 0, 0.5),
        ),
    )
