"""Questions and answers as they travel, and how a connection carries them: what `helper.py` is told and tells."""

from __future__ import annotations

import errno
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Protocol

import msgspec

from ugro_tui.core.jobid import is_job_id
from ugro_tui.core.layout import FileKind, classify
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Ask, Chunk, Denied, JobEntry, Known, NodeLied, Ran, Reply

CAP_OF_RUN = 1 << 20
"""Bytes kept of each output of a command."""

MAX_TEXT, _MAX_JOBS = 300, 20_000


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


def request_of(ask: Ask, cap: int) -> dict[str, Any]:
    """The question in the words of `helper.poll`, for at most `cap` bytes, or fewer where it names fewer."""
    return {
        "recent": ask.recent,
        "listed": ask.listed,
        "cap": cap if ask.cap is None else min(cap, ask.cap),
        "kinds": sorted(kind.value for kind in ask.kinds),
        "jobs": {job: _known(files) for job, files in ask.jobs.items()},
    }


def _known(files: Mapping[str, Known]) -> dict[str, tuple[int, str, str]]:
    return {path: (known.offset, known.place, known.stamp) for path, known in files.items()}


_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
_Words = tuple[str, str, _Count, float, str, _Count, _Count, bool]


class _Header(msgspec.Struct):
    time: float
    jobs: list[tuple[str, float]]
    older: list[str] | None
    listed: str
    chunks: list[_Words]
    denied: list[tuple[str, str]]
    more: bool


class _Refusal(msgspec.Struct):
    error: str
    text: str
    root: str


_HEADER, _REFUSAL = msgspec.json.Decoder(_Header), msgspec.json.Decoder(_Refusal)


def reply_of(header: Mapping[str, Any], data: Sequence[bytes]) -> Reply:
    """The answer of `helper.poll`, checked: a node is not believed.

    Raises:
        NodeLied: it is not such an answer.
    """
    try:
        return _reply(msgspec.convert(header, _Header), data)
    except msgspec.ValidationError as error:
        raise no_answer(error) from None


def reply_from(header: bytes, data: bytes) -> Reply:
    """The answer of `helper.poll` as it travels; the chunks' data lie one behind another.

    Raises:
        OSError: the metrics directory cannot be read; its `filename` is the directory, cleaned.
        NodeLied: it is no answer.
    """
    try:
        if header.startswith(b'{"error"'):
            raise _refusal(_REFUSAL.decode(header))
        told = _HEADER.decode(header)
    except msgspec.DecodeError as error:
        raise no_answer(error) from None
    parts, place = [], 0
    for words in told.chunks:
        parts.append(data[place : place + words[6]])
        place += words[6]
    if place != len(data):
        raise NodeLied("the answer announces other data than it brings")
    return _reply(told, parts)


def no_answer(error: Exception) -> NodeLied:
    """The error for what is no answer at all, and why."""
    return NodeLied(f"not an answer in the helper's protocol: {visible(str(error), MAX_TEXT)}")


_ERRORS = {"FileNotFoundError": errno.ENOENT, "NotADirectoryError": errno.ENOTDIR, "PermissionError": errno.EACCES}


def _refusal(told: _Refusal) -> OSError:
    number = _ERRORS.get(told.error, errno.EIO)
    return OSError(number, visible(told.text, MAX_TEXT), visible(told.root, MAX_TEXT))


def _reply(told: _Header, data: Sequence[bytes]) -> Reply:
    if len(told.chunks) != len(data):
        raise NodeLied("the answer announces other data than it brings")
    if not math.isfinite(told.time):
        raise NodeLied("the answer tells no time")
    return Reply(
        time=told.time,
        jobs=tuple(JobEntry(job, _age(age)) for job, age in told.jobs[:_MAX_JOBS] if is_job_id(job)),
        older=None if told.older is None else tuple(job for job in told.older[:_MAX_JOBS] if is_job_id(job)),
        listed=told.listed[:64],
        chunks=tuple(map(_chunk, told.chunks, data)),
        denied=tuple(Denied(job, visible(what, MAX_TEXT)) for job, what in told.denied[:_MAX_JOBS] if is_job_id(job)),
        more=told.more,
    )


def _age(age: float) -> float:
    return age if 0.0 <= age < math.inf else 0.0


def _chunk(words: _Words, data: bytes) -> Chunk:
    job, path, size, age, stamp, offset, length, old = words
    if length != len(data):
        raise NodeLied("the answer announces other data than it brings")
    return Chunk(job, path, size, _age(age), stamp[:80], offset, data, old)


def checked(reply: Reply, ask: Ask) -> Reply:
    """The same answer, where it is one to this question: it tells of files that were asked for, from where it may.

    Raises:
        NodeLied: it is not.
    """
    seen = set()
    for chunk in reply.chunks:
        files, appended = ask.jobs.get(chunk.job_id), _is_appended(chunk.path, ask.kinds)
        seen.add((chunk.job_id, chunk.path))
        if files is None or appended is None:
            raise NodeLied(f"told of {visible(f'{chunk.job_id}/{chunk.path}', MAX_TEXT)}, which nobody asked for")
        known = files.get(chunk.path, _NOTHING).offset if appended else 0
        if chunk.offset not in (0, known) or (chunk.old and not known == chunk.offset > 0):
            raise NodeLied(f"brought {chunk.job_id}/{chunk.path} from byte {chunk.offset:,}, not from {known:,}")
    if len(seen) != len(reply.chunks):
        raise NodeLied("told of a file twice")
    return reply


_NOTHING = Known()


@lru_cache(maxsize=1 << 14)
def _is_appended(path: str, kinds: frozenset[FileKind]) -> bool | None:
    """Whether a file is one that only grows; None where it is none of these kinds."""
    file = classify(path)
    return file.appended if file is not None and file.kind in kinds else None


def still_wanted(reply: Reply, asked: Ask, ask: Ask) -> Reply:
    """What an answer to `asked`, which came late, says to `ask`."""
    if asked == ask:
        return reply
    chunks = tuple(chunk for chunk in reply.chunks if _same_place(chunk, asked, ask))
    listed = reply.listed if reply.older is not None or asked.listed == ask.listed else ""
    more = reply.more or len(chunks) < len(reply.chunks) or not ask.jobs.keys() <= asked.jobs.keys()
    return replace(reply, chunks=chunks, listed=listed, more=more)


def _same_place(chunk: Chunk, asked: Ask, ask: Ask) -> bool:
    files = ask.jobs.get(chunk.job_id)
    if files is None or _is_appended(chunk.path, ask.kinds) is None:
        return False
    return files.get(chunk.path, _NOTHING) == asked.jobs[chunk.job_id].get(chunk.path, _NOTHING)
