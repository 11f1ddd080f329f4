"""The append-only file of one rank: healed when opened, made again when it disappears."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Callable

from .clock import Clock
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
_CHECK_INTERVAL = 1.0
"""Seconds between two looks whether the open file still is the one at the path."""


class AppendFile:
    """Appends whole lines, one write call each. For one thread; every method may block as long as the disk does."""

    def __init__(self, path: Path, losses: Losses, clock: Clock, write: Write = os.write) -> None:
        self._path = path
        self._losses = losses
        self._clock = clock
        self._write = write
        self._fd: int | None = None
        self._identity: tuple[int, int] | None = None
        self._sent = 0
        self._unproven = 0
        self._look_at = 0.0
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
            self._fd = None
            os.close(fd)
            raise

    def append(self, line: bytes) -> None:
        """Append one line. Raises OSError; calling again with the same line goes on where the disk stopped."""
        now = self._clock.monotonic()
        if now >= self._look_at:
            self._look(now)
        if self._fd is None:
            self.open()
        self._send(line)
        self._unproven += 1

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _send(self, line: bytes) -> None:
        fd = self._fd
        assert fd is not None
        sent = self._write(fd, line[self._sent :] if self._sent else line)
        self._sent += sent
        while self._sent < len(line):
            # A short write: the disk is full, or nearly. The next call says so with an error.
            self._sent += self._write(fd, line[self._sent :])
        self._sent = 0

    def _heal(self, size: int) -> None:
        """Give a line that a killed process left half-written its end, so that ours begins on its own."""
        fd = self._fd
        assert fd is not None
        if size and os.lseek(fd, -1, os.SEEK_END) >= 0 and os.read(fd, 1) != b"\n":
            self._write(fd, b"\n")

    def _begin(self, identity: tuple[int, int]) -> None:
        if self.preamble and identity != self._identity:
            self._send(self.preamble)
        self._identity = identity
        self._unproven = 0
        self._look_at = self._clock.monotonic() + _CHECK_INTERVAL

    def _look(self, now: float) -> None:
        """Notice that the file was deleted, moved or replaced, or that the program closed our descriptor."""
        self._look_at = now + _CHECK_INTERVAL
        if self._fd is None or self._at_path():
            self._unproven = 0
            return
        # Lines since the last look went to a file that nobody can find any more.
        self._losses.unwrite(self._unproven)
        self._unproven = 0
        if self._is_ours(self._fd):
            os.close(self._fd)
        self._fd, self._sent = None, 0

    def _at_path(self) -> bool:
        assert self._fd is not None
        try:
            there = os.stat(self._path, follow_symlinks=False)
        except OSError:
            return False
        return self._is_ours(self._fd) and (there.st_dev, there.st_ino) == self._identity

    def _is_ours(self, fd: int) -> bool:
        try:
            open_file = os.fstat(fd)
        except OSError:
            return False
        return (open_file.st_dev, open_file.st_ino) == self._identity
