"""Questions and answers as they travel, and how a connection carries them: what `helper.py` is told and tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ugro_tui.core.jobid import is_job_id
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Ask, Chunk, Denied, JobEntry, Known, NodeLied, Probe, Ran, Reply

CAP_OF_RUN = 1 << 20
"""Bytes kept of each output of a command."""

_MAX_TEXT = 300


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

    def listdir(self, path: str, deadline: float) -> list[tuple[str, SftpStat]]:
        """Names in a directory with what is said of them (as lstat)."""
        ...

    def stat_many(self, paths: Sequence[str], deadline: float) -> list[SftpStat | None]:
        """What is said of each path (lstat), None where there is none; sent at once, answered together."""
        ...

    def read_many(self, wanted: Sequence[tuple[str, int, int]], deadline: float) -> list[bytes | OSError]:
        """For each (path, offset, length) what lies there, or why it cannot be read; sent at once."""
        ...

    def realpath(self, path: str, deadline: float) -> str:
        """`path` made absolute by the server."""
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


def request_of(ask: Ask, cap: int) -> dict[str, Any]:
    """The question in the words of `helper.poll`. `cap` holds where the question names none."""
    return {
        "recent": ask.recent,
        "listed": ask.listed,
        "cap": cap if ask.cap is None else ask.cap,
        "kinds": sorted(kind.value for kind in ask.kinds),
        "jobs": {job: _known(files) for job, files in ask.jobs.items()},
    }


def _known(files: Mapping[str, Known]) -> dict[str, list[Any]]:
    return {path: [known.offset, known.place, known.stamp] for path, known in files.items()}


class _Header(msgspec.Struct):
    time: float
    jobs: list[tuple[str, float]]
    older: list[str] | None
    listed: str
    chunks: list[tuple[str, str, int, float, str, int, int, bool]]
    denied: list[tuple[str, str]]
    more: bool


def reply_of(header: Mapping[str, Any], data: Sequence[bytes]) -> Reply:
    """The answer of `helper.poll`, checked: a node is not believed.

    Raises:
        NodeLied: it is not such an answer.
    """
    try:
        told = msgspec.convert(header, _Header)
    except msgspec.ValidationError as error:
        raise NodeLied(f"not an answer in the helper's protocol: {visible(str(error), _MAX_TEXT)}") from None
    if len(told.chunks) != len(data):
        raise NodeLied("the answer announces other data than it brings")
    return Reply(
        time=told.time,
        jobs=tuple(JobEntry(job, max(0.0, age)) for job, age in told.jobs if is_job_id(job)),
        older=None if told.older is None else tuple(job for job in told.older if is_job_id(job)),
        listed=told.listed[:64],
        chunks=tuple(_chunk(words, part) for words, part in zip(told.chunks, data, strict=True)),
        denied=tuple(Denied(job, visible(what, _MAX_TEXT)) for job, what in told.denied if is_job_id(job)),
        more=told.more,
    )


def _chunk(words: tuple[str, str, int, float, str, int, int, bool], data: bytes) -> Chunk:
    job, path, size, age, stamp, offset, length, old = words
    if length != len(data) or offset < 0 or size < 0:
        raise NodeLied("the answer announces other data than it brings")
    return Chunk(job, path, size, max(0.0, age), stamp[:80], offset, data, old)


def probe_of(words: Mapping[str, Any]) -> Probe:
    """The answer of `helper.probe`, checked.

    Raises:
        NodeLied: it is not such an answer.
    """
    try:
        return msgspec.convert({**words, "root": visible(str(words.get("root")), _MAX_TEXT)}, Probe)
    except msgspec.ValidationError as error:
        raise NodeLied(f"not an answer in the helper's protocol: {visible(str(error), _MAX_TEXT)}") from None
