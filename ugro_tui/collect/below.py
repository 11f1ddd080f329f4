"""Folders and files below a directory of ours, reached step by step so that no link leads out of it.

All functions raise OSError.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600

# Neither a link nor a FIFO is ours: the one is refused, the other must not hang the open.
SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_RENAME_EXCHANGE = 2
_renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None


def private_folder(path: Path) -> None:
    """Create `path` for the user alone, whatever the umask says; one that is there is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(PRIVATE_FOLDER)
    except FileExistsError:
        return
    path.chmod(PRIVATE_FOLDER)


@contextlib.contextmanager
def folder_below(root: Path, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """The folder `parts` below `root`, open; each of them a plain name."""
    handle = _open_below(root, parts, create=create)
    try:
        yield handle
    finally:
        os.close(handle)


class LastFolder:
    """The folder below `root` that was used last, kept open as long as the same one is asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._parts: Sequence[str] | None = None
        self._handle = -1

    def open(self, parts: Sequence[str], *, create: bool = False) -> int:
        """The folder, open until the next call; see `folder_below`."""
        if parts != self._parts:
            self.close()
            self._handle = _open_below(self._root, parts, create=create)
            self._parts = parts
        return self._handle

    def close(self) -> None:
        """Let go of it."""
        if self._parts is not None:
            self._parts = None
            os.close(self._handle)


def _open_below(root: Path, parts: Sequence[str], *, create: bool) -> int:
    if create and not root.is_dir():
        private_folder(root)
    handle = os.open(root, _FOLDER)
    for part in parts:
        above = handle
        try:
            handle = _enter(above, part, create=create)
        finally:
            os.close(above)
    return handle


def _enter(handle: int, name: str, *, create: bool) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
    except FileNotFoundError:
        if not create:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, PRIVATE_FOLDER, dir_fd=handle)
    below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
    _make_private(below, PRIVATE_FOLDER)
    return below


@contextlib.contextmanager
def file_in(folder: int, name: str, flags: int) -> Iterator[tuple[int, os.stat_result]]:
    """As `open_file`, and closed behind."""
    handle, info = open_file(folder, name, flags)
    try:
        yield handle, info
    finally:
        os.close(handle)


def open_file(folder: int, name: str, flags: int) -> tuple[int, os.stat_result]:
    """The regular file `name` of an open folder, open, and what is said of it. A new one is for the user alone."""
    handle = os.open(name, flags | SAFE, PRIVATE_FILE, dir_fd=folder)
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(None, "not a regular file")
        if flags & os.O_CREAT and not info.st_size:
            _make_private(handle, PRIVATE_FILE, info)
    except BaseException:
        os.close(handle)
        raise
    return handle, info


def _make_private(handle: int, mode: int, info: os.stat_result | None = None) -> None:
    info = info or os.fstat(handle)
    if info.st_mode & 0o777 != mode:
        os.fchmod(handle, mode)


def write_at(handle: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`. Where the disk takes only a part, that part stays."""
    done = os.pwrite(handle, data, offset)
    while done < len(data):
        done += os.pwrite(handle, data[done:], offset + done)


def put_over(folder: int, beside: str, name: str) -> None:
    """Have the file `beside` of an open folder be `name`, in one step for whoever reads it.

    Where the system can, the two change places and the old one goes: ext4 writes a file out at once that is renamed
    over another one, which costs three times as much as all the rest.
    """
    if not _exchanged(folder, beside, name):
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    try:
        os.unlink(beside, dir_fd=folder)
    except OSError:  # it was no file: a folder stays where it is
        _exchanged(folder, beside, name)
        raise


def _exchanged(folder: int, one: str, other: str) -> bool:
    """Whether two names of a folder have changed places; not so where one is missing, or the system cannot."""
    if _renameat2 is None:
        return False
    return bool(_renameat2(folder, os.fsencode(one), folder, os.fsencode(other), _RENAME_EXCHANGE) == 0)
