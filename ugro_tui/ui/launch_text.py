"""A launch in words: the plan before it, how far each node is, why it failed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from textual.content import Content

from ugro_tui.core.launching import LaunchPlan, LaunchView, NodePlan, NodeProgress, Stage
from ugro_tui.core.redaction import HIDDEN, is_secret_name, without_secrets, words_without_secrets
from ugro_tui.core.text import visible

_GLYPHS: Final = {
    Stage.WAITING: "○",
    Stage.PREFLIGHT: "◌",
    Stage.COPYING: "◌",
    Stage.STARTING: "◐",
    Stage.VERIFYING: "◐",
    Stage.RUNNING: "●",
    Stage.STOPPING: "◐",
    Stage.DONE: "✔",
    Stage.FAILED: "✖",
}

_STYLES: Final = {
    Stage.WAITING: "$text-muted",
    Stage.RUNNING: "$success",
    Stage.DONE: "$text-muted",
    Stage.FAILED: "$error",
}


def plan_text(plan: LaunchPlan) -> Content:
    """All that would happen: attempt, hosts, environment, copies, the command of each node or the script."""
    request = plan.request
    ranks = (
        f"{plan.world_size} rank{'' if plan.world_size == 1 else 's'}" if plan.world_size else "ranks as Slurm gives"
    )
    on = f" on {len(plan.nodes)} node{'' if len(plan.nodes) == 1 else 's'}" if plan.nodes else ""
    head = Content.assemble((request.job_id, "bold"), f"  attempt {plan.attempt}  {ranks}{on}  {request.backend.value}")
    lines = [head, *(Content.assemble(("copy  ", "$text-muted"), copy) for copy in plan.copies)]
    lines += [line for node in plan.nodes for line in _node(node, plan)]
    if plan.script:
        lines += [Content(), Content.styled("sbatch script", "bold $accent"), Content(_script(plan.script))]
    return Content("\n").join(lines)


def _script(script: str) -> str:
    return "\n".join(visible(without_secrets(line)) for line in script.splitlines())


def _node(node: NodePlan, plan: LaunchPlan) -> Iterator[Content]:
    last = node.first_rank + node.nproc - 1
    ranks = f"rank {last}" if node.nproc == 1 else f"ranks {node.first_rank}-{last}"
    yield Content()
    yield Content.assemble((node.node, "bold $accent"), f"  {ranks}", (f"  in {node.workdir}", "$text-muted"))
    yield Content(visible(shlex.join(words_without_secrets(node.command))))
    secret = plan.request.secrets
    shown = [
        f"{name}={HIDDEN if name in secret or is_secret_name(name) else shlex.quote(value)}"
        for name, value in node.environment.items()
    ]
    shown += [f"{name}={HIDDEN}" for name in secret if name not in node.environment]
    if shown:
        yield Content.assemble(("env  ", "$text-muted"), (visible(" ".join(shown)), "$text-muted"))


def progress_text(view: LaunchView) -> Content:
    """How far the whole is and each node, what failed where, and warnings."""
    lines = [
        Content.assemble(
            (f"{_GLYPHS[view.stage]} {view.job_id}", f"bold {_style(view.stage)}"), f"  {view.stage.value}"
        )
    ]
    if view.problem:
        lines.append(Content.styled(f"✖ {view.problem}", "$error"))
    width = max((len(node.node) for node in view.nodes), default=0)
    lines.append(Content())
    lines += [line for node in view.nodes for line in _progress(node, width)]
    lines += [Content.styled(f"⚠ {warning}", "$warning") for warning in view.warnings]
    return Content("\n").join(lines)


def _progress(node: NodeProgress, width: int) -> Iterator[Content]:
    yield Content.assemble(
        (f"{_GLYPHS[node.stage]} {node.node:<{width}}  {node.stage.value:<10}", _style(node.stage)),
        (visible(node.said), "$text-muted"),
    )
    if node.problem:
        yield Content.styled(f"  → {node.problem}", "$error")


def _style(stage: Stage) -> str:
    return _STYLES.get(stage, "$accent")


def brief(view: LaunchView, *, short: bool) -> str:
    """A launch or stop under way, for the strip: `starting gpt-small 1/3 nodes`."""
    ready = sum(node.stage.over for node in view.nodes)
    name = "" if short else f" {view.job_id}"
    of = f" {ready}/{len(view.nodes)}{'' if short else ' nodes'}" if view.nodes else ""
    return f"{view.stage.value}{name}{of}"
