"""Whether a plan can work, by what its nodes say of themselves: what forbids it, and what should be known before."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ugro_tui.act.sites import Survey
from ugro_tui.core.health import BUSY_SHARE
from ugro_tui.core.launching import RESUME, LaunchPlan, NodePlan
from ugro_tui.core.own_options import other_place
from ugro_tui.core.text import visible

LEAST_DISK = 64 << 20
"""Bytes that must be free: the records of a rank take some 300 a step."""

LEAST_INODES = 1000
MOST_CLOCK_SECONDS = 60.0
MOST_NAMED = 6
"""Nodes that a sentence names."""


_LINGER = "systemd ends what it keeps for the user"


def hindrances(plan: LaunchPlan, surveys: Sequence[Survey]) -> Iterator[str]:
    """Why it cannot be started, each with its node."""
    for node, survey in zip(plan.nodes, surveys, strict=True):
        yield from (f"{node.node}: {one}" for one in problems(plan, node, survey))


def problems(plan: LaunchPlan, node: NodePlan, survey: Survey) -> Iterator[str]:
    """Why this node's part cannot be started; each says what to do."""
    if survey.mine:
        return  # it was started by this very launch: its port and its directory are its own
    yield from _of_job(plan, survey)
    yield from _of_python(plan, survey)
    yield from _of_places(plan, survey)
    if node.scope and survey.scope.problem:
        yield (
            f"{visible(survey.scope.problem, 200)}, so no scope can be made: leave --scope user out, or have systemd "
            "started for logins (pam_systemd)"
        )
    if node.node_rank == 0 and survey.port is None:
        yield "the port for the ranks to meet was taken meanwhile: launch again, another one is chosen"


def _of_job(plan: LaunchPlan, survey: Survey) -> Iterator[str]:
    job = plan.request.job_id
    if plan.attempt == 1 and survey.exists:
        yield f"job {job} exists here already: choose another name, or start it again with `ugro-tui relaunch {job}`"
    elif survey.alive:
        yield f"job {job} still runs here ({survey.alive} processes): stop it first (ugro-tui stop {job})"


def _of_python(plan: LaunchPlan, survey: Survey) -> Iterator[str]:
    name, python = visible(plan.request.python or survey.python.path or "python3", 200), survey.python
    if python.problem:
        yield f"{name} does not run: {visible(python.problem, 200)}: give the path of another Python with --python"
    elif python.torch is None:
        yield (
            f"torch is not installed for {name}: run `{name} -m pip install torch` there, or give another Python with "
            "--python"
        )


def _of_places(plan: LaunchPlan, survey: Survey) -> Iterator[str]:
    request = plan.request
    if other := other_place(request.args, survey.root, survey.workdir):
        yield other
    if not request.sync_code:
        if not survey.has_workdir:
            yield f"there is no folder {visible(survey.workdir, 200)} to run in: give another with --workdir"
        elif request.script and not survey.has_script:
            yield (
                f"there is no training script {visible(survey.script, 200)}: give its path there, or bring it with "
                "--sync-code DIR"
            )
    if not survey.writable:
        yield f"{visible(survey.root, 200)} may not be written: allow it, or give another with --metrics-dir"
    if survey.free < LEAST_DISK or (survey.inodes is not None and survey.inodes < LEAST_INODES):
        yield (
            f"the disk of {visible(survey.root, 200)} is full ({survey.free >> 20} MiB free): make room, or give "
            "another directory with --metrics-dir"
        )


def warnings(plan: LaunchPlan, surveys: Sequence[Survey], now: float) -> Iterator[str]:
    """What is not as it should be and forbids nothing; of a node with its name. `now`: Unix seconds here."""
    for node, survey in zip(plan.nodes, surveys, strict=True):
        yield from (f"{node.node}: {one}" for one in _of_node(node, survey, now))
    yield from without_checkpoint(plan, {survey.saved for survey in surveys})


def without_checkpoint(plan: LaunchPlan, saved: Collection[bool | None]) -> Iterator[str]:
    """That the script is to go on from a checkpoint, and none is known of on any node; `saved`: as `Survey.saved`."""
    names = [node.node for node in plan.nodes]
    if plan.attempt > 1 and RESUME in plan.request.words and set(saved) == {False}:
        more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
        yield (
            f"no checkpoint of {plan.request.job_id} is known of on {', '.join(names[:MOST_NAMED])}{more}: it will "
            "begin at step 0, unless its script keeps one elsewhere"
        )


def _of_node(node: NodePlan, survey: Survey, now: float) -> Iterator[str]:
    ahead = survey.time - now
    if abs(ahead) > MOST_CLOCK_SECONDS:
        yield f"its clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
    if node.scope and not survey.scope.lingers:
        yield f"{_LINGER} with its last login, and the job with it: run `loginctl enable-linger` there"
    elif survey.scope.kills and not node.scope:
        yield "logind ends what a login leaves behind there, the job too: run `loginctl enable-linger` there first"
    if survey.gpus and node.nproc > len(survey.gpus):
        yield f"{node.nproc} ranks share {len(survey.gpus)} GPUs"
    busy = [gpu.index for gpu in survey.gpus if gpu.used > BUSY_SHARE * gpu.total]
    if busy:
        yield f"GPU {', '.join(map(str, busy))} is in use: others train there"
