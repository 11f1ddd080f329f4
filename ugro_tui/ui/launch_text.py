"""A launch in words: the plan before it, how far each node is, why it failed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from textwrap import wrap
from typing import Final

from textual.content import Content

from ugro_tui.core.launch_form import FIELDS
from ugro_tui.core.launching import LaunchPlan, LaunchRequest, LaunchView, NodePlan, NodeProgress, Stage
from ugro_tui.core.numbers import counted, duration
from ugro_tui.core.redaction import HIDDEN, is_secret_name, without_secrets, words_without_secrets
from ugro_tui.core.text import visible
from ugro_tui.ui.wording import Words, title

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


def title_text(over: bool | None, width: int, *, more: bool) -> Content:
    """The keys of the form, or of a launch; `over`: whether that has ended, None: no launch; `more` of the plan."""
    if over is None:
        keys = [("ctrl+s launches", "ctrl+s"), ("ctrl+o more fields", "ctrl+o more", "ctrl+o")]
        keys += [("pgdn: more of the plan", "pgdn: plan", "pgdn")] if more else []
        keys += [("esc leaves", "esc")]
    elif over:
        keys = [("esc: back to the form, as it was", "esc: back"), ("ctrl+s tries again", "ctrl+s: again")]
    else:
        keys = [("esc leaves, and it goes on", "esc leaves"), ("ctrl+k ends it", "ctrl+k")]
    parts = [Words((Content.styled(" Launch ", "bold"),))]
    for place, forms in enumerate(keys):
        said = tuple(Content.styled(f"{' ·' if place else ''} {form}", "$text-muted") for form in forms)
        parts.append(Words(said, len(forms)))
    return title(parts, width)


def waits_text(errors: Mapping[str, str]) -> Content:
    """Why there is no plan yet, by the labels of fields."""
    return Content.assemble(("the plan is shown here once this is filled in well: ", "$text-muted"), _named(errors))


def wrong_text(errors: Mapping[str, str]) -> str:
    """Why nothing is launched: how many fields are wrong, and which."""
    return (
        f"not launched: {counted(len(errors), 'field')} {'is' if len(errors) == 1 else 'are'} wrong: {_named(errors)}"
    )


def _named(errors: Mapping[str, str]) -> str:
    labels = {field.name: field.label for field in FIELDS}
    return ", ".join(labels[name] for name in errors)


def plan_text(plan: LaunchPlan) -> Content:
    """All that would happen: attempt, copies, the command of the first node, how the others differ; or the script."""
    request = plan.request
    ranks = counted(plan.world_size, "rank") if plan.world_size else "ranks as Slurm gives"
    on = f" on {counted(len(plan.nodes), 'node')}" if plan.nodes else ""
    head = Content.assemble((request.job_id, "bold"), f"  attempt {plan.attempt}  {ranks}{on}  {request.backend.value}")
    lines = [head, *(Content.styled(f"✖ {problem}", "$error") for problem in plan.problems)]
    lines += [*(Content.styled(f"⚠ {warning}", "$warning") for warning in plan.warnings)]
    lines += [*(Content.assemble(("copy  ", "$text-muted"), copy) for copy in plan.copies)]
    if plan.script:
        return Content("\n").join([*lines, *_script(plan.script)])
    if plan.nodes:
        lines += [Content(), *_node(plan.nodes[0], request), Content()]
    width = max((len(node.node) for node in plan.nodes), default=0)
    lines += [_other(node, plan.nodes[0], request, width) for node in plan.nodes[1:]]
    return Content("\n").join(lines)


def _script(script: str) -> Iterator[Content]:
    yield Content()
    yield Content.styled("what sbatch is given", "bold $accent")
    for line in script.splitlines():
        yield Content(visible(without_secrets(line)))


def _ranks(node: NodePlan) -> str:
    last = node.first_rank + node.nproc - 1
    return f"rank {last}" if node.nproc == 1 else f"ranks {node.first_rank}-{last}"


def _node(node: NodePlan, request: LaunchRequest) -> Iterator[Content]:
    yield Content.assemble((node.node, "bold $accent"), f"  {_ranks(node)}", (f"  in {node.workdir}", "$text-muted"))
    yield Content(visible(shlex.join(words_without_secrets(node.command))))
    shown = " ".join(f"{name}={value}" for name, value in _environment(node, request).items())
    if shown:
        yield Content.assemble(("env  ", "$text-muted"), (visible(shown), "$text-muted"))


def _environment(node: NodePlan, request: LaunchRequest) -> dict[str, str]:
    """What its ranks get, as a shell would be told; of secrets only that there is one."""
    secret = request.secrets
    shown = {
        name: HIDDEN if name in secret or is_secret_name(name) else shlex.quote(value)
        for name, value in node.environment.items()
    }
    return shown | dict.fromkeys(secret, HIDDEN)


def _other(node: NodePlan, first: NodePlan, request: LaunchRequest, width: int) -> Content:
    """How a node differs from the first one, in one line."""
    apart = [*_words_apart(node.command, first.command)]
    if node.workdir != first.workdir:
        apart.append(f"in {node.workdir}")
    common = _environment(first, request)
    apart += [f"{name}={text}" for name, text in _environment(node, request).items() if common.get(name) != text]
    said = f"the same, but {'  '.join(apart)}" if apart else "the same"
    return Content.assemble(
        (f"{node.node:<{width}}", "bold $accent"), f"  {_ranks(node)}  ", (visible(said), "$text-muted")
    )


def _words_apart(words: Sequence[str], first: Sequence[str]) -> Iterator[str]:
    """The words that differ, each behind its option; all of them where their number does."""
    words, first = words_without_secrets(words), words_without_secrets(first)
    if len(words) != len(first):
        yield shlex.join(words)
        return
    for before, word, other in zip(("", *words[:-1]), words, first, strict=True):
        if word != other:
            yield shlex.join([before, word] if before.startswith("--") and not word.startswith("-") else [word])


_COURSE: Final = (
    (Stage.PREFLIGHT, "look at the nodes"),
    (Stage.COPYING, "copy"),
    (Stage.STARTING, "start"),
    (Stage.VERIFYING, "wait for the ranks"),
)
"""The stages of a launch in their order."""


def progress_text(job: str, view: LaunchView | None, seconds: float, width: int) -> Content:
    """How far the whole is and each node, what failed where, and warnings. `seconds`: since it was asked for."""
    since = f"  {duration(seconds)}"
    if view is None:
        return Content.assemble((f"◌ {job}", "bold $accent"), "  asked for …", (since, "$text-muted"))
    head = (f"{_GLYPHS[view.stage]} {view.job_id}", f"bold {_style(view.stage)}")
    size = "" if view.plan is None else f"  attempt {view.plan.attempt}  {counted(view.plan.world_size, 'rank')}"
    over = view.stage.over
    lines = [Content.assemble(head, f"  {view.stage.value}", ("" if over else since, "$text-muted"), size)]
    lines += [_course(view.stage)] if view.stage in dict(_COURSE) else []
    lines += [_wrapped("✖ ", line, width, "$error") for line in _told_by_none(view)]
    lines.append(Content())
    names = max((len(node.node) for node in view.nodes), default=0)
    nodes = sorted(view.nodes, key=lambda node: node.stage is not Stage.FAILED)
    lines += [line for node in nodes for line in _progress(node, names, width, failed=view.stage is Stage.FAILED)]
    lines += [_wrapped("⚠ ", warning, width, "$warning") for warning in view.warnings]
    if view.plan is not None:
        lines += [
            Content(),
            Content.styled("The plan", "bold"),
            plan_text(replace(view.plan, problems=(), warnings=())),
        ]
    return Content("\n").join(lines)


def _course(stage: Stage) -> Content:
    """What is done, what is being done, and what is still to come."""
    stages = [one for one, _ in _COURSE]
    now = stages.index(stage)
    parts = [
        Content.styled(
            f"{'✔' if place < now else _GLYPHS[one] if place == now else '○'} {says}",
            "$accent" if place == now else "$text-muted",
        )
        for place, (one, says) in enumerate(_COURSE)
    ]
    return Content("   ").join(parts)


def _told_by_none(view: LaunchView) -> list[str]:
    """Why it failed, without what its nodes tell below."""
    told = {f"{node.node}: {node.problem}" for node in view.nodes} | {node.problem for node in view.nodes}
    return [line for line in view.problem.splitlines() if line not in told]


def _wrapped(mark: str, text: str, width: int, style: str) -> Content:
    """Lines that begin below each other, the mark before the first."""
    blank = " " * len(mark)
    found = wrap(text, max(20, width), initial_indent=mark, subsequent_indent=blank, break_on_hyphens=False)
    return Content.styled("\n".join(found) or mark, style)


def _progress(node: NodeProgress, names: int, width: int, *, failed: bool) -> Iterator[Content]:
    stage, glyph, said = node.stage.value, _GLYPHS[node.stage], node.said
    style = _style(node.stage)
    if failed and not node.stage.over and node.stage is not Stage.STOPPING:
        begun = node.stage in (Stage.STARTING, Stage.VERIFYING)
        stage, glyph, said, style = ("ended" if begun else "untouched"), "■", "", "$text-muted"
    yield Content.assemble((f"{glyph} {node.node:<{names}}  {stage:<10}", style), (visible(said), "$text-muted"))
    if node.problem:
        yield _wrapped("  → ", node.problem, width, "$error")


def _style(stage: Stage) -> str:
    return _STYLES.get(stage, "$accent")


def brief(view: LaunchView, *, short: bool) -> str:
    """A launch or stop under way, for the strip: `starting gpt-small 1/3 nodes`."""
    ready = sum(node.stage.over for node in view.nodes)
    name = "" if short else f" {view.job_id}"
    of = f" {ready}/{len(view.nodes)}{'' if short else ' nodes'}" if view.nodes else ""
    return f"{view.stage.value}{name}{of}"
