"""This machine as a node: its metrics directory, read in place."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from ugro_tui.core.jobid import is_job_id
from ugro_tui.core.layout import FileKind, JobFile, classify
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import WINDOW, Chunk, Fetch, JobEntry, NodeDenied, NodeError, NodeMissing, place_digest

MAX_CHUNK = 1 << 20
"""Bytes read of one append-only file per fetch, so that a large file does not keep the others waiting."""

MAX_DOCUMENT = 1 << 18
"""Bytes read of a file that is replaced whole: a heartbeat is 500 bytes, an error file some kilobytes."""

MAX_FETCH = 32 << 20
"""Bytes read per fetch, so that a job of thousands of ranks is not taken into memory at once."""

MAX_ENTRIES = 100_000
"""Directory entries looked at: a job of 8,192 ranks has 16,384."""

_POLLED = (FileKind.METRICS, FileKind.HEARTBEAT, FileKind.MANIFEST, FileKind.ERROR)
_FOLDERS = ("", "errors")

# Neither follow a link out of the job nor hang in a FIFO's open: what lies there is not ours to trust.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalNode:
    """A directory of jobs on this machine. `time` gives Unix seconds by this machine's clock."""

    def __init__(self, root: Path, time: Callable[[], float], name: str = "local") -> None:
        self._root = root
        self._time = time
        self._name = name

    @property
    def name(self) -> str:
        """How users call it."""
        return self._name

    def jobs(self) -> tuple[JobEntry, ...]:
        """All jobs in the metrics directory.

        Raises:
            NodeMissing: there is no such directory.
            NodeDenied: it may not be read, or is no directory.
            NodeError: reading it failed otherwise, as a network disk may.
        """
        now, root = self._time(), visible(str(self._root))
        try:
            with os.scandir(self._root) as entries:
                return tuple(self._entries(entries, now))
        except FileNotFoundError:
            raise NodeMissing(
                f"{root} does not exist yet: start a training script that writes there, or name another directory "
                "with --metrics-dir"
            ) from None
        except NotADirectoryError:
            raise NodeDenied(f"{root} is not a directory: give the metrics directory with --metrics-dir") from None
        except PermissionError:
            raise NodeDenied(
                f"{root} may not be read: allow it (chmod u+rx), or name another directory with --metrics-dir"
            ) from None
        except OSError as error:
            raise NodeError(
                f"{root} cannot be read: {error.strerror}: look at its disk, or name another directory "
                "with --metrics-dir"
            ) from None

    def _entries(self, entries: Iterator[os.DirEntry[str]], now: float) -> Iterator[JobEntry]:
        for entry in islice(entries, MAX_ENTRIES):
            if is_job_id(entry.name) and entry.is_dir(follow_symlinks=False):
                yield JobEntry(entry.name, max(0.0, now - self._changed(entry)))

    def _changed(self, entry: os.DirEntry[str]) -> float:
        """Heartbeats are renamed into the directory; a writer without them only appends to the metrics file."""
        newest = 0.0
        for path in (entry.path, os.path.join(entry.path, "metrics.jsonl")):
            try:
                newest = max(newest, os.lstat(path).st_mtime)
            except OSError:
                continue
        return newest

    def fetch(self, job_id: str, offsets: Mapping[str, int]) -> Fetch:
        """Everything new of a job; see `Node.fetch`."""
        chunks: list[Chunk] = []
        denied: list[str] = []
        left, appended, more = MAX_FETCH, 0, False
        with ExitStack() as handles:
            # Appended files first: what is read of them is not read again, so that every fetch gets on.
            for file, folder in sorted(self._files(job_id, handles, denied), key=lambda found: not found[0].appended):
                if left <= 0:
                    more = appended > 0
                    denied += [] if more else [f"{file.path}: not read, for the files before it are too large"]
                    break
                chunk = self._chunk(file, folder, offsets.get(file.path, 0), left, denied)
                if chunk is not None:
                    chunks.append(chunk)
                    left -= len(chunk.data)
                    appended += len(chunk.data) if file.appended else 0
                    more |= file.appended and bool(chunk.data) and chunk.offset + len(chunk.data) < chunk.size
        return Fetch(tuple(chunks), more, tuple(denied))

    def _files(self, job_id: str, handles: ExitStack, denied: list[str]) -> list[tuple[JobFile, int]]:
        """The files to read, each with an open handle of its folder: all of one directory, even if it is replaced."""
        found: list[tuple[JobFile, int]] = []
        place: int | None = None
        for folder in _FOLDERS:
            try:
                path = folder if folder else self._root / job_id
                handle = os.open(path, _READ | os.O_DIRECTORY, dir_fd=place)
                handles.callback(os.close, handle)
                place = handle if place is None else place
                names = _names(handle)
            except FileNotFoundError:
                names = []
            except OSError as error:
                denied.append(f"{folder or 'its directory'}: {_reason(error)}")
                names = []
            if place is None:
                break
            if len(names) > MAX_ENTRIES:
                denied.append(f"{folder or 'its directory'}: more than {MAX_ENTRIES:,} entries, the rest is not read")
            files = (classify(f"{folder}/{name}" if folder else name) for name in names[:MAX_ENTRIES])
            found += [(file, handle) for file in files if file is not None and file.kind in _POLLED]
        return found

    def _chunk(self, file: JobFile, folder: int, offset: int, left: int, denied: list[str]) -> Chunk | None:
        try:
            return self._read(file, folder, offset, left)
        except FileNotFoundError:
            return None
        except OSError as error:
            denied.append(f"{file.path}: {_reason(error)}")
            return None

    def _read(self, file: JobFile, folder: int, offset: int, left: int) -> Chunk:
        handle = os.open(os.path.basename(file.path), _READ, dir_fd=folder)
        try:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            start = offset if file.appended and offset <= info.st_size else 0
            data = os.pread(handle, min(left, MAX_CHUNK if file.appended else MAX_DOCUMENT), start)
            # After the data: if the file is rewritten in between, the place must not look like the old file's.
            known = min(start, WINDOW)
            place = place_digest(os.pread(handle, known, 0), os.pread(handle, known, start - known))
        finally:
            os.close(handle)
        age = max(0.0, self._time() - info.st_mtime)
        return Chunk(path=file.path, size=info.st_size, age=age, place=place, offset=start, data=data)


def _names(handle: int) -> list[str]:
    with os.scandir(handle) as entries:
        return [entry.name for entry in islice(entries, MAX_ENTRIES + 1)]


def _reason(error: OSError) -> str:
    return "a link, which is not followed" if error.errno == errno.ELOOP else str(error.strerror)
