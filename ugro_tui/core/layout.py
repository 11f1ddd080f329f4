"""Which file of a job's directory means what (protocol v1), judged by its path alone, and where a copy of it lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

MAX_RANK = 999_999
"""Ranks above this are not believed: a name is data from a node, and a table row is made from it."""


class FileKind(Enum):
    """What a file holds, which decides how it is read."""

    METRICS = "metrics"
    HEARTBEAT = "heartbeat"
    MANIFEST = "manifest"
    ERROR = "error"
    LOG = "log"
    EVENTS = "events"


APPENDED = frozenset({FileKind.METRICS, FileKind.LOG, FileKind.EVENTS})
"""These files only ever grow; the others are replaced whole."""

POLLED = frozenset({FileKind.METRICS, FileKind.HEARTBEAT, FileKind.MANIFEST, FileKind.ERROR})
"""What the picture of a job is made of; logs and event files are only kept."""


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file that the protocol knows. `rank` is -1 where the file belongs to the job as a whole."""

    path: str
    kind: FileKind
    rank: int = -1

    @property
    def appended(self) -> bool:
        """Whether the file only ever grows; the others are replaced whole."""
        return self.kind in APPENDED


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Files of one kind: `folder` in the job's directory, `sub` a folder for each rank in it, `name` their names."""

    kind: FileKind
    folder: str
    name: str
    first: int = 0
    sub: str | None = None

    @property
    def path(self) -> str:
        return f"{self.folder}/" if self.folder else ""


# One spelling a rank, without leading zeros, and rank 0's metrics only under their plain name: two files must never
# speak for one rank. Event files carry the names that TensorBoard gives them, in printable ASCII: hosts' names.
_RANK = r"(0|[1-9]\d{0,5})"
_SHELVES = (
    _Shelf(FileKind.MANIFEST, "", r"job\.json"),
    _Shelf(FileKind.METRICS, "", r"metrics(?:\.rank-([1-9]\d{0,5}))?\.jsonl"),
    _Shelf(FileKind.HEARTBEAT, "", rf"heartbeat\.rank-{_RANK}\.json"),
    _Shelf(FileKind.ERROR, "errors", rf"rank_{_RANK}\.json"),
    _Shelf(FileKind.LOG, "logs", rf"rank_{_RANK}\.log", first=1),
    _Shelf(FileKind.EVENTS, "tensorboard", r"events\.out\.tfevents\.[ -.0-~]{1,200}", first=2, sub=rf"rank_{_RANK}"),
)
_PATHS = tuple(
    (re.compile(re.escape(shelf.path) + (f"{shelf.sub}/" if shelf.sub else "") + shelf.name, re.ASCII), shelf.kind)
    for shelf in _SHELVES
)


_MOST_KNOWN: Final = 1 << 16
_known: dict[str, JobFile | None] = {}
"""What was found of paths: each file is asked about at every look. A dictionary takes half of what `lru_cache` does."""


def classify(path: str) -> JobFile | None:
    """The meaning of `path` (relative to the job's directory, `/` between parts), or None where it has none."""
    try:
        return _known[path]
    except KeyError:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        found = _known[path] = _classified(path)
        return found


def _classified(path: str) -> JobFile | None:
    for pattern, kind in _PATHS:
        found = pattern.fullmatch(path)
        if found:
            rank = -1 if kind is FileKind.MANIFEST else int(found.group(1) or 0)
            return JobFile(path, kind, rank)
    return None


def node_layout() -> list[dict[str, Any]]:
    """Where the files of a job lie on a node, in the words of `nodes/helper.py`."""
    return [_words(shelf, shelf.folder, vital=shelf.kind is FileKind.HEARTBEAT) for shelf in _SHELVES]


def mirror_layout(node: str) -> list[dict[str, Any]]:
    """Where the copies of the files of `node` lie in a central job directory, in the words of `nodes/helper.py`."""
    return [_words(shelf, mirror_folder(shelf.kind, node), vital=False) for shelf in _SHELVES]


def node_folder(kind: FileKind) -> str:
    """The folder of a job's directory on a node that holds files of one kind; empty where it is that directory."""
    return next(shelf.folder for shelf in _SHELVES if shelf.kind is kind)


def mirror_folder(kind: FileKind, node: str) -> str:
    """The folder of a central job directory that holds the copies of one node's files of one kind."""
    return f"{_MIRRORED[kind]}/{node}"


_MIRRORED = {
    FileKind.METRICS: "metrics",
    FileKind.HEARTBEAT: "heartbeat",
    FileKind.MANIFEST: "manifest",
    FileKind.ERROR: "errors",
    FileKind.LOG: "logs",
    FileKind.EVENTS: "tensorboard",
}


def _words(shelf: _Shelf, folder: str, *, vital: bool) -> dict[str, Any]:
    return {
        "folder": folder,
        "sub": shelf.sub,
        "path": shelf.path,
        "name": shelf.name,
        "kind": shelf.kind.value,
        "whole": shelf.kind not in APPENDED,
        "first": shelf.first,
        "vital": vital,
    }
