"""From what somebody asks for, and what the nodes say of themselves, to what is run on each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ugro_tui.act.brought import check_code
from ugro_tui.act.lent import PACKAGES, SCRIPT
from ugro_tui.act.sites import Survey
from ugro_tui.core.errors import BadInput
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.launching import LaunchPlan, LaunchRequest, NodePlan
from ugro_tui.core.own_options import other_job
from ugro_tui.core.text import visible

RENDEZVOUS = ("static", "c10d")
SCOPES = ("auto", "user", "none")


def checked(request: LaunchRequest) -> None:
    """Refuse what nobody could start.

    Raises:
        BadInput: says which part, and why.
    """
    checked_job_id(request.job_id)
    if request.nproc is not None and request.nproc < 1:
        raise BadInput(f"--nproc: {request.nproc} ranks cannot be started: give at least 1")
    if request.rendezvous not in RENDEZVOUS:
        raise BadInput(f"--rdzv: {visible(request.rendezvous, 80)!r} is not known: choose {' or '.join(RENDEZVOUS)}")
    if request.scope not in SCOPES:
        raise BadInput(f"--scope: {visible(request.scope, 80)!r} is not known: choose {', '.join(SCOPES)}")
    if request.max_restarts < 0:
        raise BadInput(f"--max-restarts: {request.max_restarts} is less than none")
    if request.max_restarts and request.rendezvous == "static" and len(request.nodes) > 1:
        raise BadInput("--max-restarts hangs on several nodes with a static rendezvous: add --rdzv c10d")
    if request.master_addr.startswith("-"):
        raise BadInput(f"--master-addr: {visible(request.master_addr, 80)!r} is no address")
    if other := other_job(request.args, request.job_id):
        raise BadInput(other)
    _check_names(request)
    texts = (request.script, *request.args, request.python, request.workdir, request.master_addr)
    for text in (*texts, *request.environment.values()):
        _check_text(text)
    check_code(request)


def _check_names(request: LaunchRequest) -> None:
    for name in (*request.environment, *request.secrets):
        _check_text(name)
        if not name or "=" in name:
            raise BadInput(f"{visible(name, 80)!r} cannot name an environment variable: it is empty or holds '='")


def _check_text(text: str) -> None:
    """What a system cannot pass on as it was given is refused, never changed."""
    if "\0" in text:
        raise BadInput(f"{visible(text, 80)!r} holds a zero byte, which ends a text for every program: leave it out")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadInput(f"{visible(text, 80)!r} holds a character that no program can be given: leave it out") from None


def planned(
    request: LaunchRequest, names: Sequence[str], surveys: Sequence[Survey], token: str, address: str
) -> LaunchPlan:
    """The plan for nodes of these names; `address` is how they reach the first of them.

    Raises:
        BadInput: a job that is to go on is not there.
    """
    attempt = attempt_of(request, surveys)
    port = surveys[0].port or 0
    counts = [request.nproc or len(survey.gpus) or 1 for survey in surveys]
    nodes = []
    for rank, (name, survey, nproc) in enumerate(zip(names, surveys, counts, strict=True)):
        agent = tuple(_agent(request, rank, len(names), nproc, address, port, attempt))
        nodes.append(
            NodePlan(
                node=name,
                node_rank=rank,
                nproc=nproc,
                first_rank=sum(counts[:rank]),
                command=(*_python(request, survey), *agent, *_script(request, survey, attempt)),
                workdir=_workdir(request, survey, attempt),
                environment=_environment(request, survey, attempt),
                scope=_in_scope(request, survey),
            )
        )
    copies = tuple(_copies(request, names, surveys))
    return LaunchPlan(request, attempt, sum(counts), token, tuple(nodes), copies)


def attempt_of(request: LaunchRequest, surveys: Sequence[Survey]) -> int:
    """Which attempt of the job this is. Raises BadInput."""
    known = [survey.manifest.get("attempt", 1) for survey in surveys if survey.exists]
    if any(survey.mine for survey in surveys):
        return max(int(one) for one in known)
    blank = bool(known) and all(survey.blank for survey in surveys if survey.exists)
    if not request.resume and not blank:
        return 1
    if not known:
        raise BadInput(f"there is no job {request.job_id} on these nodes to be started again: launch it")
    return max(int(one) for one in known) + 1


def port_of(plan: LaunchPlan) -> int:
    """The port on which the ranks meet."""
    words = plan.nodes[0].command
    if "--master-port" in words:
        return int(words[words.index("--master-port") + 1])
    return int(words[words.index("--rdzv-endpoint") + 1].rpartition(":")[2])


def script_of(node: NodePlan) -> str:
    """The path of the training script on the node."""
    place = next(place for place, word in enumerate(node.command) if word.endswith("/entry.py"))
    return node.command[place + 1]


def _in_scope(request: LaunchRequest, survey: Survey) -> bool:
    """Without lingering, the user's systemd ends with the last login, and all scopes: worse than none."""
    return request.scope == "user" or (request.scope == "auto" and not survey.scope.problem and survey.scope.lingers)


def _python(request: LaunchRequest, survey: Survey) -> tuple[str, ...]:
    return (survey.python.path or request.python or "python3", "-m", "torch.distributed.run")


def _agent(
    request: LaunchRequest, rank: int, size: int, nproc: int, address: str, port: int, attempt: int
) -> Iterator[str]:
    """torchrun's own options."""
    yield from ("--nnodes", str(size), "--node-rank", str(rank), "--nproc-per-node", str(nproc))
    if request.rendezvous == "static":
        yield from ("--master-addr", address, "--master-port", str(port))
    else:
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        yield from ("--rdzv-backend", "c10d", "--rdzv-endpoint", place, "--rdzv-id", f"{request.job_id}-{attempt}")
        yield from ("--rdzv-conf", f"is_host={'true' if rank == 0 else 'false'}")
    if request.max_restarts:
        yield from ("--max-restarts", str(request.max_restarts))
    # Without a log folder of its own torchrun leaves one behind in /tmp for each launch.
    yield from ("--log-dir", os.devnull)


def _script(request: LaunchRequest, survey: Survey, attempt: int) -> tuple[str, ...]:
    """The entry wrapper, and what it becomes."""
    script = survey.script
    if not request.script:
        script = f"{survey.lent}/{SCRIPT}"
    elif request.sync_code:
        script = str(PurePosixPath(_workdir(request, survey, attempt), request.script))
    return (f"{survey.lent}/entry.py", script, *request.words)


def _workdir(request: LaunchRequest, survey: Survey, attempt: int) -> str:
    """Code that was brought is run in its folder, or in one below it."""
    if not request.sync_code:
        return survey.workdir
    return str(PurePosixPath(survey.root, request.job_id, "code", str(attempt), request.workdir))


def _environment(request: LaunchRequest, survey: Survey, attempt: int) -> dict[str, str]:
    """What the ranks get beside what a login there has."""
    env = dict(request.environment)
    if request.rendezvous == "c10d" and request.max_restarts:
        env.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")  # else the second round hangs (pytorch #108158)
    if not survey.python.emitter:
        search = (env.get("PYTHONPATH", survey.pythonpath), f"{survey.lent}/{PACKAGES}")
        env["PYTHONPATH"] = os.pathsep.join(filter(None, search))
    return env | {
        "PYTHONUNBUFFERED": "1",
        "UGRO_JOB_ID": request.job_id,
        "UGRO_METRICS_DIR": survey.root,
        "UGRO_ATTEMPT": str(attempt),
    }


def _copies(request: LaunchRequest, names: Sequence[str], surveys: Sequence[Survey]) -> Iterator[str]:
    if request.sync_code:
        yield f"the code in {request.sync_code} to each node"
    lacking: dict[str, list[str]] = {}
    for name, survey in zip(names, surveys, strict=True):
        if not survey.has_lent:
            lacking.setdefault(visible(survey.lent, 200), []).append(name)
    for place, some in lacking.items():
        yield f"the emitter, the entry wrapper and the bundled script to {', '.join(some)}: {place}"
