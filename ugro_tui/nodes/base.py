"""What every node can do, and the errors that call for different reactions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ugro_tui.core.errors import UgroError

PREFIX = 1024
"""Bytes at a file's beginning whose digest tells an appended file from a replaced one."""


def prefix_digest(head: bytes) -> str:
    """The digest of a file's first bytes, for `Chunk.prefix`."""
    return hashlib.blake2b(head[:PREFIX], digest_size=8).hexdigest()


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
    `identity` changes when another file takes the path; `prefix` is the digest of the first min(offset, PREFIX) bytes.
    """

    path: str
    size: int
    age: float
    identity: str
    prefix: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Fetch:
    """One answer: a chunk for each file of the job. `more`: a cap was reached, ask again at once.

    `denied` are paths that may not be read.
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
