"""What can go wrong with the central copy of a node's files, each with what to do about it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from ugro_tui.core.errors import UgroError
from ugro_tui.core.text import visible


class MirrorError(UgroError):
    """A copy cannot be written or read."""


class MirrorMoved(MirrorError):
    """A copy is not as long as was thought: it was changed by somebody else, or a write was cut short."""


class MirrorFull(MirrorError):
    """The disk is full, out of inodes or over a quota; a part of the bytes may have been written."""


class MirrorDenied(MirrorError):
    """The central directory may not be written or read."""


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_LINKED = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, None})


@contextlib.contextmanager
def told(what: str, path: Path) -> Iterator[None]:
    """Turn an OSError into the MirrorError that says `what` ("written", "read") failed with `path`, and the remedy."""
    try:
        yield
    except OSError as error:
        raise mirror_error(error, what, path) from None


def mirror_error(error: OSError, what: str, path: Path) -> MirrorError:
    """The MirrorError for `error`; see `told`."""
    said = f"{visible(str(path))} cannot be {what}: {error.strerror or error}"
    if error.errno in _FULL:
        return MirrorFull(f"{said}: free space or inodes on that disk, or choose another one with --central")
    if error.errno in _DENIED:
        return MirrorDenied(f"{said}: allow it (chmod -R u+rwX), or choose another directory with --central")
    if error.errno in _LINKED:
        return MirrorError(f"{said}: links, and what is neither a file nor a folder, are not used here: remove it")
    return MirrorError(f"{said}: look at that disk, or choose another directory with --central")
