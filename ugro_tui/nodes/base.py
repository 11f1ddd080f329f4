"""What every node can do, and the errors that call for different reactions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ugro_tui.core.errors import UgroError

WINDOW = 512
"""Bytes at a file's beginning, and again before the place of reading, by which it is known again."""


def place_digest(head: bytes, before: bytes) -> str:
    """The digest of a file's first `WINDOW` bytes and of those before the place of reading, for `Chunk.place`."""
    digest = hashlib.blake2b(head[:WINDOW], digest_size=8)
    digest.update(before[-WINDOW:])
    return digest.hexdigest()


class NodeError(UgroError):
    """A node could not be read. `str()` says what, where and what to do."""

    exit_code = 3


class NodeMissing(NodeError):
    """The metrics directory does not exist (yet): look again later."""


class NodeDenied(NodeError):
    """The metrics directory may not be read: a person must change that."""


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A job's directory. `age`: seconds since something in it changed, by the node's own clock."""

    job_id: str
    age: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """New bytes of one file: `data` begins at `offset`. For replaced files `offset` is 0 and `data` the whole file.

    `size` is the file's size in bytes, `age` the seconds since it was last written, by the node's own clock.
    `place` is the `place_digest` of what lies before `offset` now: it tells an appended file from another one under
    the same path, also where inodes are used again (or, as in sshfs, made up).
    """

    path: str
    size: int
    age: float
    place: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Fetch:
    """One answer: a chunk for each file of the job. `more`: a cap was reached, ask again at once.

    `denied` says what could not be read, one line each: the path and why.
    """

    chunks: tuple[Chunk, ...]
    more: bool = False
    denied: tuple[str, ...] = ()


class Node(Protocol):
    """A machine with a metrics directory."""

    @property
    def name(self) -> str:
        """How users call it."""
        ...

    def jobs(self) -> tuple[JobEntry, ...]:
        """All jobs in the metrics directory.

        Raises:
            NodeError: the directory cannot be read; the subclass says which reaction fits.
        """
        ...

    def fetch(self, job_id: str, offsets: Mapping[str, int]) -> Fetch:
        """Everything new of a job: `offsets` holds the bytes already known of each append-only file.

        Logs and tfevents are not part of it. A job whose directory is gone has no chunks.
        """
        ...
