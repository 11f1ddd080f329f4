"""The packets of SFTP version 3: made here, and taken apart with nothing believed."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass

from ugro_tui.nodes.base import NodeLied

INIT, VERSION, OPEN, CLOSE, READ, LSTAT, FSTAT = 1, 2, 3, 4, 5, 7, 8
OPENDIR, READDIR, REALPATH, STATUS, HANDLE, DATA, NAME, ATTRS = 11, 12, 16, 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201
END, NO_FILE, DENIED = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the server says of a file; 0 for what it leaves out."""

    mode: int
    size: int
    mtime: int


@dataclass(slots=True)
class Answer:
    """A reply's type and what follows its number."""

    kind: int
    body: bytes

    @property
    def missed(self) -> bool:
        """Whether it is a status: an error, or the end."""
        return self.kind == STATUS

    @property
    def ends(self) -> bool:
        """Whether it says that there is no more."""
        return self.missed and Words(self.body).number() == END

    def error(self, path: str) -> OSError:
        """The error that a status stands for; OSError makes itself a FileNotFoundError, or whatever fits."""
        code = Words(self.body).number()
        number = {NO_FILE: errno.ENOENT, DENIED: errno.EACCES}.get(code, errno.EIO)
        return OSError(number, os.strerror(number), path)


class Words:
    """Numbers and strings one after the other, as SSH writes them. Raises NodeLied where they are cut short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def number(self, size: int = 4) -> int:
        """The next number, of so many bytes."""
        return int.from_bytes(self._bytes(size), "big")

    def string(self) -> bytes:
        """The next string."""
        return self._bytes(self.number())

    def attributes(self) -> Attributes:
        """What is said of a file; what is left out is 0."""
        flags = self.number()
        size = self.number(8) if flags & 1 else 0
        self._bytes(8 if flags & 2 else 0)
        mode = self.number() if flags & 4 else 0
        mtime = (self.number(), self.number())[1] if flags & 8 else 0
        for _ in range(self.number() if flags & 1 << 31 else 0):
            self.string(), self.string()
        return Attributes(mode, size, mtime)

    def _bytes(self, size: int) -> bytes:
        end = self._place + size
        if end > len(self._data):
            raise NodeLied("an SFTP answer is cut short")
        found = self._data[self._place : end]
        self._place = end
        return found


def packet(kind: int, body: bytes) -> bytes:
    """A question of a type; `body` begins with its number."""
    return struct.pack(">IB", len(body) + 1, kind) + body


def string(data: bytes) -> bytes:
    """Bytes as SSH writes a string."""
    return struct.pack(">I", len(data)) + data


def raw(path: str) -> bytes:
    """A path as the server knows it, whatever its encoding."""
    return path.encode("utf-8", "surrogateescape")


def handle_in(answer: Answer, path: str) -> bytes:
    """The handle of what was opened.

    Raises:
        OSError: it could not be opened.
        NodeLied: it is no such answer.
    """
    if answer.missed:
        raise answer.error(path)
    if answer.kind != HANDLE:
        raise NodeLied("another SFTP answer than to what was asked")
    return Words(answer.body).string()


def attributes_in(answer: Answer) -> Attributes:
    """What is said of a file. Raises NodeLied where it is no such answer."""
    if answer.kind != ATTRS:
        raise NodeLied("another SFTP answer than to what was asked")
    return Words(answer.body).attributes()


def data_in(answer: Answer, most: int) -> bytes:
    """What was read, at most so many bytes. Raises NodeLied where it is no such answer."""
    data = Words(answer.body).string()
    if answer.kind != DATA or len(data) > most:
        raise NodeLied("another SFTP answer than to what was asked")
    return data


def names_in(answer: Answer) -> list[tuple[str, Attributes]]:
    """Names with what is said of them; none at the end of a directory."""
    if answer.kind != NAME:
        return []
    words = Words(answer.body)
    found = []
    for _ in range(words.number()):
        name = words.string().decode("utf-8", "surrogateescape")
        words.string()  # a line for people, as `ls -l` would show it
        found.append((name, words.attributes()))
    return found


def disk_in(answer: Answer, path: str) -> tuple[int, int, int, int]:
    """Bytes and free bytes of a disk, inodes and free ones (statvfs@openssh.com, OpenSSH's PROTOCOL, 4.4).

    Raises:
        OSError: the server does not know, or does not do this.
        NodeLied: it is no such answer.
    """
    if answer.missed:
        raise answer.error(path)
    if answer.kind != EXTENDED_REPLY:
        raise NodeLied("another SFTP answer than to what was asked")
    words = Words(answer.body)
    _size, fragment, blocks, _free, available, files, _files_free, files_available = (words.number(8) for _ in range(8))
    return blocks * fragment, available * fragment, files, files_available
