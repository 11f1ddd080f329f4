"""What of a central directory has grown old and can go: `ugro-tui sync --prune`. Links are never followed."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ugro_tui.collect.below import folder_below
from ugro_tui.collect.lock import CentralLock
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.jobid import is_job_id
from ugro_tui.core.numbers import counted
from ugro_tui.core.text import visible

DAY_SECONDS = 86_400.0

_JOBS = "jobs"
_GENERATIONS = "generations"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file, or the whole copy of a job, that can go. `changed`: when it last changed, in Unix seconds."""

    path: Path
    bytes: int
    why: str
    changed: float


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file (or link, or anything else that is no folder) below a job's folder."""

    parts: tuple[str, ...]
    size: int
    written: float
    """By the node that wrote it: copies are dated so."""
    touched: float
    """When it was put where it is, or written, whichever is later."""


def find(central: Path, older_than_days: float, now: float) -> tuple[Artifact, ...]:
    """What did not change for so many days: copies of whole jobs; of the others, superseded files and leftovers.

    `now` is in Unix seconds. Nothing is found where there is no central directory; a job that cannot be read whole is
    left alone.

    Raises:
        UgroError: the central directory cannot be read.
    """
    limit = now - older_than_days * DAY_SECONDS
    try:
        names = sorted(filter(is_job_id, _listed(central)))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UgroError(f"{visible(str(central))} cannot be read: {error.strerror}: allow it") from error
    found: list[Artifact] = []
    for name in names:
        with contextlib.suppress(OSError):
            found += _of_job(central, name, limit, now)
    return tuple(found)


def remove(central: Path, artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """Remove what was found, and folders that are empty then. What has changed meanwhile stays; returns what went.

    Raises:
        BadInput: another application writes there, or something was not found in this central directory.
        UgroError: some could not be removed; the others were.
    """
    wanted = tuple(artifacts)
    if not wanted:
        return ()
    lock = CentralLock(central)
    if not lock.try_acquire():
        raise BadInput(f"{lock.holder()} writes {visible(str(central))}: end it before you remove copies")
    try:
        return _removed(central, wanted)
    finally:
        lock.release()


def _removed(central: Path, wanted: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
    gone, failed = [], []
    for artifact in wanted:
        try:
            if _remove_one(central, _parts(central, artifact.path), artifact):
                gone.append(artifact)
        except OSError as error:
            failed.append(f"{visible(str(artifact.path))}: {error.strerror}")
    if failed:
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise UgroError(f"not removed: {'; '.join(failed[:3])}{more}: remove them by hand; the others are gone")
    return tuple(gone)


def _listed(central: Path) -> list[str]:
    with folder_below(central, (_JOBS,)) as jobs:
        return os.listdir(jobs)


def _of_job(central: Path, name: str, limit: float, now: float) -> Iterator[Artifact]:
    """Raises OSError: a part of it cannot be read, so how old it is cannot be told."""
    folder = central / _JOBS / name
    entries, changed = _measured(central, (_JOBS, name))
    if changed < limit:
        size = sum(entry.size for entry in entries)
        yield Artifact(folder, size, f"nothing of this job changed for {_days(now - changed)}", changed)
        return
    for entry in entries:
        why = _why(entry, now)
        if why and entry.touched < limit:
            yield Artifact(folder.joinpath(*entry.parts), entry.size, why, entry.touched)


def _why(entry: _Entry, now: float) -> str:
    name = entry.parts[-1]
    if name.startswith(".") and name.endswith(".tmp"):
        return f"left over from a copy that was interrupted {_days(now - entry.touched)} ago"
    if entry.parts[0] == _GENERATIONS:
        return f"superseded by another file {_days(now - entry.touched)} ago"
    return ""


def _measured(central: Path, parts: tuple[str, ...]) -> tuple[list[_Entry], float]:
    """All that lies in a folder, and when the newest of it was written; of an empty folder, its own date."""
    entries: list[_Entry] = []
    dates: list[float] = []
    with folder_below(central, parts) as folder:
        for place, _, names, handle in os.fwalk(".", dir_fd=folder, onerror=_raise):
            dates.append(os.fstat(handle).st_mtime)
            for name in names:
                info = os.lstat(name, dir_fd=handle)
                touched = max(info.st_mtime, info.st_ctime)
                entries.append(_Entry((*Path(place).parts, name), info.st_size, info.st_mtime, touched))
    return entries, max((entry.written for entry in entries), default=max(dates))


def _raise(error: OSError) -> None:
    raise error


def _days(seconds: float) -> str:
    return counted(int(seconds / DAY_SECONDS), "day")


def _parts(central: Path, path: Path) -> tuple[str, ...]:
    parts = path.relative_to(central).parts if path.is_relative_to(central) else ()
    if len(parts) < 2 or parts[0] != _JOBS or ".." in parts:
        raise BadInput(f"{visible(str(path))} is no copy in {visible(str(central))}: look for what can go again")
    return parts


def _remove_one(central: Path, parts: tuple[str, ...], artifact: Artifact) -> bool:
    """Whether it went: not where it is gone already, or has changed since it was found."""
    *folders, name = parts
    with contextlib.suppress(FileNotFoundError), folder_below(central, folders) as folder:
        info = os.lstat(name, dir_fd=folder)
        if stat.S_ISDIR(info.st_mode):
            if _measured(central, parts)[1] != artifact.changed:
                return False
            shutil.rmtree(name, dir_fd=folder)
        elif max(info.st_mtime, info.st_ctime) != artifact.changed:
            return False
        else:
            os.unlink(name, dir_fd=folder)
            _remove_empty(central, tuple(folders))
        return True
    return False


def _remove_empty(central: Path, parts: tuple[str, ...]) -> None:
    """Remove a folder that holds nothing, and those above it, up to the one of all jobs."""
    with contextlib.suppress(OSError):
        while len(parts) > 1:
            with folder_below(central, parts[:-1]) as folder:
                os.rmdir(parts[-1], dir_fd=folder)
            parts = parts[:-1]
