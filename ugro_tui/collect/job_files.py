"""The files of one kind that a job has, by rank: where they lie, in place or as copies of many nodes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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

_BEGINNINGS: Final = {
    FileKind.METRICS: "metrics",
    FileKind.HEARTBEAT: "heartbeat",
    FileKind.MANIFEST: "job",
    FileKind.ERROR: "rank_",
    FileKind.LOG: "rank_",
    FileKind.EVENTS: "rank_",
}
"""How the names of files of a kind begin, or those of the folders that hold them."""

_MOST_LISTED: Final = 32

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


@dataclass(frozen=True, slots=True)
class _Listed:
    """What lay in the folders of a job when they were last looked at: to take thousands of names apart takes longer."""

    folders: dict[tuple[str, ...], tuple[list[str], dict[int, Spot]]] = field(default_factory=dict)
    by_rank: dict[int, list[Spot]] = field(default_factory=dict)


class JobFiles:
    """The files of jobs below `root`: the metrics directory of this machine, or the `jobs` of a central directory.

    No link is followed below it, and nothing but regular files is opened. One thread at a time calls it.
    """

    def __init__(self, root: Path, *, copied: bool) -> None:
        self._root = root
        self._copied = copied
        self._listed: dict[tuple[str, FileKind], _Listed] = {}

    def spots(self, job_id: str, kind: FileKind) -> dict[int, list[Spot]]:
        """Where each rank's files of this kind lie, ranks ascending. On a shared filesystem each node shows them all.

        Raises:
            BadInput: no job can have this id.
            OSError: a folder cannot be read.
        """
        checked_job_id(job_id)
        before = self._listed.pop((job_id, kind), _Listed())
        folders, beginning = {}, _BEGINNINGS[kind]
        for parts in self._folders(job_id, kind):
            names = [name for name in self._names(parts) if name.startswith(beginning)]
            known = before.folders.get(parts)
            folders[parts] = known if known and known[0] == names else (names, _spots(kind, parts, names))
        if folders != before.folders:
            before = _Listed(folders, _by_rank(spots for _, spots in folders.values()))
        self._listed[job_id, kind] = before  # the one used last stands last
        if len(self._listed) > _MOST_LISTED:
            del self._listed[next(iter(self._listed))]
        return before.by_rank

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


def _spots(kind: FileKind, parts: tuple[str, ...], names: Iterable[str]) -> dict[int, Spot]:
    """Where the ranks' files of one folder lie, by rank; what is none of ours is passed over."""
    folder = node_folder(kind)
    before, events = f"{folder}/" if folder else "", kind is FileKind.EVENTS
    found = {}
    for name in names:
        file = classify(f"{before}{name}/events.out.tfevents.0" if events else f"{before}{name}")
        if file is not None and file.kind is kind:
            found[file.rank] = Spot((*parts, name)) if events else Spot(parts, name)
    return found


def _by_rank(folders: Iterable[dict[int, Spot]]) -> dict[int, list[Spot]]:
    found: dict[int, list[Spot]] = {}
    for spots in folders:
        for rank, spot in spots.items():
            found.setdefault(rank, []).append(spot)
    return dict(sorted(found.items()))
