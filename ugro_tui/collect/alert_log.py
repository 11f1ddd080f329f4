"""The book of alerts on disk: one JSON file, written by the one application that keeps it, read by the others."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from ugro_tui.collect.below import file_in, folder_below, write_at
from ugro_tui.collect.follower import Role
from ugro_tui.collect.lock import CentralLock
from ugro_tui.core.entries import Entry, Saved
from ugro_tui.core.errors import UgroError
from ugro_tui.core.text import visible

NAME: Final = "alerts.json"
BESIDE: Final = f".{NAME}.tmp"
DAMAGED: Final = "alerts.damaged.json"

VERSION: Final = 1
MOST_BYTES: Final = 64 << 20
"""A file that is larger than this is none of ours."""

LOOK_SECONDS: Final = 3.0
"""How often the file is written at most; how often another application's is looked at."""

CLOSE_SECONDS: Final = 2.0

_Stamp = tuple[int, int, int]


class AlertLog:
    """The file in `folder`; `role` says whether this application writes it. `keeps`: it may do so at all.

    `load` and `save` are called by the thread that owns the book. Everything that may wait for a disk later happens in
    a thread of its own, which hands what another application wrote to `adopt`.
    """

    def __init__(self, folder: Path, role: Callable[[], Role], *, keeps: bool) -> None:
        self._folder = folder
        self._role = role
        self._keeps = keeps
        self._adopt: Callable[[Saved], None] = lambda _: None
        self._news = threading.Condition()
        self._waiting: bytes | None = None
        self._closing = False
        self._stamp: _Stamp | None = None
        self._reads = False
        self._thread = threading.Thread(target=self._run, name="alert-log", daemon=True)
        self.trouble = ""
        """Why the book is not kept, for people; empty while it is."""

    @property
    def reads(self) -> bool:
        """Whether another application keeps the book, as it was at the last look."""
        return self._reads

    @property
    def keeps(self) -> bool:
        """Whether this application keeps the book, as far as it knows."""
        return self._keeps and not self._reads

    def load(self, adopt: Callable[[Saved], None]) -> Saved:
        """What was kept; from now on, `adopt` is called with what another application keeps, by another thread."""
        self._adopt = adopt
        self._reads = self._role() is Role.READS
        saved = self._read() or Saved()
        self._thread.start()
        return saved

    def save(self, data: bytes) -> None:
        """Have this be written; where it comes faster than the disk takes it, the newest."""
        with self._news:
            self._waiting = data
            if self._closing:
                self._news.notify_all()

    def close(self) -> None:
        """Write what waits, and end; a disk that hangs is not waited for."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._news:
                closing = self._news.wait_for(lambda: self._closing, LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        before, self._reads = self._reads, self._role() is Role.READS
        if self._reads or before:
            with self._news:
                self._waiting = None  # the other one's word holds
            saved = self._read()
            if saved is not None or before != self._reads:
                self._adopt(saved or Saved())
            return
        with self._news:
            data, self._waiting = self._waiting, None
        if data is not None and self._keeps and self._role() is Role.WRITES:
            self._write(data)

    def _read(self) -> Saved | None:
        """What the file holds, where it is not what it held at the last look."""
        path = self._folder / NAME
        try:
            with folder_below(self._folder, ()) as folder, file_in(folder, NAME, os.O_RDONLY) as (handle, info):
                stamp = (info.st_ino, info.st_size, info.st_mtime_ns)
                if stamp == self._stamp:
                    return None
                self._stamp = stamp
                data = os.pread(handle, MOST_BYTES, 0)
            return decoded(data)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.trouble = f"{visible(str(path))} cannot be read: {error.strerror or error}: alerts begin anew"
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            self.trouble = f"{visible(str(path))} is damaged ({visible(str(error), 120)}): alerts begin anew"
            self._put_aside()
        return None

    def _put_aside(self) -> None:
        if self._keeps and not self._reads:
            with contextlib.suppress(OSError):
                (self._folder / NAME).rename(self._folder / DAMAGED)
                self.trouble += f"; it is kept as {DAMAGED}"

    def _write(self, data: bytes) -> None:
        try:
            with folder_below(self._folder, (), create=True) as folder:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(BESIDE, dir_fd=folder)
                with file_in(folder, BESIDE, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as (handle, _):
                    write_at(handle, data, 0)
                os.rename(BESIDE, NAME, src_dir_fd=folder, dst_dir_fd=folder)
            self.trouble = ""
        except OSError as error:
            path = visible(str(self._folder / NAME))
            self.trouble = f"{path} cannot be written: {error.strerror or error}: acknowledged alerts come back"


class OwnFolder:
    """Whether this application keeps the book in a folder of its own: the first that `claims` it does.

    One that does not leaves nothing there. Any thread may ask.
    """

    def __init__(self, folder: Path, *, claims: bool) -> None:
        self._folder = folder
        self._claims = claims
        self._lock = CentralLock(folder)
        self._asking = threading.Lock()

    def role(self) -> Role:
        """What this application does with the folder now."""
        with self._asking:
            if not self._claims and not self._folder.is_dir():
                return Role.NONE
            try:
                free = self._lock.try_acquire()
            except UgroError:
                return Role.NONE
            if free and not self._claims:
                self._lock.release()
                return Role.NONE
            return Role.WRITES if free else Role.READS

    def close(self) -> None:
        """Let another application keep it."""
        with self._asking:
            self._lock.release()


def encoded(saved: Saved) -> bytes:
    """The file's content: JSON, null for times that there are not."""
    return msgspec.json.encode({"v": VERSION, "book": saved})


def decoded(data: bytes) -> Saved:
    """The book in a file.

    Raises:
        ValueError, msgspec.DecodeError: it is none.
    """
    told = msgspec.json.decode(data)
    if not isinstance(told, dict) or told.get("v") != VERSION:
        raise ValueError("not of this version")
    saved: Saved = msgspec.convert(_with_nan(told.get("book")), Saved)
    return _clean(saved)


_TIMES = frozenset({"since", "until", "resolved", "rested", "lived", "begun", "age", "value", "threshold", "closed"})


def _with_nan(value: Any) -> Any:
    """`value` with NaN for the numbers that were written as null."""
    if isinstance(value, dict):
        return {
            key: float("nan") if inner is None and key in _TIMES else _with_nan(inner) for key, inner in value.items()
        }
    return [_with_nan(inner) for inner in value] if isinstance(value, list) else value


def _clean(saved: Saved) -> Saved:
    """The book with all text in it made safe to show: who may write the file may not write to the terminal."""
    return Saved(
        {visible(job_id): job for job_id, job in saved.jobs.items()},
        tuple(replace(one, entry=_clean_entry(one.entry)) for one in saved.open),
        tuple(map(_clean_entry, saved.history)),
        saved.snoozed,
    )


def _clean_entry(entry: Entry) -> Entry:
    alert = entry.alert
    safe = replace(
        alert,
        name=visible(alert.name),
        node=visible(alert.node),
        what=visible(alert.what),
        next_step=visible(alert.next_step),
        rule=visible(alert.rule),
    )
    return replace(entry, job_id=visible(entry.job_id), alert=safe)
