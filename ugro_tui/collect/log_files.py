"""The files that hold the logs of a job: which there are, and what is new in each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ugro_tui.collect.below import file_in, folder_below
from ugro_tui.core.layout import classify
from ugro_tui.core.log_bytes import LineCutter
from ugro_tui.core.log_lines import LineReader, LogLine

_END = 64


@dataclass(frozen=True, slots=True)
class LogFile:
    """The log of a rank: `name` in the folder `parts` below `root`. `node` is empty where it is read in place."""

    root: Path
    parts: tuple[str, ...]
    name: str
    rank: int
    node: str
    size: int
    stamp: tuple[int, ...]
    """What changes whenever the file does."""


def log_files(root: Path, job_id: str, *, copied: bool) -> Iterator[LogFile]:
    """The logs of a job below a metrics directory or, `copied`, below the `jobs` folder of a central directory.

    Raises:
        OSError: a folder cannot be read.
    """
    folder = (job_id, "logs")
    if not copied:
        yield from _in_folder(root, folder, "")
        return
    with suppress(FileNotFoundError), folder_below(root, folder) as handle:
        for node in sorted(os.listdir(handle)):
            yield from _in_folder(root, (*folder, node), node)


def _in_folder(root: Path, parts: tuple[str, ...], node: str) -> Iterator[LogFile]:
    with suppress(FileNotFoundError, NotADirectoryError), folder_below(root, parts) as handle:
        for name in os.listdir(handle):
            known = classify(f"logs/{name}")
            if known is None:
                continue
            with suppress(FileNotFoundError):  # just rotated away
                info = os.stat(name, dir_fd=handle, follow_symlinks=False)
                stamp = (info.st_ino, info.st_size, info.st_mtime_ns)
                yield LogFile(root, parts, name, known.rank, node, info.st_size, stamp)


def read_part(file: LogFile, begin: int, count: int) -> bytes:
    """At most `count` bytes from `begin` on.

    Raises:
        OSError: it cannot be read, or is no plain file.
    """
    with folder_below(file.root, file.parts) as folder, file_in(folder, file.name, os.O_RDONLY) as (handle, _):
        return os.pread(handle, count, begin)


def unreadable(file: LogFile, error: OSError) -> str:
    """Why a log cannot be read, and what to do."""
    where = f" of {file.node}" if file.node else ""
    return f"{file.name}{where} cannot be read: {error.strerror}: look at its rights and its disk"


class LogTail:
    """Reads what is new in one log, at first its newest part; another file under the name is read anew."""

    def __init__(self, rank: int) -> None:
        self._cutter = LineCutter()
        self._reader = LineReader(rank)
        self._stamp: tuple[int, ...] = ()
        self._place = 0
        self._end = b""
        self.skipped = 0

    def news(self, file: LogFile, most: int) -> list[LogLine] | None:
        """The whole lines that are new, from at most `most` bytes: what lies before them is passed over.

        None where the file is as it was.

        Raises:
            OSError: it cannot be read.
        """
        if file.stamp == self._stamp:
            return None
        with folder_below(file.root, file.parts) as folder, file_in(folder, file.name, os.O_RDONLY) as (handle, info):
            if not self._goes_on(handle, info):
                self._begin_anew()
            data = self._read(handle, info.st_size, most)
        self._stamp = file.stamp
        return self._reader.read(self._cutter.feed(data))

    @property
    def half(self) -> LogLine | None:
        """The line that has no end yet, if there is one."""
        half = self._cutter.half
        return self._reader.peek(half) if half else None

    def _goes_on(self, handle: int, info: os.stat_result) -> bool:
        """Whether the file is still the one that was read, and has not been cut."""
        known = len(self._end)
        same = not self._stamp or info.st_ino == self._stamp[0]
        return same and info.st_size >= self._place and os.pread(handle, known, self._place - known) == self._end

    def _begin_anew(self) -> None:
        self._cutter.reset()
        self._place, self._end, self.skipped = 0, b"", 0

    def _read(self, handle: int, size: int, most: int) -> bytes:
        begin = max(self._place, size - most)
        data = os.pread(handle, size - begin, begin)
        end = begin + len(data)
        if begin > self._place:
            self._cutter.reset()
            data = data[data.find(b"\n") + 1 :]
        self.skipped += end - len(data) - self._place
        self._end = (self._end + data)[-_END:] if begin == self._place else data[-_END:]
        self._place = end
        return data
