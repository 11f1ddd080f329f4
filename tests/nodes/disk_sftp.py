"""A double of SFTP for unit tests: this machine's disk, as SFTP shows it, with its round trips counted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from ugro_tui.nodes.base import NodeError, NodeSilent, Ran


@dataclass(frozen=True)
class DiskStat:
    """What SFTP says of a file."""

    mode: int
    size: int
    mtime: int


@dataclass
class DiskSftp:
    """SFTP, and the connection that it came with, of an account that may run nothing."""

    home: str = "/"
    asked: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    silent: bool = False
    alive: bool = True
    connected: int = 0

    def connect(self, _deadline: float) -> DiskSftp:
        """For a RemoteNode."""
        self.connected += 1
        self.alive = True
        return self

    def execute(self, _command: str, _deadline: float) -> DiskSftp:
        """As `Connection.execute`: refused."""
        raise NodeError("the command was refused")

    def run(self, _argv: Sequence[str], _stdin: bytes, _deadline: float) -> Ran:
        """As `Connection.run`: refused."""
        raise NodeError("the command was refused")

    def sftp(self, _deadline: float) -> DiskSftp:
        """As `Connection.sftp`."""
        return self

    def send(self, _data: bytes, _deadline: float) -> None:
        """No program runs."""
        raise NodeError("not here")

    def receive(self, _most: int, _deadline: float) -> bytes:
        """No program runs."""
        raise NodeError("not here")

    def listdir(self, path: str, _deadline: float) -> list[tuple[str, DiskStat]]:
        """As `Sftp.listdir`."""
        self._ask("listdir")
        return [(name, self._stat(os.path.join(path, name))) for name in os.listdir(path)]

    def stat_many(self, paths: Sequence[str], _deadline: float) -> list[DiskStat | None]:
        """As `Sftp.stat_many`."""
        self._ask("stat")
        return [self._stat(path) if os.path.lexists(path) else None for path in paths]

    def read_many(self, wanted: Sequence[tuple[str, int, int]], _deadline: float) -> list[bytes | OSError]:
        """As `Sftp.read_many`."""
        self._ask("read")
        return [self._read(*one) for one in wanted]

    def realpath(self, path: str, _deadline: float) -> str:
        """As `Sftp.realpath`."""
        return os.path.normpath(os.path.join(self.home, path))

    def disk_of(self, path: str, _deadline: float) -> tuple[int, int, int, int]:
        """As `Sftp.disk_of`."""
        disk = os.statvfs(path)
        return disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize, disk.f_files, disk.f_favail

    def close(self) -> None:
        """As `Connection.close`."""
        self.alive = False

    def _ask(self, what: str) -> None:
        if self.silent:
            raise NodeSilent("nothing came")
        self.asked.append(what)

    def _stat(self, path: str) -> DiskStat:
        info = os.lstat(path)
        return DiskStat(info.st_mode, info.st_size, int(info.st_mtime))

    def _read(self, path: str, offset: int, length: int) -> bytes | OSError:
        self.opened.append(path)
        try:
            with open(path, "rb") as stream:
                stream.seek(offset)
                return stream.read(length)
        except OSError as error:
            return error
