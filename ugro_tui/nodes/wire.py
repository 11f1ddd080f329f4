"""Questions and answers as they travel: what `helper.py` is told and tells."""

from __future__ import annotations

import errno
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from ugro_tui.core.jobid import is_job_id
from ugro_tui.core.layout import FileKind, classify
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Ask, Chunk, Denied, JobEntry, Known, NodeLied, Reply
from ugro_tui.nodes.vitals import Words, is_asked, process_of, still_meant

MAX_TEXT, _MAX_JOBS = 300, 20_000


def request_of(ask: Ask, cap: int) -> dict[str, Any]:
    """The question in the words of `helper.poll`, for at most `cap` bytes, or fewer where it names fewer."""
    return {
        "recent": ask.recent,
        "listed": ask.listed,
        "cap": cap if ask.cap is None else min(cap, ask.cap),
        "kinds": sorted(kind.value for kind in ask.kinds),
        "jobs": ask.jobs,
    }


_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
_Words = tuple[str, str, _Count, float, str, _Count, _Count, bool, str]


class _Header(msgspec.Struct):
    time: float
    jobs: list[tuple[str, float]]
    older: list[str] | None
    listed: str
    chunks: list[_Words]
    denied: list[tuple[str, str]]
    vitals: list[Words]
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
        processes=tuple(map(process_of, told.vitals)),
    )


def _age(age: float) -> float:
    return age if 0.0 <= age < math.inf else 0.0


def _chunk(words: _Words, data: bytes) -> Chunk:
    job, path, size, age, stamp, offset, length, old, place = words
    if length != len(data):
        raise NodeLied("the answer announces other data than it brings")
    return Chunk(job, path, size, _age(age), stamp[:80], offset, data, old, place[:80])


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
    if not all(is_asked(process, ask) for process in reply.processes):
        raise NodeLied("told of a process that nobody asked for")
    return reply


_NOTHING = Known()


def _is_appended(path: str, kinds: frozenset[FileKind]) -> bool | None:
    """Whether a file is one that only grows; None where it is none of these kinds."""
    file = classify(path)
    return file.appended if file is not None and file.kind in kinds else None


def still_wanted(reply: Reply, asked: Ask, ask: Ask) -> Reply:
    """What an answer to `asked`, which came late, says to `ask`."""
    if asked == ask and not ask.anew:
        return reply
    chunks = tuple(chunk for chunk in reply.chunks if _same_place(chunk, asked, ask))
    listed = reply.listed if reply.older is not None or asked.listed == ask.listed else ""
    more = reply.more or len(chunks) < len(reply.chunks) or not ask.jobs.keys() <= asked.jobs.keys()
    # What is there by now, or of other kinds, it could not tell.
    more = more or ask.anew or not ask.kinds <= asked.kinds
    processes = tuple(process for process in reply.processes if still_meant(process, asked, ask))
    return replace(reply, chunks=chunks, listed=listed, more=more, processes=processes)


def _same_place(chunk: Chunk, asked: Ask, ask: Ask) -> bool:
    files = ask.jobs.get(chunk.job_id)
    if files is None or _is_appended(chunk.path, ask.kinds) is None:
        return False
    return files.get(chunk.path, _NOTHING) == asked.jobs[chunk.job_id].get(chunk.path, _NOTHING)
