"""The command `on_alert`: run for each event, with one JSON object on its standard input."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ugro_tui.core.text import visible

log = logging.getLogger(__name__)

MOST_WAITING: Final = 100
"""Events that wait for the command at most; more of them are dropped, the newest first: the first tell the cause."""

RUN_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 5.0
"""How long the end of the application waits for commands that still run: the end of a job is told at its end."""


class Notifier:
    """Runs `argv` as it is given, without a shell, once for each event, one after the other. `tell` never waits."""

    def __init__(self, argv: Sequence[str], run_seconds: float = RUN_SECONDS) -> None:
        self._argv = tuple(argv)
        self._run_seconds = run_seconds
        self._events: deque[bytes] = deque()
        self._news = threading.Condition()
        self._running: subprocess.Popen[bytes] | None = None
        self._closing = False
        self._thread: threading.Thread | None = None
        self._problem = ""
        self._dropped = 0

    @property
    def trouble(self) -> str:
        """Why events are not told, for people; empty while they are."""
        dropped = f"on_alert: {self._dropped:,} events not told, as the command is too slow" if self._dropped else ""
        return self._problem or dropped

    def tell(self, event: Mapping[str, Any]) -> None:
        """Have the command be run for this."""
        with self._news:
            if len(self._events) >= MOST_WAITING:
                self._dropped += 1
                return
            self._events.append(json.dumps(event).encode() + b"\n")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="on-alert", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Let what waits be told, for so long; end what still runs then."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        if self._thread is None:
            return
        self._thread.join(seconds)
        with self._news:
            self._events.clear()
            running = self._running
        if running is not None:
            _end(running)
            self._thread.join(seconds)

    def _work(self) -> None:
        while (event := self._next()) is not None:
            problem = self._run(event)
            if problem and problem != self._problem:  # else each event would fill the log
                log.warning("%s", problem)
            self._problem = problem

    def _next(self) -> bytes | None:
        with self._news:
            self._news.wait_for(lambda: self._events or self._closing)
            return self._events.popleft() if self._events else None

    def _run(self, event: bytes) -> str:
        """Run the command; what went wrong, empty when nothing did."""
        command = f"on_alert: {visible(self._argv[0], 200)}"
        try:
            with self._news:
                self._running = process = subprocess.Popen(
                    self._argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
            process.communicate(event, timeout=self._run_seconds)
        except OSError as error:
            return f"{command} cannot be run: {error.strerror or error}: correct on_alert in config.toml"
        except (ValueError, subprocess.SubprocessError) as error:
            if not isinstance(error, subprocess.TimeoutExpired):
                return f"{command} cannot be run: {error}: correct on_alert in config.toml"
            _end(process)
            return f"{command} did not end within {self._run_seconds:.0f} s and was killed: have it do less"
        finally:
            self._running = None
        if process.returncode:
            return f"{command} ended with exit code {process.returncode}: try it by hand with a line of JSON"
        return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the command and what it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
