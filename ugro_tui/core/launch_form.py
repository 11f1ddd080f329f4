"""What a person types to launch a job, checked field by field: a request, or what is wrong beside each field."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ugro_tui.core.errors import BadInput
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.launching import Backend, LaunchRequest, SlurmOptions
from ugro_tui.core.text import visible

T = TypeVar("T")

MOST_RANKS: Final = 1_024
"""Ranks a node, and restarts, beyond which a number is a slip."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class FormField:
    """A line of the form. `backends`: for which it counts; `more`: it is shown when more is asked for; `choices`: all
    that it can be."""

    name: str
    label: str
    hint: str = ""
    backends: tuple[Backend, ...] = tuple(Backend)
    more: bool = False
    choices: tuple[str, ...] = ()


_SSH, _SLURM = (Backend.SSH,), (Backend.SLURM,)
_TORCHRUN = (Backend.SSH, Backend.LOCAL)

FIELDS: Final = (
    FormField("name", "name", "the job's id: gpt-small"),
    FormField("script", "script", "empty: the configured default"),
    FormField("args", "arguments", "as in a shell: --steps 5000 --note 'two words'"),
    FormField("backend", "backend", choices=tuple(backend.value for backend in Backend)),
    FormField("nodes", "nodes", "empty: all", _SSH),
    FormField("nproc", "ranks a node", "empty: one a GPU"),
    FormField("python", "python", "empty: as configured"),
    FormField("workdir", "workdir", "empty: the home directory"),
    FormField("login", "login node", "the node that submits; empty: this machine", _SLURM),
    FormField("slurm_nodes", "node count", "1", _SLURM),
    FormField("partition", "partition", "empty: the site's default", _SLURM),
    FormField("account", "account", "empty: the site's default", _SLURM),
    FormField("time", "time limit", "empty: the site's default; 12:00:00", _SLURM),
    FormField("gpus", "GPUs a node", "empty: the site's default", _SLURM),
    FormField("extra", "sbatch options", "as in a shell: --qos=long --exclusive", _SLURM, more=True),
    FormField("master_addr", "master addr", "empty: the first node", _SSH, more=True),
    FormField("rendezvous", "rendezvous", backends=_SSH, more=True, choices=("static", "c10d")),
    FormField("restarts", "max restarts", "0", _TORCHRUN, more=True),
    FormField("env", "environment", "NCCL_DEBUG=INFO NOTE='two words'", more=True),
    FormField("secrets", "secrets", "HF_TOKEN=~/.hf_token (files)", more=True),
    FormField("sync_code", "copy code", "a directory here: copied first", more=True),
    FormField("resume", "resume", more=True, choices=("no", "yes")),
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
    values: Mapping[str, str], watched: Sequence[str], known: Collection[str]
) -> tuple[LaunchRequest, dict[str, str]]:
    """What was asked for, and what is wrong with it by the names of fields: only without that it can be launched.

    `watched`: the nodes that can be used; `known`: the jobs that exist.
    """
    form = _Form(values)
    resume = form.text("resume") == "yes"
    request = LaunchRequest(
        job_id=form.read("name", lambda text: _name(text, () if resume else known), ""),
        script=form.text("script"),
        args=form.read("args", _words, ()),
        backend=backend_of(values),
        nodes=form.read("nodes", lambda text: _nodes(text, watched), ()) if backend_of(values) is Backend.SSH else (),
        nproc=form.read("nproc", _number(1), None),
        python=form.text("python"),
        workdir=form.text("workdir"),
        master_addr=form.text("master_addr"),
        rendezvous=form.text("rendezvous") or "static",
        max_restarts=form.read("restarts", _number(0), None) or 0,
        environment=form.read("env", _variables, {}),
        secrets=form.read("secrets", _variables, {}),
        sync_code=form.text("sync_code"),
        resume=resume,
        slurm=_slurm(form, watched),
    )
    return request, form.errors


def _slurm(form: _Form, watched: Sequence[str]) -> SlurmOptions:
    return SlurmOptions(
        login=form.read("login", lambda text: "".join(_nodes(text, watched)) if text else "", ""),
        nodes=form.read("slurm_nodes", _number(1), None) or 1,
        partition=form.text("partition"),
        account=form.text("account"),
        time=form.text("time"),
        gpus_per_node=form.read("gpus", _number(0), None),
        extra=form.read("extra", _words, ()),
    )


def _name(text: str, known: Collection[str]) -> str:
    if not text:
        raise BadInput("a job needs a name: letters, digits, '.', '_' or '-'")
    if checked_job_id(text) in known:
        raise BadInput(
            f"job {text} exists already: take another name, or set resume to yes (ctrl+o) for its next attempt"
        )
    return text


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise BadInput(f"{str(error).lower()}: close the quote, or write \\' or \\\" for one that is meant") from None


def _nodes(text: str, watched: Sequence[str]) -> tuple[str, ...]:
    named = tuple(text.replace(",", " ").split()) or tuple(watched)
    for place, name in enumerate(named):
        if name not in watched:
            raise BadInput(f"no node {visible(name, 40)} is watched: take of {', '.join(watched)}")
        if name in named[:place]:
            raise BadInput(f"{name} is named twice: name each node once")
    if not named:
        raise BadInput("no node is watched yet: wait for them, or take the backend local")
    return named


def _number(least: int) -> Callable[[str], int | None]:
    def made(text: str) -> int | None:
        if text and not (text.isdecimal() and text.isascii() and least <= int(text) <= MOST_RANKS):
            raise BadInput(f"{visible(text, 20)} is no number from {least} to {MOST_RANKS:,}")
        return int(text) if text else None

    return made


def _variables(text: str) -> dict[str, str]:
    pairs = [word.partition("=") for word in _words(text)]
    for name, sign, _ in pairs:
        if not sign or not _VARIABLE.fullmatch(name):
            raise BadInput(f"{visible(name, 40)} is no NAME=VALUE: write it so, with quotes around blanks")
    return {name: value for name, _, value in pairs}
