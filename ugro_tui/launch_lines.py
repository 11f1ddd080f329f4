"""What a launch says on the command line: the plan, and what was started."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.launching import LaunchPlan, LaunchView, NodePlan, Stage
from ugro_tui.core.numbers import counted, duration
from ugro_tui.core.text import visible
from ugro_tui.output import called

MOST_PIDS: Final = 8
"""Numbers of processes that are named of a node."""

if TYPE_CHECKING:
    from ugro_tui.act.backend import JobStanding


def started_lines(plan: LaunchPlan, options: str = "") -> Iterator[str]:
    """What was started, and what to do next; `options` are those that the next command has to repeat."""
    job = plan.request.job_id
    attempt = f", attempt {plan.attempt}" if plan.attempt > 1 else ""
    slurm = plan.request.slurm.nodes
    nodes_of_slurm = f"{counted(slurm, 'node')}, submitted by {plan.nodes[0].node}"
    where = nodes_of_slurm if plan.script else ", ".join(node.node for node in plan.nodes)
    done = "waits for Slurm:" if plan.script else "runs:"
    yield f"job {job} {done} {counted(plan.world_size, 'rank')} on {where}{attempt}"
    yield f"watch it: {called()} watch {job}{options}"
    yield f"stop it: {called()} stop {job}{options}"


def ended_line(job_id: str, standing: JobStanding) -> str:
    """`job gpt: finished`, or how it ended: `job gpt: failed: rank 1 ended by signal 9`."""
    said = standing.said if standing.status in ("failed", "stopped") else ""
    return f"job {job_id}: {said or standing.status}"


def stop_lines(standing: JobStanding, grace: float) -> Iterator[str]:
    """What a stop would end: its processes on each node, and how. `grace`: seconds between the signals."""
    for node in standing.nodes:
        pids = " ".join(map(str, node.pids[:MOST_PIDS]))
        more = f" +{(node.alive or 0) - MOST_PIDS}" if (node.alive or 0) > MOST_PIDS else ""
        if node.problem or node.alive is not None:
            said = f"pid{'' if node.alive == 1 else 's'} {pids}{more}" if pids else "none of its processes runs"
            yield f"  {node.node}: {visible(node.problem, 500) or said}"
    if standing.backend == "slurm":
        yield "  scancel: Slurm sends SIGTERM, then SIGKILL"
    else:
        yield f"  SIGTERM on all of them at once, SIGKILL after {duration(grace)}"


def plan_lines(plan: LaunchPlan) -> Iterator[str]:
    """All that would be done."""
    yield f"job {plan.request.job_id}, attempt {plan.attempt}: {counted(plan.world_size, 'rank')}"
    yield from (f"  it could not start: {visible(problem, 500)}" for problem in plan.problems)
    yield from (f"  warning: {visible(warning, 500)}" for warning in plan.warnings)
    for copy in plan.copies:
        yield f"  copy {visible(copy, 500)}"
    for node in plan.nodes:
        yield _who(plan, node)
        kept = "a scope of the user's systemd" if node.scope else "sessions of its own (setsid)"
        yield f"  in {visible(node.workdir, 500)}{'' if plan.script else f', kept in {kept}'}"
        yield from (f"  {visible(f'{name}={value}', 500)}" for name, value in sorted(node.environment.items()))
        yield from (f"  {name}=<hidden> ({_source(path)})" for name, path in sorted(plan.request.secrets.items()))
        yield f"  {visible(shlex.join(node.command), 4000)}"
    if plan.script:
        yield "the script for sbatch:"
        yield from (visible(line, 10_000) for line in plan.script.splitlines())


def _who(plan: LaunchPlan, node: NodePlan) -> str:
    """What runs where; which nodes of Slurm they are is not known before."""
    if plan.script:
        return f"{counted(plan.request.slurm.nodes, 'node')} of Slurm, each: {counted(node.nproc, 'rank')}"
    last = node.first_rank + node.nproc - 1
    return f"{node.node}: ranks {node.first_rank}-{last}" if node.nproc > 1 else f"{node.node}: rank {last}"


def _source(path: str) -> str:
    return f"from {visible(path, 500)}" if path else "asked for when it is launched"


def plan_dict(plan: LaunchPlan) -> dict[str, Any]:
    """The same as JSON can hold it; the token is nobody's business."""
    found: dict[str, Any] = jsonable(plan)
    del found["token"]
    return found


def outcome_dict(view: LaunchView) -> dict[str, Any]:
    """What came of a launch, as JSON can hold it: whether it was started, why not, and how far each node came."""
    return {
        "started": view.stage is Stage.RUNNING,
        "reason": view.problem,
        "nodes": [jsonable(node) for node in view.nodes],
    }
