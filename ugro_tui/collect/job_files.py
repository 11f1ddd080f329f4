"""The files of one kind that a job has, by rank: where they lie, in place or as copies of many nodes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ugro_tui.collect.below import file_in, folder_below
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.layout import FileKind, classify, mirror_folder, node_folder
from ugro_tui.nodes.helper_files import MAX_ENTRIES, names_in, refuse

HEAD: Final = 256
"""Bytes by which files are told apart: a run's first record has its id and its start in them."""

MOST_FILES: Final = 64
"""Files read of one rank, the newest ones: a rank has one for each of its starts."""

_NOT_OURS: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where files of a rank lie: in the folder `parts` below the root the file `name`, or all if that is empty."""

    parts: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Lying:
    """A file as it lies there now. `key` names it among the files of its rank: the same one under two nodes has one."""

    spot: Spot
    key: str | bytes
    size: int
    stamp: tuple[int, int, int]
    written: float


class JobFiles:
    """The files of jobs below `root`: the metrics directory of this machine, or the `jobs` of a central directory.

    No link is followed below it, and nothing but regular files is opened.
    """

    def __init__(self, root: Path, *, copied: bool) -> None:
        self._root = root
        self._copied = copied

    def spots(self, job_id: str, kind: FileKind) -> dict[int, list[Spot]]:
        """Where each rank's files of this kind lie, ranks ascending. On a shared filesystem each node shows them all.

        Raises:
            BadInput: no job can have this id.
            OSError: a folder cannot be read.
        """
        checked_job_id(job_id)
        found: dict[int, list[Spot]] = {}
        for parts in self._folders(job_id, kind):
            for name in self._names(parts):
                rank, spot = _spot(kind, parts, name)
                if spot is not None:
                    found.setdefault(rank, []).append(spot)
        return dict(sorted(found.items()))

    def lying(self, spots: Iterable[Spot], kind: FileKind) -> list[Lying]:
        """The files there, each once (the longest of copies of one), those of earlier starts first.

        Raises:
            OSError: one cannot be read.
        """
        several = len(whole := [one for spot in spots for one in self._in(spot)]) > 1
        longest: dict[str | bytes, Lying] = {}
        for spot in whole:
            lying = self._look(spot, several=several and kind is not FileKind.EVENTS)
            if lying is not None and (lying.key not in longest or longest[lying.key].size < lying.size):
                longest[lying.key] = lying
        named = kind is FileKind.EVENTS  # their names begin with the time of their start
        order = sorted(longest.values(), key=lambda one: (one.spot.name if named else "", one.written))
        return order[-MOST_FILES:]

    @contextmanager
    def opened(self, spot: Spot) -> Iterator[int]:
        """The file, open for reading.

        Raises:
            OSError: it is no regular file, a hole, or cannot be read.
        """
        with folder_below(self._root, spot.parts) as folder, file_in(folder, spot.name, os.O_RDONLY) as (handle, info):
            refuse(info)
            yield handle

    def _folders(self, job_id: str, kind: FileKind) -> list[tuple[str, ...]]:
        """The folders that hold the files of this kind, or their folders."""
        if not self._copied:
            below = node_folder(kind)
            return [(job_id, below) if below else (job_id,)]
        above = (job_id, mirror_folder(kind, "").rstrip("/"))
        return [(*above, node) for node in sorted(self._names(above))]

    def _in(self, spot: Spot) -> list[Spot]:
        if spot.name:
            return [spot]
        path = f"{node_folder(FileKind.EVENTS)}/{spot.parts[-1]}"
        return [Spot(spot.parts, name) for name in self._names(spot.parts) if classify(f"{path}/{name}")]

    def _look(self, spot: Spot, *, several: bool) -> Lying | None:
        try:
            with self.opened(spot) as handle:
                info = os.fstat(handle)
                key = os.pread(handle, HEAD, 0) if several else spot.name
        except OSError as error:
            if error.errno in _NOT_OURS:
                return None
            raise
        return Lying(spot, key, info.st_size, (info.st_size, info.st_mtime_ns, info.st_ino), info.st_mtime)

    def _names(self, parts: tuple[str, ...]) -> list[str]:
        try:
            with folder_below(self._root, parts) as folder:
                return names_in(folder, MAX_ENTRIES)
        except OSError as error:
            if error.errno in _NOT_OURS:
                return []
            raise


def _spot(kind: FileKind, parts: tuple[str, ...], name: str) -> tuple[int, Spot | None]:
    """The rank of what is called `name` in such a folder, and its place; None where it is none of ours."""
    path = f"{node_folder(kind)}/{name}" if node_folder(kind) else name
    events = kind is FileKind.EVENTS
    file = classify(f"{path}/events.out.tfevents.0" if events else path)
    if file is None or file.kind is not kind:
        return -1, None
    return file.rank, Spot((*parts, name)) if events else Spot(parts, name)
