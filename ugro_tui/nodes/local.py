"""This machine as a node: a directory of jobs, read in place."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ugro_tui.core.health import NodeHealth
from ugro_tui.core.health_facts import told
from ugro_tui.core.layout import node_layout
from ugro_tui.core.text import visible
from ugro_tui.nodes import helper, helper_health
from ugro_tui.nodes.base import (
    Ask,
    NodeDenied,
    NodeError,
    NodeMissing,
    NodeSilent,
    Probe,
    Ran,
    Reply,
)
from ugro_tui.nodes.carriers import CAP_OF_RUN, Stream
from ugro_tui.nodes.health_pace import HEALTH_FRESH_SECONDS, HEALTH_WAIT_SECONDS
from ugro_tui.nodes.helper_files import Shelves
from ugro_tui.nodes.probing import probe_of
from ugro_tui.nodes.processes import ProcessStream
from ugro_tui.nodes.wire import reply_of, request_of

MAX_FETCH = 8 << 20
"""Bytes read per look, so that a job of thousands of ranks is not taken into memory at once."""


class LocalNode:
    """A directory of jobs on this machine. `time` gives Unix seconds by this machine's clock.

    `layout` says where the files lie (`core.layout`); the default is that of a metrics directory.
    """

    via = "in place"

    def __init__(
        self,
        root: Path,
        time: Callable[[], float],
        name: str = "local",
        layout: list[dict[str, Any]] | None = None,
    ) -> None:
        self._root = root
        self._time = time
        self._name = name
        self._shelves = Shelves(node_layout() if layout is None else layout)
        self._parts: dict[str, helper_health.Part] = {}

    @property
    def name(self) -> str:
        """How users call it."""
        return self._name

    def poll(self, ask: Ask) -> Reply:
        """What is new; see `Node.poll`.

        Raises:
            NodeMissing: there is no such directory.
            NodeDenied: it may not be read, or is no directory.
            NodeError: reading it failed otherwise, as a network disk may.
        """
        try:
            header, data = helper.poll(str(self._root), self._shelves, request_of(ask, MAX_FETCH), self._time())
        except OSError as error:
            raise refused(error, visible(str(self._root)), "") from None
        return reply_of(header, data)

    def probe(self) -> Probe:
        """How this machine is."""
        return probe_of(helper.probe(str(self._root), self._time()))

    def health(self) -> NodeHealth:
        """How this machine is; see `Node.health`."""
        self._parts = self._parts or helper_health.parts_of(str(self._root))
        words = helper_health.tell(self._parts, HEALTH_WAIT_SECONDS, HEALTH_FRESH_SECONDS)
        return told(self._name, words, latency=0.0, clock_offset=0.0)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = 30.0) -> Ran:
        """Run a command and wait for its end; see `Node.run`. It does not hear what is typed at our terminal."""
        try:
            done = subprocess.run(
                argv, input=stdin, capture_output=True, timeout=seconds, check=False, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            raise NodeSilent(f"{self._name}: {argv[0]} did not end within {seconds:.0f} s") from None
        except OSError as error:
            raise NodeError(f"{self._name}: {argv[0]} cannot be run: {error.strerror}") from None
        return Ran(done.returncode, done.stdout[:CAP_OF_RUN], done.stderr[:CAP_OF_RUN])

    def open(self, argv: Sequence[str], *, seconds: float = 30.0) -> Stream:  # noqa: ARG002
        """Start a program; see `Host.open`. It is not waited for when its input is closed."""
        try:
            return ProcessStream(argv)
        except OSError as error:
            raise NodeError(f"{self._name}: {argv[0]} cannot be run: {error.strerror}") from None

    def close(self) -> None:
        """Nothing is held but tools that were started to ask the GPUs."""
        helper_health.close()


def refused(error: OSError, root: str, where: str) -> NodeError:
    """The error that tells why the metrics directory `root` cannot be read; `where` is ` on NODE`, or empty."""
    if isinstance(error, FileNotFoundError):
        return NodeMissing(
            f"{root} does not exist yet{where}: start a training script that writes there, or name another directory "
            "with --metrics-dir"
        )
    if isinstance(error, NotADirectoryError):
        return NodeDenied(f"{root}{where} is not a directory: give the metrics directory with --metrics-dir")
    if isinstance(error, PermissionError):
        return NodeDenied(
            f"{root}{where} may not be read: allow it (chmod u+rx), or name another directory with --metrics-dir"
        )
    reason = error.strerror or os.strerror(error.errno or 0)
    return NodeError(
        f"{root}{where} cannot be read: {reason}: look at its disk, or name another directory with --metrics-dir"
    )
