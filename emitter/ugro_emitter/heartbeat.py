"""The thread that says every other second that this process is alive, and how long ago it made a step."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Callable

from .encode import encode_with_json
from .losses import Losses
from .replace import replace_file

_SHARE = 0.9
"""Of the interval, what the thread rests: the rest is for the beat itself, so that beats are no farther apart."""


class Heartbeat:
    """Replaces the heartbeat file at once and then every `interval` seconds, and a last time when stopped."""

    def __init__(self, path: Path, interval: float, state: Callable[[], dict[str, Any]], losses: Losses) -> None:
        self._path = path
        self._interval = interval
        self._state = state
        self._losses = losses
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ugro-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        last = False
        while not last:
            # Read before the beat, so that the last beat begins after the stop and tells of the end.
            last = self._stopping.is_set()
            self._beat()
            if not last:
                self._stopping.wait(_SHARE * self._interval)

    def _beat(self) -> None:
        try:
            replace_file(self._path, encode_with_json(self._state()))
        except Exception as error:  # noqa: BLE001 - outer edge of the thread: the next beat may succeed
            self._losses.fail("heartbeat", error)
        self._losses.report()
