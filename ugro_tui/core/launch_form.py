"""What a person types to launch a job, checked field by field: a request, or what is wrong beside each field."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ugro_tui.core.errors import BadInput
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.launching import RESUME, Backend, LaunchRequest, SlurmOptions
from ugro_tui.core.node_choice import how_to_watch, named_nodes
from ugro_tui.core.own_options import other_job, without_own
from ugro_tui.core.rank import LOCAL
from ugro_tui.core.text import visible

T = TypeVar("T")

MOST_RANKS: Final = 1_024
"""Ranks a node, and restarts, beyond which a number is a slip."""

FIRST, NEXT, RESUMED = ATTEMPTS = ("first", "next", "resume")
"""A job that is new; the next attempt of one that exists, anew or from its checkpoint (`RESUME`)."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TIME: Final = re.compile(r"\d+(?:-\d{1,2})?(?::\d{1,2}){0,2}|infinite|unlimited", re.ASCII | re.IGNORECASE)
_COUNTED: Final = re.compile(r"(.*?)-(\d{1,3})", re.ASCII)  # a longer number is a date or a time: it counts nothing


@dataclass(frozen=True, slots=True)
class FormField:
    """A line of the form. `backends`: for which it counts; `more`: it is shown when more is asked for; `choices`: all
    that it can be; `here`: the hint where this machine is to run it, if that is another one."""

    name: str
    label: str
    hint: str = ""
    backends: tuple[Backend, ...] = tuple(Backend)
    more: bool = False
    choices: tuple[str, ...] = ()
    here: str = ""

    def hint_for(self, backend: Backend) -> str:
        """What stands there while nothing is typed."""
        return self.here if self.here and backend is Backend.LOCAL else self.hint


_SSH, _SLURM = (Backend.SSH,), (Backend.SLURM,)
_TORCHRUN = (Backend.SSH, Backend.LOCAL)

FIELDS: Final = (
    FormField("name", "name", "the job's id: gpt-small"),
    FormField("resume", "attempt", more=True, choices=ATTEMPTS),
    FormField("script", "script", "empty: the configured default"),
    FormField("args", "arguments", "as in a shell: --note 'two words'"),
    FormField("backend", "backend", choices=tuple(backend.value for backend in Backend)),
    FormField("nodes", "nodes", "empty: all of them", _SSH),
    FormField("login", "login node", "submits; empty: this machine", _SLURM),
    FormField("slurm_nodes", "node count", "1", _SLURM),
    FormField("gpus", "GPUs a node", "empty: the site's default", _SLURM),
    FormField("nproc", "ranks a node", "empty: one a GPU"),
    FormField("partition", "partition", "empty: the site's default", _SLURM),
    FormField("time", "time limit", "12:00:00; empty: the site's", _SLURM),
    FormField("python", "python", "empty: as configured"),
    FormField("workdir", "workdir", "empty: the home directory", here="empty: where ugro-tui runs"),
    FormField("account", "account", "empty: the site's default", _SLURM, more=True),
    FormField("extra", "sbatch options", "--qos=long --exclusive", _SLURM, more=True),
    FormField("master_addr", "master addr", "empty: the first node", _SSH, more=True),
    FormField("rendezvous", "rendezvous", backends=_SSH, more=True, choices=("static", "c10d")),
    FormField("restarts", "max restarts", "0", _TORCHRUN, more=True),
    FormField("scope", "systemd scope", backends=_TORCHRUN, more=True, choices=("auto", "user", "none")),
    FormField("env", "environment", "NCCL_DEBUG=INFO NOTE='two words'", more=True),
    FormField("secrets", "secrets", "NAME (asked for), or NAME=FILE", more=True),
    FormField("sync_code", "copy code", "a directory here: copied first", more=True),
)  # fmt: skip


def backend_of(values: Mapping[str, str]) -> Backend:
    """What is to start the ranks; SSH where nothing was chosen."""
    chosen = values.get("backend", "")
    return next((backend for backend in Backend if backend.value == chosen), Backend.SSH)


class _Form:
    """Reads the values one by one and keeps what is wrong with them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        backend = backend_of(values)
        counted = {field.name for field in FIELDS if backend in field.backends}
        self._values = {name: text.strip() for name, text in values.items() if name in counted}
        self.errors: dict[str, str] = {}

    def text(self, name: str) -> str:
        return self._values.get(name, "")

    def read(self, name: str, made: Callable[[str], T], otherwise: T) -> T:
        try:
            return made(self.text(name))
        except BadInput as error:
            self.errors[name] = str(error)
            return otherwise


def request_of(
    values: Mapping[str, str], watched: Sequence[str], taken: Collection[str]
) -> tuple[LaunchRequest, dict[str, str]]:
    """What was asked for, and what is wrong with it by the names of fields: only without that it can be launched.

    `watched`: the nodes that can be used; `taken`: names of jobs that exist.
    """
    form = _Form(values)
    attempt, ssh = form.text("resume") or FIRST, backend_of(values) is Backend.SSH
    request = LaunchRequest(
        job_id=form.read("name", lambda text: _name(text, taken, attempt), ""),
        script=form.text("script"),
        args=form.read("args", _words, ()),
        backend=form.read("backend", lambda text: _backend(text, watched), Backend.SSH),
        nodes=form.read("nodes", lambda text: named_nodes(text, watched), ()) if ssh else (),
        nproc=form.read("nproc", _number(1), None),
        python=form.text("python"),
        workdir=form.text("workdir"),
        master_addr=form.text("master_addr"),
        rendezvous=form.text("rendezvous") or "static",
        max_restarts=form.read("restarts", _number(0), None) or 0,
        environment=form.read("env", _variables, {}),
        secrets=form.read("secrets", _secrets, {}),
        sync_code=form.text("sync_code"),
        resume=attempt != FIRST,
        from_checkpoint=attempt == RESUMED,
        scope=form.text("scope") or "auto",
        slurm=_slurm(form, watched),
    )
    if request.max_restarts and request.rendezvous == "static" and len(request.nodes) > 1:
        form.errors["restarts"] = "on several nodes a restart hangs with a static rendezvous: choose c10d above"
    if request.job_id and (other := other_job(request.args, request.job_id)):
        form.errors["args"] = other
    return request, {field.name: form.errors[field.name] for field in FIELDS if field.name in form.errors}


def values_of(request: LaunchRequest, watched: Sequence[str]) -> dict[str, str]:
    """The fields filled in so that they ask for this, but for options that belong to a plan; `watched`: the nodes that
    can be used."""
    slurm, every = request.slurm, not request.nodes or request.nodes == tuple(watched)
    values = {
        "name": request.job_id,
        "resume": NEXT if request.resume else FIRST,
        "script": request.script,
        "args": shlex.join(without_own(request.args)),
        "backend": request.backend.value,
        "nodes": "" if every else ",".join(request.nodes),
        "nproc": _typed(request.nproc),
        "python": request.python,
        "workdir": request.workdir,
        "login": slurm.login,
        "slurm_nodes": str(slurm.nodes),
        "partition": slurm.partition,
        "account": slurm.account,
        "time": slurm.time,
        "gpus": _typed(slurm.gpus_per_node),
        "extra": shlex.join(slurm.extra),
        "master_addr": request.master_addr,
        "rendezvous": request.rendezvous,
        "restarts": str(request.max_restarts or ""),
        "scope": request.scope,
        "env": _assigned(request.environment),
        "secrets": " ".join(f"{name}={shlex.quote(path)}" if path else name for name, path in request.secrets.items()),
        "sync_code": request.sync_code,
    }
    return values | ({"slurm_nodes": ""} if request.backend is not Backend.SLURM else {})


def args_again(text: str) -> str:
    """What was typed as arguments, as it is offered for another launch: without options that belong to a plan."""
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    kept = without_own(words)
    return text if len(kept) == len(words) else shlex.join(kept)


def _typed(number: int | None) -> str:
    return "" if number is None else str(number)


def _assigned(variables: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())


def free_name(name: str, taken: Collection[str]) -> str:
    """This name, or the next one that is not taken: gpt-2 after gpt."""
    counted = _COUNTED.fullmatch(name)
    stem, number = (counted[1], int(counted[2])) if counted else (name, 1)
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name


def _backend(text: str, watched: Sequence[str]) -> Backend:
    """What was chosen. A job on a machine that nobody watches would never be seen here."""
    backend = backend_of({"backend": text})
    if backend is Backend.LOCAL and watched and LOCAL not in watched:
        raise BadInput(f"this machine is not watched: {how_to_watch((LOCAL, *watched))}, or take ssh")
    return backend


def _slurm(form: _Form, watched: Sequence[str]) -> SlurmOptions:
    return SlurmOptions(
        login=form.read("login", lambda text: "".join(named_nodes(text, watched)) if text else "", ""),
        nodes=form.read("slurm_nodes", _number(1), None) or 1,
        partition=form.text("partition"),
        account=form.text("account"),
        time=form.read("time", _time, ""),
        gpus_per_node=form.read("gpus", _number(0), None),
        extra=form.read("extra", _words, ()),
    )


def _name(text: str, taken: Collection[str], attempt: str) -> str:
    if not text:
        raise BadInput("a job needs a name: letters, digits, '.', '_' or '-'")
    if checked_job_id(text) in taken and attempt == FIRST:
        raise BadInput(f"job {text} exists already: take another name; or its next attempt, anew or with {RESUME}")
    return text


def _time(text: str) -> str:
    if text and not _TIME.fullmatch(text):
        raise BadInput(f"{visible(text, 20)} is no time: write minutes, 12:00:00 or 2-12:00:00")
    return text


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise BadInput(f"{str(error).lower()}: close the quote, or write \\' or \\\" for one that is meant") from None


def _number(least: int) -> Callable[[str], int | None]:
    def made(text: str) -> int | None:
        if text and not (text.isdecimal() and text.isascii() and least <= int(text) <= MOST_RANKS):
            raise BadInput(f"{visible(text, 20)} is no number from {least} to {MOST_RANKS:,}")
        return int(text) if text else None

    return made


def _secrets(text: str) -> dict[str, str]:
    """Names to files; to an empty one where a person is to be asked."""
    pairs = [word.partition("=") for word in _words(text)]
    for name, sign, path in pairs:
        if not _VARIABLE.fullmatch(name):
            raise BadInput(f"{visible(name, 40)} is no name of a variable: write NAME=FILE; or NAME to be asked for it")
        if sign and not path:
            raise BadInput(f"{name} has no file: write {name}=FILE; or {name} alone to be asked for it")
    return {name: path for name, _, path in pairs}


def _variables(text: str) -> dict[str, str]:
    pairs = [word.partition("=") for word in _words(text)]
    for name, sign, _ in pairs:
        if not sign or not _VARIABLE.fullmatch(name):
            raise BadInput(f"{visible(name, 40)} is no NAME=VALUE: write it so, with quotes around blanks")
    return {name: value for name, _, value in pairs}
