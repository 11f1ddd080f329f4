"""The append-only file of one rank: healed when opened, made again when it disappears."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Callable

from .losses import Losses

Write = Callable[[int, bytes], int]

# A symbolic link at the file's name is refused (somebody else chose where it leads), and a FIFO without a reader
# is an error instead of a wait.
_FLAGS = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_LOOK_EVERY = 256
"""Lines between two looks whether the open file still is the one at the path; the heartbeat asks for one too."""


class AppendFile:
    """Appends whole lines, those of a call in one write. For one thread; every method may block as the disk does."""

    def __init__(self, path: Path, losses: Losses, write: Write = os.write) -> None:
        self._path = path
        self._name = str(path)
        self._losses = losses
        self._write = write
        self._fd = -1
        self._identity: tuple[int, int] | None = None
        self._sent = 0
        self._unproven = 0
        self._look_at = 0
        self.preamble = b""
        """The line that a new file begins with when the first one has disappeared: the `start` record."""

    def open(self) -> None:
        """Open or create the file and end a half-written last line. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, _FLAGS, 0o666)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(f"{self._path} is not a regular file")
            self._fd, self._sent = fd, 0
            self._heal(found.st_size)
            self._begin((found.st_dev, found.st_ino))
        except OSError:
            os.close(fd)
            self._fd = -1
            raise

    def look(self) -> None:
        """Have the next `append` look first whether the file is still there; for any thread."""
        self._look_at = 0

    def append(self, data: bytes, lines: int = 1) -> None:
        """Append so many whole lines. Raises OSError; calling again with the same goes on where the disk stopped."""
        if self._unproven < self._look_at:
            sent = self._write(self._fd, data)
            if sent < len(data):
                self._sent, self._look_at = sent, 0
                self._send(data)
        else:
            self._look()
            if self._fd < 0:
                self.open()
            self._send(data)
            self._look_at = _LOOK_EVERY
        self._unproven += lines

    def give_up(self) -> int:
        """Forget what `append` could not complete; the next line begins on its own. How many bytes the disk took."""
        sent = self._sent
        if sent:
            self.close()
        return sent

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._sent, self._look_at = -1, 0, 0

    def _send(self, data: bytes) -> None:
        """Write what is not there yet: all of it, or the rest after a short write."""
        while self._sent < len(data):
            # Short writes come from a disk that is full, or nearly: the next one says so with an error.
            self._sent += self._write(self._fd, data[self._sent :])
        self._sent = 0

    def _heal(self, size: int) -> None:
        """Give a line that a killed process left half-written its end, so that ours begins on its own."""
        if size and os.lseek(self._fd, -1, os.SEEK_END) >= 0 and os.read(self._fd, 1) != b"\n":
            self._write(self._fd, b"\n")

    def _begin(self, identity: tuple[int, int]) -> None:
        if self.preamble and identity != self._identity:
            self._send(self.preamble)
        self._identity = identity

    def _look(self) -> None:
        """Notice that the file was deleted, moved or replaced, or that the program closed our descriptor."""
        unproven, self._unproven = self._unproven, 0
        if self._fd < 0 or self._at_path():
            return
        # Lines since the last look went to a file that nobody can find any more.
        self._losses.unwrite(unproven)
        if self._is_ours(self._fd):
            os.close(self._fd)
        self._fd, self._sent = -1, 0

    def _at_path(self) -> bool:
        try:
            there = os.stat(self._name, follow_symlinks=False)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == self._identity and self._is_ours(self._fd)

    def _is_ours(self, fd: int) -> bool:
        try:
            open_file = os.fstat(fd)
        except OSError:
            return False
        return (open_file.st_dev, open_file.st_ino) == self._identity
