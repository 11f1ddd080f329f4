"""The central copy of one node's files: byte by byte what was there, under names that no node chooses."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ugro_tui.collect.below import LastFolder, file_in, folder_below, open_file, put_over, write_at
from ugro_tui.collect.mirror_errors import MirrorDenied, MirrorError, MirrorFull, MirrorMoved, mirror_error, told
from ugro_tui.core.errors import BadInput
from ugro_tui.core.jobid import is_job_id
from ugro_tui.core.layout import FileKind, JobFile, classify, mirror_folder
from ugro_tui.core.ports import Clock
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import JobEntry, Known
from ugro_tui.nodes.helper import WINDOW, place_digest

__all__ = ["Mirror", "MirrorDenied", "MirrorError", "MirrorFull", "MirrorMoved"]

RESERVE = 256 << 20
"""Bytes that logs and event files leave free, at most 2 % of the disk: metrics still find room then."""

MOST_GENERATIONS = 100
"""Superseded copies kept of one file: a node that shows another file at every look must not fill the disk for ever."""

MAX_NODE_NAME = 128
"""Characters of a node's name that may name a folder; a temporary file's name holds it beside the file's own."""

_SPARED = frozenset({FileKind.LOG, FileKind.EVENTS})
_SIGNS = (FileKind.METRICS, FileKind.HEARTBEAT, FileKind.MANIFEST)
_NODE_FOLDERS = {FileKind.ERROR: "errors/", FileKind.LOG: "logs/", FileKind.EVENTS: "tensorboard/"}
_NEVER = ("", ".", "..")


class Mirror:
    """The copy of `node` below `root`, the `jobs` folder of a central directory. One thread at a time writes it.

    Appended files are never renamed: an open TensorBoard would wait for the old one for ever. Their size is all that
    is remembered of them, so it cannot disagree with them. No handle is kept between two calls. Every method may raise
    MirrorError, the subclass says which.
    """

    def __init__(self, root: Path, node: str, clock: Clock, reserve: int = RESERVE) -> None:
        if node in _NEVER or "/" in node or not node.isprintable() or len(node.encode()) > MAX_NODE_NAME:
            raise BadInput(
                f"node name {visible(node, 80)!r} cannot name a folder: give the node a name of at most "
                f"{MAX_NODE_NAME} characters without '/'"
            )
        self._root = root
        self._node = node
        self._clock = clock
        self._reserve = reserve
        self._folder: LastFolder | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Within, the folder of the last `append` stays open: a reply brings many files of few folders."""
        self._folder = LastFolder(self._root)
        try:
            yield
        finally:
            self._folder.close()
            self._folder = None

    def append(self, job: str, file: JobFile, offset: int, data: bytes, age: float) -> int:
        """Add `data`, which lies at `offset` and was written `age` seconds ago; the new size.

        Raises:
            MirrorMoved: the copy does not end at `offset`.
            MirrorFull: the disk is full, or nearly so and this is no metrics file; a part may have been written.
        """
        parts = self._parts(job, file)
        if self._folder is None:
            with self.writing():
                return self.append(job, file, offset, data, age)
        try:
            folder = self._folder.open(parts[:-1], create=not offset)
            if file.kind in _SPARED:
                self._spare(folder, len(data), parts)
            self._extend(folder, parts, offset, data, age)
        except OSError as error:
            if offset and isinstance(error, FileNotFoundError):
                raise self._moved(parts, 0, offset) from None
            raise mirror_error(error, "written", self._path(parts)) from None
        return offset + len(data)

    def _extend(self, folder: int, parts: tuple[str, ...], offset: int, data: bytes, age: float) -> None:
        handle, info = open_file(folder, parts[-1], os.O_WRONLY if offset else os.O_WRONLY | os.O_CREAT)
        try:
            if info.st_size != offset:
                raise self._moved(parts, info.st_size, offset)
            if data:
                write_at(handle, data, offset)
            self._date(handle, age)
        finally:
            os.close(handle)

    def replace(self, job: str, file: JobFile, data: bytes, age: float) -> None:
        """Have the copy be `data`, which was written `age` seconds ago; readers see the old or the new one whole."""
        parts = self._parts(job, file)
        self._replace(parts, data, age)
        if file.kind is FileKind.MANIFEST:
            self._replace((job, file.path), data, age)

    def supersede(self, job: str, file: JobFile) -> Path | None:
        """Put the copy aside, for another file lies under its path now: where it went, None where it held nothing."""
        *folders, name = parts = self._parts(job, file)
        kept = (job, "generations", self._node, *file.path.split("/")[:-1])
        # TensorBoard reads whatever has "tfevents" in its name.
        plain = name.replace("tfevents", "tf_events")
        with told("put aside", self._path(parts)):
            try:
                with folder_below(self._root, folders) as source:
                    if not os.stat(name, dir_fd=source, follow_symlinks=False).st_size:
                        os.unlink(name, dir_fd=source)
                        return None
                    with folder_below(self._root, kept, create=True) as target:
                        named = _free_name(target, plain)
                        os.rename(name, named, src_dir_fd=source, dst_dir_fd=target)
                        _forget(target, plain)
            except FileNotFoundError:
                return None
        return self._path((*kept, named))

    def places(self, job: str, kinds: Iterable[FileKind] = FileKind) -> dict[str, Known]:
        """How much of each file of these kinds is there, by the path that it has on the node."""
        found: dict[str, Known] = {}
        for kind in kinds:
            folders = (*self._job(job), *mirror_folder(kind, self._node).split("/"))
            subs = self._names(folders) if kind is FileKind.EVENTS else [""]
            for sub in subs:
                inner = (*folders, sub) if sub else folders
                prefix = _NODE_FOLDERS.get(kind, "") + (f"{sub}/" if sub else "")
                if sub and classify(f"{prefix}events.out.tfevents.0") is None:
                    continue
                found |= {path: place for path, place in self._found(inner, prefix) if place is not None}
        return found

    def jobs(self, now: float) -> tuple[JobEntry, ...]:
        """The jobs of which something is here. `now`: Unix seconds; ages count from when the node's files changed."""
        found = []
        for job in filter(is_job_id, self._names(())):
            newest = self._newest(job)
            if newest is not None:
                found.append(JobEntry(job, max(0.0, now - newest)))
        return tuple(found)

    @property
    def full(self) -> str:
        """That its disk is full, for who reads what another application copies there; empty where it is not."""
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._root)
            if disk.f_blocks and not disk.f_bavail:
                return (
                    f"{visible(str(self._root))} is full: what is told here is as old as the last that could be copied "
                    "there; free space on that disk"
                )
        return ""

    def _parts(self, job: str, file: JobFile) -> tuple[str, ...]:
        return self._job(job) + _parts_below(file, self._node)

    def _job(self, job: str) -> tuple[str]:
        if not is_job_id(job):
            raise MirrorError(f"{visible(job, 80)!r} is not a job id: nothing is copied under that name")
        return (job,)

    def _path(self, parts: Iterable[str]) -> Path:
        return self._root.joinpath(*parts)

    def _moved(self, parts: tuple[str, ...], size: int, offset: int) -> MirrorMoved:
        return MirrorMoved(
            f"{visible(str(self._path(parts)))} has {size:,} bytes where {offset:,} were written: it was changed by "
            "somebody else, or a write was cut short; it is read again and continued from its end"
        )

    def _spare(self, folder: int, wanted: int, parts: tuple[str, ...]) -> None:
        disk = os.fstatvfs(folder)
        reserve = min(self._reserve, disk.f_blocks * disk.f_frsize // 50)
        free = disk.f_bavail * disk.f_frsize - wanted
        if disk.f_blocks and free < reserve:  # some network disks do not tell: 0 blocks
            raise MirrorFull(
                f"{visible(str(self._path(parts)))} is not copied on: less than {reserve >> 20:,} MiB "
                "would stay free for metrics: free space on that disk, or choose another one with --central"
            )

    def _date(self, handle: int, age: float) -> None:
        """Date a file so that its age survives a restart; the copy is whole also where that is not allowed."""
        now = self._clock.time()
        written = max(0.0, min(now, now - age))
        with contextlib.suppress(OSError):
            os.utime(handle, (written, written))

    def _replace(self, parts: tuple[str, ...], data: bytes, age: float) -> None:
        beside = f".{parts[-1]}.{self._node}.{os.getpid()}.tmp"  # all nodes' threads write the job's own manifest
        try:
            with folder_below(self._root, parts[:-1], create=True) as folder:
                self._write_beside(folder, beside, data, age)
                _rename(folder, beside, parts[-1])
        except OSError as error:
            raise mirror_error(error, "written", self._path(parts)) from None

    def _write_beside(self, folder: int, beside: str, data: bytes, age: float) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            handle, _ = open_file(folder, beside, flags)
        except FileExistsError:  # left by an earlier process with this number
            os.unlink(beside, dir_fd=folder)
            handle, _ = open_file(folder, beside, flags)
        try:
            write_at(handle, data, 0)
            self._date(handle, age)
        except BaseException:
            _remove(folder, beside)
            raise
        finally:
            os.close(handle)

    def _names(self, folders: tuple[str, ...]) -> list[str]:
        with told("read", self._path(folders)):
            try:
                with folder_below(self._root, folders) as folder:
                    return sorted(os.listdir(folder))
            except FileNotFoundError:
                return []

    def _found(self, folders: tuple[str, ...], prefix: str) -> Iterator[tuple[str, Known | None]]:
        """The files of one folder by their paths on the node, and how much of each there is."""
        names = [name for name in self._names(folders) if classify(prefix + name)]
        if names:
            with told("read", self._path(folders)), folder_below(self._root, folders) as folder:
                for name in names:
                    with told("read", self._path((*folders, name))):
                        yield prefix + name, _place(folder, name)

    def _newest(self, job: str) -> float | None:
        """When a file of this node's job was last written, Unix seconds; None where there is none to be read."""
        dates = []
        for kind in _SIGNS:
            folders = (job, *mirror_folder(kind, self._node).split("/"))
            with contextlib.suppress(OSError), folder_below(self._root, folders) as folder:  # not one job for all
                dates += [os.lstat(name, dir_fd=folder).st_mtime for name in os.listdir(folder) if classify(name)]
        return max(dates, default=None)


@functools.lru_cache(maxsize=1 << 14)
def _parts_below(file: JobFile, node: str) -> tuple[str, ...]:
    """The names from a job's folder down to the copy of `file`."""
    if classify(file.path) != file:
        raise MirrorError(f"{visible(file.path, 80)!r} is not a file of a job: it is not copied")
    rest = file.path.removeprefix(_NODE_FOLDERS.get(file.kind, ""))
    return (*mirror_folder(file.kind, node).split("/"), *rest.split("/"))


def _rename(folder: int, beside: str, name: str) -> None:
    """Have a temporary file be `name`; it is gone if that fails."""
    try:
        put_over(folder, beside, name)
    except BaseException:
        _remove(folder, beside)
        raise


def _remove(folder: int, name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def _free_name(folder: int, name: str) -> str:
    """A name for the next generation of `name`, reserved by an empty file: no older one can be overwritten."""
    named = f"{name}.{1 + max(_generations(folder, name), default=0)}"
    with file_in(folder, named, os.O_WRONLY | os.O_CREAT | os.O_EXCL):
        return named


def _generations(folder: int, name: str) -> list[int]:
    """The numbers of the generations of `name` that are kept, in no order."""
    ends = (other.removeprefix(f"{name}.") for other in os.listdir(folder) if other.startswith(f"{name}."))
    return [int(end) for end in ends if end.isascii() and end.isdigit()]


def _forget(folder: int, name: str) -> None:
    """Remove the oldest generations of `name` where there are too many."""
    for number in sorted(_generations(folder, name))[:-MOST_GENERATIONS]:
        os.unlink(f"{name}.{number}", dir_fd=folder)


def _place(folder: int, name: str) -> Known | None:
    try:
        with file_in(folder, name, os.O_RDONLY) as (handle, info):
            size = info.st_size
            known = min(size, WINDOW)
            head, before = os.pread(handle, known, 0), os.pread(handle, known, size - known)
            return Known(size, place_digest(head, before))
    except FileNotFoundError:
        return None
