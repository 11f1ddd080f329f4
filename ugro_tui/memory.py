"""`MemoryFile`: what outlives the screens, in one JSON file of the state directory. It never ends the application."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ugro_tui.config import state_path
from ugro_tui.core.text import visible

NAME: Final = "screens.json"
VERSION: Final = 1
MOST_BYTES: Final = 1 << 20
"""A file that is larger than this is none of ours."""

CLOSE_SECONDS: Final = 2.0
"""How long the end waits for the disk."""

_log = logging.getLogger("ugro_tui.memory")


class MemoryFile:
    """The file of this name in `folder`, the state directory where none is given.

    Where two applications keep things at the same time, the later word holds for each name, and the file is whole at
    any moment. A damaged file is put aside as `screens.json.bad`; one of a newer ugro-tui is left as it is.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (state_path() if folder is None else folder) / NAME
        self._lock = threading.Lock()
        self._waiting: dict[str, object] = {}
        self._thread: threading.Thread | None = None
        self._newer = False

    def load(self) -> Mapping[str, object]:
        """All that was kept; empty where nothing was or nothing can be read."""
        try:
            kept = self._read()
        except OSError as error:
            _log.warning("%s cannot be read: %s: screens begin anew", self._path, error.strerror or error)
            return {}
        kept.pop("version", None)
        return kept

    def save(self, news: Mapping[str, object]) -> None:
        """Have a thread of its own write these to the file."""
        with self._lock:
            self._waiting |= news
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="memory", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait until all is written; not for a disk that hangs."""
        thread = self._thread
        if thread is not None:
            thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while news := self._next():
            try:
                self._write(self._read() | news)
            except OSError as error:
                _log.warning("%s cannot be written: %s: nothing is kept", self._path, error.strerror or error)

    def _next(self) -> dict[str, object]:
        with self._lock:
            news, self._waiting = self._waiting, {}
            if not news:
                self._thread = None
            return news

    def _read(self) -> dict[str, Any]:
        """What the file holds.

        Raises:
            OSError: it is there, but cannot be read.
        """
        import orjson

        try:
            found = orjson.loads(_bytes(self._path))
            if not isinstance(found, dict) or not isinstance(found.get("version"), int):
                raise ValueError("it is not what ugro-tui writes")
        except FileNotFoundError:
            return {}
        except ValueError as error:
            self._put_aside(visible(str(error), 120))
            return {}
        self._newer = found["version"] > VERSION
        if self._newer:
            _log.warning("%s is of a newer ugro-tui: it is left as it is, and nothing is kept", self._path)
        return {} if self._newer else found

    def _put_aside(self, why: str) -> None:
        aside = self._path.with_name(f"{NAME}.bad")
        with contextlib.suppress(OSError):
            self._path.replace(aside)
        _log.warning("%s is damaged (%s): screens begin anew; it is kept as %s", self._path, why, aside.name)

    def _write(self, kept: Mapping[str, object]) -> None:
        import orjson

        if self._newer:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{NAME}.", dir=self._path.parent)  # for its owner alone
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(orjson.dumps({**kept, "version": VERSION}, option=orjson.OPT_INDENT_2))
            Path(beside).replace(self._path)
        finally:
            Path(beside).unlink(missing_ok=True)


def _bytes(path: Path) -> bytes:
    """The bytes of a regular file that is not too large.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none of ours.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe under that name would be waited for
    with os.fdopen(handle, "rb") as stream:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode) or info.st_size > MOST_BYTES:
            raise ValueError("it is no file, or too large")
        return stream.read(MOST_BYTES)
