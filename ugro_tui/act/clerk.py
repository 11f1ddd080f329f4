"""What a launcher writes and reads on the shared filesystem of a Slurm cluster, through the login node."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ugro_tui.act.errors import LaunchError
from ugro_tui.act.lent import ENTRY, find_bundled
from ugro_tui.act.sites import Site
from ugro_tui.act.standing import OVER
from ugro_tui.core.launching import LaunchRequest
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import NodeLied, NodeUnfit, Ran
from ugro_tui.nodes.bootstrap import NO_PYTHON, argv_of, batch_program, clerk_program

ASK_SECONDS, COPY_SECONDS = 30.0, 300.0
"""How long the login node may take for an answer, a busy shared filesystem included; and to take in code."""

BUNDLED = "train_production.py"
"""The script that is brought where none is named."""

Answered = TypeVar("Answered")


class Manifest(msgspec.Struct, frozen=True):
    """What job.json says, as far as it is needed here."""

    backend: str = ""
    status: str = ""
    attempt: int = 1
    token: str = ""
    slurm_job_id: str = ""
    slurm_nodes: str = ""
    said: str = ""
    exit_code: int | None = None
    signal: int | None = None
    ended: float | None = None
    stop_asked: str = ""
    exits: dict[int, int] = msgspec.field(default_factory=dict)
    request: LaunchRequest | None = None

    @property
    def over(self) -> bool:
        """Whether an end is written there."""
        return self.status in OVER


class Told(msgspec.Struct, frozen=True):
    """The job's directory, if it `exists`; `found`: this launch had made it before."""

    manifest: Manifest = Manifest()
    exists: bool = True
    found: bool = False


class Survey(Told, frozen=True, kw_only=True):
    """Where things lie on the cluster, and whether they are there. `blank`: no rank has written a record; `saved`:
    whether a checkpoint of the job is known of, where that was asked and can be told."""

    root: str
    workdir: str
    script: str
    python: str
    has_workdir: bool
    has_script: bool
    has_python: bool
    has_sbatch: bool
    writable: bool
    blank: bool = False
    saved: bool | None = None


class _Answer(msgspec.Struct):
    problem: str = ""
    told: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass(frozen=True)
class Clerk:
    """A login node, and the metrics directory of its cluster."""

    site: Site

    @property
    def name(self) -> str:
        """The login node as users call it."""
        return self.site.name

    def run(self, argv: Sequence[str], stdin: bytes = b"", seconds: float = ASK_SECONDS, said: str = "") -> Ran:
        """Run a command there to its end; `said` is how it is told of to people, where it is not as it stands.

        Raises:
            NodeError: it could not be run, or not within so many seconds.
        """
        began, well = time.monotonic(), False
        try:
            with self.site.lock:
                ran = self.site.node.run(argv, stdin=stdin, seconds=seconds)
            well = ran.code == 0
        finally:
            if said:  # a command is written down by the one who runs it
                self.site.note(self.name, said, well, time.monotonic() - began)
        return ran

    def ask(self, do: str, job_id: str, kind: type[Answered], payload: bytes = b"", /, **more: Any) -> Answered:
        """What `helper_clerk` answers. What is asked goes over its standard input alone: it may hold secrets.

        Raises:
            NodeError: the login node cannot be asked, or what comes is no answer.
            LaunchError: it was not done; says why.
        """
        program, mark = clerk_program(), secrets.token_hex(8)
        request = json.dumps({"do": do, "root": self.site.root, "job": job_id, **more}).encode() + b"\n" + payload
        seconds = COPY_SECONDS if payload else ASK_SECONDS
        ran = self.run(argv_of(program, mark), program + request, seconds, f"ugro-tui's clerk: {do} {job_id}")
        data = ran.out.partition(mark.encode())[2]  # a login script may print something before
        if not data or data.startswith(NO_PYTHON):
            said = visible(ran.err.decode("utf-8", "replace").strip(), 200)
            raise NodeUnfit(f"{self.name}: it runs no Python >= 3.6 for us{f': {said}' if said else ''}: install one")
        try:
            answer = msgspec.json.decode(data, type=_Answer)
            if not answer.problem:
                return msgspec.json.decode(answer.told, type=kind, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NodeLied(f"{self.name}: no answer to {do}: {visible(str(error), 200)}") from None
        raise LaunchError(f"{self.name}: {visible(answer.problem, 500)}")


def brought() -> dict[str, str]:
    """What a job needs beside its script, by the paths below its `launch/`.

    Raises:
        LaunchError: this installation does not hold it.
    """
    script, emitter = find_bundled(Path(__file__).resolve().parents[1])
    package = {f"packages/ugro_emitter/{path.name}": path for path in sorted((emitter / "ugro_emitter").glob("*.py"))}
    files = {"entry.py": ENTRY, BUNDLED: script, **package}
    return {name: path.read_text(encoding="utf-8") for name, path in files.items()} | {"clerk.py": batch_program()}
