"""Event files brought by rsync, where a site prefers it to the built-in way. Everything else comes as always."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ugro_tui.core.layout import FileKind, classify
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Node, NodeError
from ugro_tui.nodes.executed import ExecutedLog

SECONDS = 600.0
"""How long rsync may take for one job of one node."""

_PARTIAL = (23, 24)
"""rsync's exit codes where some files could not be brought, or had vanished."""


@dataclass(frozen=True, slots=True)
class Found:
    """Event files of one job, by their paths below `folder` on the node."""

    node: str
    folder: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rsync:
    """How rsync reaches a node: `ssh` is the command that it runs, `target` the host, `root` the metrics directory.

    What it runs is written into `log`.
    """

    ssh: tuple[str, ...]
    target: str
    root: str
    log: ExecutedLog | None = None

    def find(self, node: Node, job_id: str) -> Found:
        """The event files of a job on `node`: those that the protocol knows.

        Raises:
            NodeError: the node cannot be asked.
        """
        folder = f"{self._absolute(node)}/{job_id}/tensorboard"
        return Found(node.name, folder, tuple(_listed(node, folder)))

    def bring(self, found: Found, into: Path) -> tuple[int, int]:
        """Copy event files into the folder `into`; how many changed, and how many bytes came for them.

        The files are named to rsync one by one, and neither links nor devices come with them. They are changed in
        place: TensorBoard waits for ever for a file that was renamed away.

        Raises:
            NodeError: rsync is missing, or could not bring all of it; says why and what to do.
        """
        if not found.paths:
            return 0, 0
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
        options = "-a --inplace --no-links --no-devices --no-specials --no-owner --no-group --chmod=D700,F600"
        command = ["rsync", *options.split(), "--protect-args", "--files-from=-", "--out-format=%i %b"]
        command += ["-e", shlex.join(self.ssh), f"{self.target}:{found.folder}/", f"{into}/"]
        with self._noted(found.node, command) as ended:
            done = _run(found.node, command, "\n".join(found.paths).encode())
            ended(done.returncode)
        changed = [line.split() for line in done.stdout.decode(errors="replace").splitlines() if line.startswith(">f")]
        if done.returncode:
            said = visible(done.stderr.decode(errors="replace").strip().rpartition("\n")[2], 200)
            some = "not all event files came" if done.returncode in _PARTIAL else "rsync failed"
            raise NodeError(f'{found.node}: {some}: {said}: mend it on the node, or set engine = "builtin"')
        return len(changed), sum(int(words[1]) for words in changed if words[1].isdigit())

    def _noted(self, node: str, command: Sequence[str]) -> AbstractContextManager[Callable[[int], None]]:
        return nullcontext(lambda _: None) if self.log is None else self.log.running(node, command)

    def _absolute(self, node: Node) -> str:
        """The metrics directory without `~`: what rsync takes for home may be another than the shell's."""
        if not self.root.startswith("~"):
            return self.root
        home = node.run(["sh", "-c", 'printf %s "$HOME"'], seconds=10.0).out.decode(errors="replace")
        return home + self.root[1:]


def _listed(node: Node, folder: str) -> Sequence[str]:
    """The event files of a job, relative to its folder of them."""
    found = node.run(["find", folder, "-mindepth", "2", "-maxdepth", "2", "-type", "f"], seconds=30.0)
    names = (line.removeprefix(f"{folder}/") for line in found.out.decode(errors="replace").splitlines())
    return [name for name in names if (file := classify(f"tensorboard/{name}")) and file.kind is FileKind.EVENTS]


def _run(node: str, command: Sequence[str], names: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, input=names, capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise NodeError(
            f'{node}: rsync is not installed on this machine: install it, or set engine = "builtin"'
        ) from None
    except subprocess.TimeoutExpired:
        raise NodeError(
            f"{node}: rsync was not done within {SECONDS:.0f} s: it goes on where it stopped next time"
        ) from None
