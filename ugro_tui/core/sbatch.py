"""The script that Slurm is given for a job: one torchrun a node, and a word in job.json at the beginning and the end.

It holds all that was asked for as it was given: what sbatch or a shell cannot carry is refused, never changed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ugro_tui.core.errors import BadInput
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.launching import LaunchRequest
from ugro_tui.core.text import visible

EXPORTED = "HOME,LANG,LC_ALL,LD_LIBRARY_PATH,LOGNAME,MODULEPATH,MODULESHOME,PATH,SHELL,USER"
"""Variables of whoever submits that go with the job, beside those of Slurm."""

MARK = "ugro:"
"""Stands before the launch token in the comment of a job: so a launch is known that was cut off while it submitted."""

_OPTION = re.compile(r"--([a-z][a-z0-9-]*)(?:=(.*))?", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./\[\]-]+", re.ASCII)

# Said by the plan, or by the command line that submits.
_OURS = re.compile(
    "account|array|chdir|comment|error|export(-file)?|get-user-env|[gu]id|gpus-per-node|job-name|nodes|ntasks(-per-node)?|"
    "open-mode|output|parsable|partition|test-only|time|wait|wrap"
)

SECRETS = "secrets.json"
"""The file beside the script's programs that holds secrets, for its owner alone; see `nodes/helper_batch.py`."""

_LONGEST = 4_000
"""Characters of one option: sbatch reads 8,192 bytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where things lie on the shared filesystem, as the login node found them: `root` is the metrics directory.

    All are absolute, but a `python` that is searched for. `lent`: the folder that holds what we bring.
    """

    root: str
    workdir: str
    python: str
    script: str
    lent: str


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt of a job: `nproc` ranks a node, marked by `token`."""

    attempt: int
    token: str
    nproc: int


def script_of(request: LaunchRequest, place: Place, run: Run) -> str:
    """What `sbatch` gets on its standard input.

    Raises:
        BadInput: something cannot be carried by sbatch or by a shell; says what and why.
    """
    check_request(request)
    _check_place(place)
    folder = f"{place.root}/{request.job_id}"
    clerk = shlex.join((place.python, f"{place.lent}/clerk.py", folder))
    torchrun = (f"{place.lent}/entry.py", place.script, *request.words)
    lines = [
        "#!/bin/sh",
        *(f"#SBATCH {_directive(name, value)}" for name, value in _options(request, run, place)),
        "",
        f"cd {shlex.quote(place.workdir)} || exit 72",
        *(f"export {name}={shlex.quote(value)}" for name, value in _environment(request, run, place)),
        # A requeue runs the script once more: another attempt.
        f"export UGRO_ATTEMPT=$(({run.attempt} + ${{SLURM_RESTART_COUNT:-0}}))",
        f'export PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}"{shlex.quote(f"{place.lent}/packages")}',
        # Since Slurm 22.05 a step does not ask for the cores of its job by itself.
        '[ -z "$SLURM_CPUS_PER_TASK" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"',
        # torchrun would allow one thread a rank.
        f"threads=$((SLURM_CPUS_ON_NODE > {run.nproc} ? SLURM_CPUS_ON_NODE / {run.nproc} : 1))",
        'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$threads}"',
        *_master(request),
        "port=$((20000 + SLURM_JOB_ID % 10000))",
        # A shell that ends at SIGTERM could not tell how the job ended.
        "told=no",
        "trap 'told=yes' TERM",
        "",
        f"{clerk} running",
        f"srun --export=ALL --kill-on-bad-exit=1 --ntasks-per-node=1 sh -c {shlex.quote(_agent(request))} \\",
        f"  {shlex.quote(place.python)} {_torchrun(request, run)} \\",
        f"  {shlex.join(torchrun)}",
        "code=$?",
        # What Slurm ends it ends as a whole: who writes down the end is spared.
        "trap '' TERM",
        f'{clerk} ended "$code" "$told"',
        'exit "$code"',
    ]
    return "\n".join(lines) + "\n"


def _agent(request: LaunchRequest) -> str:
    """What runs on each node; the number of a node is known there alone."""
    host = ' --rdzv-conf "is_host=$((SLURM_NODEID == 0))"' if request.rendezvous == "c10d" else ""
    return f'exec "$0" -m torch.distributed.run --node-rank "$SLURM_NODEID"{host} "$@"'


def agent_command(request: LaunchRequest, place: Place, run: Run) -> tuple[str, ...]:
    """The torchrun of each node, for people: what is known on the node alone stands there by its name."""
    torchrun = _torchrun(request, run).replace('"', "").split()
    head = (place.python, "-m", "torch.distributed.run", "--node-rank", "$SLURM_NODEID")
    return (*head, *torchrun, f"{place.lent}/entry.py", place.script, *request.words)


def check_request(request: LaunchRequest) -> None:
    """Refuse what Slurm cannot be asked for.

    Raises:
        BadInput: what, and why.
    """
    checked_job_id(request.job_id)
    _check_numbers(request)
    for text in (request.script, *request.args, request.python, request.workdir, *request.environment.values()):
        _check_text(text)
    _check_text(request.master_addr)
    for name in (*request.environment, *request.secrets):
        if not _VARIABLE.fullmatch(name):
            raise BadInput(f"{_shown(name)} cannot name an environment variable: use letters, digits and '_'")


def _check_place(place: Place) -> None:
    for path in (place.root, place.workdir, place.script):
        _check_text(path)
        if not path.startswith("/"):
            raise BadInput(f"{_shown(path)} is not a whole path of the cluster: begin with / or ~/")
    if "\\" in place.root:
        raise BadInput(f"Slurm cannot write logs below {_shown(place.root)}: name a metrics directory without '\\'")


def _check_numbers(request: LaunchRequest) -> None:
    gpus = request.slurm.gpus_per_node
    numbers = (("number of nodes", request.slurm.nodes, 1), ("number of ranks a node", request.nproc, 1))
    for name, value, least in (*numbers, ("number of GPUs a node", gpus, 0)):
        if value is not None and value < least:
            raise BadInput(f"the {name} of job {request.job_id} cannot be {value}: it is at least {least}")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise BadInput(f"{_shown(text)} holds a zero byte, which ends a text for every program: leave it out")
    if "\r\n" in text:
        raise BadInput(
            f"{_shown(text)} holds a line end of Windows, and sbatch refuses every script with one: leave it out"
        )
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadInput(f"{_shown(text)} holds a character that cannot be given to a program: leave it out") from None


def _options(request: LaunchRequest, run: Run, place: Place) -> Iterator[tuple[str, str | None]]:
    slurm = request.slurm
    yield "job-name", request.job_id
    yield "comment", MARK + run.token
    yield "nodes", str(slurm.nodes)
    yield "ntasks-per-node", "1"
    if slurm.gpus_per_node:
        yield "gpus-per-node", str(slurm.gpus_per_node)
    for name, value in (("partition", slurm.partition), ("account", slurm.account), ("time", slurm.time)):
        if value:
            yield name, value
    yield "output", f"{place.root.replace('%', '%%')}/{request.job_id}/logs/slurm-%j.out"
    yield "open-mode", "append"
    yield "chdir", place.root
    yield "export", EXPORTED
    # Who runs again is a new attempt, which is for a person to begin; --requeue among the options has its way.
    yield "no-requeue", None
    yield from map(_extra, slurm.extra)


def _extra(text: str) -> tuple[str, str | None]:
    found = _OPTION.fullmatch(text)
    if found is None:
        raise BadInput(f"{_shown(text)} is not an option of sbatch as it is needed here: write --name or --name=value")
    if _OURS.fullmatch(found.group(1)):
        raise BadInput(f"the option --{found.group(1)} of sbatch is set by the launch itself: leave it out")
    return found.group(1), found.group(2)


def _directive(name: str, value: str | None) -> str:
    """`--name=value` as sbatch reads it behind #SBATCH: quotes and backslashes as in C, one line, no comment."""
    if value is None:
        return f"--{name}"
    if not value.isprintable() or len(value) > _LONGEST:
        raise BadInput(
            f"the option --{name} of sbatch cannot be {_shown(value)}: one line of at most {_LONGEST} characters that "
            "can be seen"
        )
    if _PLAIN.fullmatch(value):
        return f"--{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'--{name}="{escaped}"'


def _environment(request: LaunchRequest, run: Run, place: Place) -> Iterator[tuple[str, str]]:
    yield from request.environment.items()
    yield "PYTHONUNBUFFERED", "1"
    yield "UGRO_JOB_ID", request.job_id
    yield "UGRO_METRICS_DIR", place.root
    yield "UGRO_LAUNCH_TOKEN", run.token
    if request.secrets:
        yield "UGRO_SECRETS", f"{place.lent}/{SECRETS}"


def _master(request: LaunchRequest) -> Iterator[str]:
    """All ranks meet on the first node, by the address by which Slurm itself reaches it: names need not resolve."""
    if request.master_addr:
        yield f"master={shlex.quote(request.master_addr)}"
        return
    yield 'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)'
    yield r"""master=$(scontrol show node "$first" | sed -n 's/^.*NodeAddr=\([^ (]*\).*$/\1/p')"""
    yield 'master="${master:-$first}"'


def _torchrun(request: LaunchRequest, run: Run) -> str:
    """The options of torchrun; without a log folder of its own it leaves one behind in /tmp for each launch."""
    shape = f'--nnodes "$SLURM_NNODES" --nproc-per-node {run.nproc} --max-restarts {request.max_restarts}'
    if request.rendezvous == "c10d":
        meeting = f'--rdzv-backend c10d --rdzv-endpoint "$master:$port" --rdzv-id {request.job_id}'
    else:
        meeting = '--master-addr "$master" --master-port "$port"'
    return f"{shape} --log-dir /dev/null {meeting}"


def _shown(text: str) -> str:
    return repr(visible(text, 120))
