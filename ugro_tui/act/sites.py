"""Nodes as a launcher sees them: asked one question at a time, by the program that is sent with each."""

from __future__ import annotations

import functools
import json
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from ugro_tui.act.errors import LaunchError
from ugro_tui.core.redaction import words_without_secrets
from ugro_tui.core.text import visible
from ugro_tui.nodes.answerer import Answerer
from ugro_tui.nodes.base import NodeLied
from ugro_tui.nodes.bootstrap import launch_program
from ugro_tui.nodes.carriers import Host
from ugro_tui.nodes.executed import HELPER

Answered = TypeVar("Answered")


class Python(msgspec.Struct, frozen=True):
    """What an interpreter says of itself; `problem`: why it does not run. `torch`: its version, None without."""

    problem: str = ""
    path: str = ""
    version: str = ""
    torch: str | None = None
    emitter: bool = False


class Gpu(msgspec.Struct, frozen=True):
    """A GPU's memory in bytes."""

    index: int
    used: int
    total: int


class Exit(msgspec.Struct, frozen=True):
    """How an agent ended: one of `code` and `signal` is None. `at`: Unix seconds by the node's clock."""

    at: float
    code: int | None = None
    signal: int | None = None


class Scope(msgspec.Struct, frozen=True):
    """Whether a scope of the user's systemd can hold a job; see `helper_scope.scope`."""

    problem: str = ""
    lingers: bool = False
    kills: bool = False


class Command(msgspec.Struct, frozen=True):
    """What our program has run on a node besides; `code`: None where that did not end in time."""

    argv: list[str]
    seconds: float
    code: int | None = None


class Look(msgspec.Struct, frozen=True):
    """What a node says of a job; `exits` and `tails` of agents' output by the node's rank, `fresh` ranks,
    those that are `beating`: whose heartbeat is new, and those that are `talking`: that have written into their logs.

    `pids` are the first of those that are `alive`. `mine`: the launch has the token that was asked for; `blank`: it
    failed before a rank wrote a record; `said`: the ends of the output of some ranks, where an agent has failed.
    """

    exists: bool
    manifest: dict[str, Any]
    ours: bool
    mine: bool
    blank: bool
    alive: int
    watched: int
    supervisors: list[str]
    exits: dict[str, Exit]
    fresh: list[int]
    beating: list[int]
    talking: list[int]
    tails: dict[str, str]
    time: float
    pids: list[int] = msgspec.field(default_factory=list)
    said: dict[str, str] = msgspec.field(default_factory=dict)
    were: int = 0
    left: list[int] = msgspec.field(default_factory=list)


class Survey(Look, frozen=True, kw_only=True):
    """What must be known of a node before something is started there. Paths are absolute, sizes bytes. `saved`: whether
    a checkpoint of the job is known of, where that was asked and can be told."""

    root: str
    host: str
    workdir: str
    script: str
    lent: str
    has_lent: bool
    has_workdir: bool
    has_script: bool
    writable: bool
    free: int
    inodes: int | None
    python: Python
    pythonpath: str
    port: int | None
    gpus: list[Gpu]
    scope: Scope
    saved: bool | None = None
    ran: list[Command] = msgspec.field(default_factory=list)


class Began(msgspec.Struct, frozen=True):
    """An agent began, by the node's clock; `found`: it had begun before; `emits`: its script names the emitter."""

    began: float
    found: bool = False
    emits: bool = True


class Done(msgspec.Struct, frozen=True):
    """Nothing is to be said."""


class _Problem(msgspec.Struct, frozen=True):
    problem: str = ""


@dataclass(frozen=True)
class Site:
    """A node, its metrics directory as it spells it, and how other nodes reach it. Threads take turns."""

    node: Host
    root: str
    address: Callable[[], str]
    note: Callable[[str, str, bool, float], None] = lambda *_: None
    """Takes node, command, whether it went well, and seconds, of what was run there."""
    lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    @property
    def name(self) -> str:
        """As users call it."""
        return self.node.name

    @functools.cached_property
    def _answerer(self) -> Answerer:
        return Answerer(self.node, launch_program)

    def ask(
        self,
        action: str,
        words: Mapping[str, Any],
        kind: type[Answered],
        *,
        payload: bytes = b"",
        seconds: float = 30.0,
    ) -> Answered:
        """What the node answers, within so many seconds.

        Raises:
            NodeError: it cannot be asked, or what comes is no answer.
            LaunchError: it has not done it; says why.
        """
        request = json.dumps({"action": action, "root": self.root, "payload": len(payload), **words}).encode()
        began, well = time.monotonic(), False
        try:
            with self.lock:
                data = self._answerer.ask(request + b"\n" + payload, seconds)
            found = self._told(action, data, kind)
            well = True
        finally:
            self.note(self.name, _spelled(action, words), well, time.monotonic() - began)
        for one in found.ran if isinstance(found, Survey) else ():
            self.note(self.name, visible(shlex.join(one.argv)), one.code == 0, one.seconds)
        return found

    def close(self) -> None:
        """Let go of the node; what was started there runs on."""
        self._answerer.close()
        self.node.close()

    def _told(self, action: str, data: bytes, kind: type[Answered]) -> Answered:
        try:
            problem = msgspec.json.decode(data, type=_Problem).problem
            if not problem:
                return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NodeLied(f"{self.name}: no answer to {action}: {visible(str(error), 200)}") from None
        raise LaunchError(f"{self.name}: {visible(problem, 500)}")


SCOPED = ("systemd-run", "--user", "--scope", "--")


def _spelled(action: str, words: Mapping[str, Any]) -> str:
    """What was run, for people: the command that was started, or what our program was asked for."""
    if action == "start":
        argv = [*(SCOPED if words.get("scope") else ()), *words_without_secrets(words["argv"])]
        return visible(shlex.join(argv), 2000)
    return f"{HELPER}{action} {words.get('job', '')}"
