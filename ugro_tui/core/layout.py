"""Which file of a job's directory means what (protocol v1), judged by its path alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

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


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file that the protocol knows. `rank` is -1 where the file belongs to the job as a whole."""

    path: str
    kind: FileKind
    rank: int = -1

    @property
    def appended(self) -> bool:
        """Whether the file only ever grows; the others are replaced whole."""
        return self.kind in (FileKind.METRICS, FileKind.LOG, FileKind.EVENTS)


# One spelling a rank, without leading zeros, and rank 0's metrics only under their plain name: two files must never
# speak for one rank.
_RANK = r"(0|[1-9]\d{0,5})"
_RANKED = (
    (re.compile(r"metrics\.rank-([1-9]\d{0,5})\.jsonl", re.ASCII), FileKind.METRICS),
    (re.compile(rf"heartbeat\.rank-{_RANK}\.json", re.ASCII), FileKind.HEARTBEAT),
    (re.compile(rf"errors/rank_{_RANK}\.json", re.ASCII), FileKind.ERROR),
    (re.compile(rf"logs/rank_{_RANK}\.log", re.ASCII), FileKind.LOG),
    (re.compile(rf"tensorboard/rank_{_RANK}/events\.out\.tfevents\.[^/\x00-\x1f]+", re.ASCII), FileKind.EVENTS),
)

FOLDERS = ("", "errors", "logs")
"""Folders of a job directory that are listed on every poll ("" is the job directory itself)."""


def classify(path: str) -> JobFile | None:
    """The meaning of `path` (relative to the job's directory, `/` between parts), or None where it has none."""
    if path == "metrics.jsonl":
        return JobFile(path, FileKind.METRICS, 0)
    if path == "job.json":
        return JobFile(path, FileKind.MANIFEST)
    for pattern, kind in _RANKED:
        found = pattern.fullmatch(path)
        if found:
            return JobFile(path, kind, int(found.group(1)))
    return None
