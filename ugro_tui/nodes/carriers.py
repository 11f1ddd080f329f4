"""How a connection carries questions and answers: a program's input and output, and files over SFTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ugro_tui.nodes.base import Node, Ran

CAP_OF_RUN = 1 << 20
"""Bytes kept of each output of a command."""


class Stream(Protocol):
    """Standard input and output of a program on a node. Deadlines are monotonic seconds by the connection's clock."""

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it.

        Raises:
            NodeSilent: not before the deadline.
            NodeLost: the connection has ended.
        """
        ...

    def receive(self, most: int, deadline: float) -> bytes:
        """At least one byte, at most `most`; empty when the program has closed its output.

        Raises:
            NodeSilent, NodeLost: as `send`.
        """
        ...

    def close(self) -> None:
        """End it; any thread may."""
        ...


class Sftp(Protocol):
    """A few words of the SFTP protocol, pipelined. Paths are absolute. All raise NodeSilent, NodeLost, and OSError."""

    def listdir(self, path: str, deadline: float) -> Sequence[tuple[str, SftpStat]]:
        """Names in a directory with what is said of them (as lstat)."""
        ...

    def stat_many(self, paths: Sequence[str], deadline: float) -> Sequence[SftpStat | None]:
        """What is said of each path (lstat), None where there is none; sent at once, answered together."""
        ...

    def read_many(self, wanted: Sequence[tuple[str, int, int]], deadline: float) -> Sequence[bytes | OSError]:
        """For each (path, offset, length) what lies there, or why it cannot be read; sent at once."""
        ...

    def realpath(self, path: str, deadline: float) -> str:
        """`path` made absolute by the server."""
        ...

    def disk_of(self, path: str, deadline: float) -> tuple[int, int, int, int]:
        """The disk that holds `path`: bytes and free bytes, inodes and free ones, as users may take them."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class SftpStat(Protocol):
    """What SFTP says of a file; None for what it does not say."""

    @property
    def mode(self) -> int:
        """File type and permissions, as `st_mode`."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def mtime(self) -> int:
        """Unix seconds by the node's clock."""
        ...


class Connection(Protocol):
    """An authenticated connection to one node."""

    @property
    def alive(self) -> bool:
        """Whether it can still be used, as far as is known."""
        ...

    def execute(self, command: str, deadline: float) -> Stream:
        """Run a command line in the user's login shell.

        Raises:
            NodeBusy: the server allows no more sessions now.
            NodeSilent, NodeLost: as the names say.
        """
        ...

    def run(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Ran:
        """Run a command to its end.

        Raises:
            NodeBusy, NodeSilent, NodeLost: as `execute`.
        """
        ...

    def sftp(self, deadline: float) -> Sftp:
        """Open the SFTP subsystem.

        Raises:
            NodeError: the server has none.
            NodeBusy, NodeSilent, NodeLost: as `execute`.
        """
        ...

    def close(self) -> None:
        """End it at once; any thread may."""
        ...


class Host(Node, Protocol):
    """A node on which a program can be kept running."""

    def open(self, argv: Sequence[str], *, seconds: float = 30.0) -> Stream:
        """Start a program; its standard input and output are the caller's until they are closed. Of `time.monotonic`
        are the deadlines of what it is given and says.

        Raises:
            NodeError: it could not be started within `seconds`.
        """
        ...
