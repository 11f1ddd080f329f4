"""A diagnosis as a directory of its own: written beside and renamed, so that half of one never looks whole."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from ugro_tui.core.errors import UgroError
from ugro_tui.core.text import visible

KEPT = 20
"""Diagnoses that are kept of one job, the newest."""

FOLDER = "diagnosis"
_NAME = re.compile(r"\d{8}-\d{6}Z(?:-\d+)?")
_LEFT_OVER_SECONDS = 86_400.0


def write(job: Path, files: Mapping[str, str], when: float) -> Path:
    """Write `files` (paths of ours to text) below a job's folder; the new directory, named after `when` (Unix seconds).

    Raises:
        UgroError: it cannot be written.
    """
    folder = job / FOLDER
    try:
        _make(folder)
        half = folder / f".{next(_names(when))}.{secrets.token_hex(4)}.tmp"
        try:
            _fill(half, files)
            whole = _renamed(half, folder, when)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
    except OSError as error:
        raise UgroError(
            f"the diagnosis cannot be written to {visible(str(folder))}: {error.strerror or error}: allow it, free "
            "space there, or choose another place with --central"
        ) from error
    _forget(folder, when)
    return whole


def _make(folder: Path) -> None:
    """The folder of all diagnoses, for the user alone. The job's own date stays: it tells when the job last wrote."""
    for above in (folder.parent.parent, folder.parent):
        with contextlib.suppress(FileExistsError):
            above.mkdir(0o700, parents=True)
    before = folder.parent.stat()
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        if folder.is_symlink() or not folder.is_dir():
            raise NotADirectoryError(20, "something else lies there", str(folder)) from None
        return
    with contextlib.suppress(OSError):
        os.utime(folder.parent, ns=(before.st_atime_ns, before.st_mtime_ns))


def _fill(half: Path, files: Mapping[str, str]) -> None:
    half.mkdir(0o700)
    for name, text in files.items():
        path = half / name
        for parent in reversed(path.relative_to(half).parents[:-1]):
            with contextlib.suppress(FileExistsError):
                (half / parent).mkdir(0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n") as stream:
            stream.write(text)


def _renamed(half: Path, folder: Path, when: float) -> Path:
    for name in _names(when):
        try:
            half.rename(folder / name)
        except OSError:
            if not (folder / name).exists():  # else it is taken, perhaps just now
                raise
        else:
            return folder / name
    raise AssertionError("names never end")


def _names(when: float) -> Iterator[str]:
    name = f"{datetime.fromtimestamp(when, UTC):%Y%m%d-%H%M%SZ}"
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def _forget(folder: Path, when: float) -> None:
    """Remove the oldest diagnoses where there are too many, and what is left of some that were interrupted."""
    with contextlib.suppress(OSError):
        names = sorted(filter(_NAME.fullmatch, os.listdir(folder)), key=_order)
        for name in names[:-KEPT]:
            shutil.rmtree(folder / name, ignore_errors=True)
        for half in folder.glob(".*.tmp"):
            if half.lstat().st_mtime < when - _LEFT_OVER_SECONDS:
                shutil.rmtree(half, ignore_errors=True)


def _order(name: str) -> tuple[str, int]:
    second, _, number = name.partition("Z")
    return second, int(number[1:] or 1)
