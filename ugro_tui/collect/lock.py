"""The lock over a central directory: one application writes the copies, the others read them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ugro_tui.collect.below import PRIVATE_FILE, SAFE, private_folder
from ugro_tui.core.errors import UgroError
from ugro_tui.core.text import visible

NAME = ".lock"

_MAX_TOLD = 1 << 18
_MAX_HOST = 80


class LockError(UgroError):
    """Nobody can tell whether another application writes there: the directory cannot be used."""


class CentralLock:
    """Held by one process at a time; the kernel lets go when that one ends, however it does.

    The file says who holds it, for people. It stays when the lock is released: a file that was removed and made again
    could be locked by two. Not safe for several threads at once.
    """

    def __init__(self, central: Path, nodes: Sequence[str] = ()) -> None:
        self._central = central
        self._path = central / NAME
        self._nodes = tuple(nodes)
        self._handle: int | None = None

    def try_acquire(self) -> bool:
        """Whether this process holds the lock now; never waits.

        Raises:
            LockError: the directory cannot be created or written, or its file system does not lock files.
        """
        if self._handle is not None:
            return True
        try:
            private_folder(self._central)
            self._handle = self._locked()
        except OSError as error:
            raise self._error(error) from None
        if self._handle is not None:
            self._tell(self._handle)
        return self._handle is not None

    def holder(self) -> str:
        """Who holds the lock, or held it last, for people: `ugro-tui (pid 123 on host)`."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            told = self._told()
            return f"ugro-tui (pid {int(told['pid'])} on {visible(str(told['host']), _MAX_HOST)})"
        return "another ugro-tui"

    def watched(self) -> frozenset[str] | None:
        """The nodes that the holder watches; None where that is not known."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            return frozenset(map(str, self._told()["nodes"]))
        return None

    def _told(self) -> dict[str, Any]:
        handle = os.open(self._path, os.O_RDONLY | SAFE)
        try:
            told: dict[str, Any] = json.loads(os.read(handle, _MAX_TOLD))
        finally:
            os.close(handle)
        return told

    def release(self) -> None:
        """Let another process have it; not to hold it is no error."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
        with contextlib.suppress(OSError):
            # Closing alone would not do where a fork still has the file open.
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)

    def _locked(self) -> int | None:
        """The lock's file, open and locked; None where somebody else has locked it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | SAFE, PRIVATE_FILE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.lstat(self._path)):
                os.fchmod(handle, PRIVATE_FILE)
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            raise
        os.close(handle)  # it was replaced while we waited for it: what is locked is a file that nobody else sees
        return None

    def _tell(self, handle: int) -> None:
        told = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time(), "nodes": self._nodes}
        with contextlib.suppress(OSError):  # the disk may be full; who holds the lock does so without saying it
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(told).encode(), 0)

    def _error(self, error: OSError) -> LockError:
        said = f"{visible(str(self._path))} cannot be locked: {error.strerror or error}"
        if error.errno in {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}:
            return LockError(
                f"{said}: this file system does not lock files; choose a directory on a local disk with --central"
            )
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return LockError(f"{said}: allow it (chmod u+rwx), or choose another directory with --central")
        return LockError(f"{said}: look at that disk, or choose another directory with --central")
