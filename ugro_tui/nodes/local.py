"""This machine as a node: its metrics directory, read in place."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from ugro_tui.core.jobid import is_job_id
from ugro_tui.core.layout import FileKind, JobFile, classify
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import PREFIX, Chunk, Fetch, JobEntry, NodeDenied, NodeMissing, prefix_digest

MAX_CHUNK = 1 << 20
"""Bytes read of one append-only file per fetch, so that a large file does not keep the others waiting."""

MAX_DOCUMENT = 1 << 18
"""Bytes read of a file that is replaced whole: a heartbeat is 500 bytes, an error file some kilobytes."""

MAX_ENTRIES = 100_000
"""Directory entries looked at: a job of 8,192 ranks has 16,384."""

_POLLED = (FileKind.METRICS, FileKind.HEARTBEAT, FileKind.MANIFEST, FileKind.ERROR)


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
        """
        now = self._time()
        try:
            with os.scandir(self._root) as entries:
                return tuple(self._entries(entries, now))
        except FileNotFoundError:
            raise NodeMissing(f"{self._root} does not exist yet: no training script has written there") from None
        except NotADirectoryError:
            raise NodeDenied(
                f"{self._root} is not a directory: give the metrics directory with --metrics-dir"
            ) from None
        except PermissionError:
            raise NodeDenied(f"{self._root} may not be read: allow it (chmod u+rx) or choose another") from None

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
        chunks, denied, more = [], [], False
        for file in self._files(job_id):
            try:
                chunk = self._read(job_id, file, offsets.get(file.path, 0))
            except FileNotFoundError:
                continue
            except OSError as error:
                denied.append(f"{file.path}: {error.strerror}")
                continue
            if chunk is not None:
                chunks.append(chunk)
                more |= file.appended and chunk.offset + len(chunk.data) < chunk.size and bool(chunk.data)
        return Fetch(tuple(chunks), more, tuple(denied))

    def _files(self, job_id: str) -> list[JobFile]:
        found = []
        for folder in ("", "errors"):
            try:
                with os.scandir(self._root / job_id / folder) as entries:
                    names = [entry.name for entry in islice(entries, MAX_ENTRIES)]
            except OSError:
                continue
            files = (classify(f"{folder}/{name}" if folder else name) for name in names)
            found += [file for file in files if file is not None and file.kind in _POLLED]
        return found

    def _read(self, job_id: str, file: JobFile, offset: int) -> Chunk | None:
        # Neither follow a link out of the job nor hang in a FIFO's open: what lies there is not ours to trust.
        handle = os.open(self._root / job_id / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                return None
            start = offset if file.appended and offset <= info.st_size else 0
            data = os.pread(handle, MAX_CHUNK if file.appended else MAX_DOCUMENT, start)
            head = os.pread(handle, min(start, PREFIX), 0) if start else b""
        finally:
            os.close(handle)
        return Chunk(
            path=visible(file.path),
            size=info.st_size,
            age=max(0.0, self._time() - info.st_mtime),
            identity=f"{info.st_dev}:{info.st_ino}",
            prefix=prefix_digest(head),
            offset=start,
            data=data,
        )
