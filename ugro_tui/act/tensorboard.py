"""TensorBoard as a process of its own, which ends with us whatever ends us."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

from ugro_tui.act.errors import LaunchError
from ugro_tui.core.ports import Clock
from ugro_tui.core.text import visible

HOST = "127.0.0.1"
USUAL_PORT = 6006
START_SECONDS = 60.0
"""How long TensorBoard may take to answer: importing it takes seconds, on a busy machine many."""

_ATTEMPTS = 5
"""Each finds its port taken only if another program was quicker just then."""
_POLL_SECONDS = 0.05
_KEPT_LINES = 20
_STOP_SECONDS = 5.0
_SERVES = re.compile(rf"TensorBoard \S+ at (http://{re.escape(HOST)}:(\d+)/)")

# Leads a group of its own, with TensorBoard and the data server that this starts. When our end of its standard input
# is closed (by us, or by the system when we are killed) or TensorBoard has ended, it ends them all, and itself. A
# parent-death signal would not do: it comes when the thread ends that started the process.
_WATCHER = """
import os, select, signal, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
woken, waker = os.pipe()
os.set_blocking(waker, False)
signal.signal(signal.SIGCHLD, lambda *_: os.write(waker, b"x"))
if child.poll() is None and 0 in select.select([0, woken], [], [])[0]:
    child.terminate()
    try:
        child.wait(2)
    except subprocess.TimeoutExpired:
        pass
os.killpg(0, signal.SIGKILL)
"""

_log = logging.getLogger(__name__)


class TensorBoard:
    """A TensorBoard on `logdir` for this machine alone; started by `open`, ended by `stop` or with this process.

    Any thread may call it. `seconds`: how long it may take to answer.
    """

    def __init__(
        self, logdir: Path, python: str = sys.executable, *, seconds: float = START_SECONDS, clock: Clock = time
    ) -> None:
        self._logdir = logdir
        self._python = python
        self._seconds = seconds
        self._clock = clock
        self._opening = threading.Lock()  # one start at a time
        self._cancelled = threading.Event()
        self._group: _Group | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where it answers; empty while it does not run."""
        return self._url if self._group is not None and not self._group.over.is_set() else ""

    def open(self) -> str:
        """Start it unless it runs, and wait until it answers; its URL. On port 6006 if that is free.

        Raises:
            LaunchError: it is not installed, died, or did not answer in time; the message says which and what to do.
        """
        with self._opening:
            self._cancelled.clear()
            if not self.url:
                self._url = self._start()
                _log.info("TensorBoard on %s answers at %s", self._logdir, self._url)
            return self._url

    def stop(self) -> None:
        """End it and its children, also while it starts. None is left on return. May be called again."""
        self._cancelled.set()
        group = self._group
        if group is not None:
            group.end()

    def _start(self) -> str:
        deadline = self._clock.monotonic() + self._seconds
        port = USUAL_PORT if is_free(USUAL_PORT) else free_port()
        for _ in range(_ATTEMPTS):
            group = self._spawn(port)
            url = self._await(group, deadline)
            if url:
                return url
            died = group.over.is_set()
            group.end()
            if not died or not group.said("already in use"):
                break
            port = free_port()
        raise LaunchError(self._why(group, died=died))

    def _spawn(self, port: int) -> _Group:
        if self._group is not None:
            self._group.end()
        argv = (self._python, "-m", "tensorboard.main", "--logdir", str(self._logdir.absolute()))
        try:
            self._group = _Group(self._python, [*argv, "--host", HOST, "--port", str(port)])
        except OSError as error:
            raise LaunchError(
                f"TensorBoard cannot be started: {visible(self._python)}: {error.strerror}: install ugro-tui again"
            ) from error
        return self._group

    def _await(self, group: _Group, deadline: float) -> str:
        """Its URL once it answers; empty if it ended, is too slow, or is wanted no more."""
        while self._clock.monotonic() < deadline and not self._cancelled.is_set():
            found = group.serves()
            if found and answers(int(found[2]), deadline - self._clock.monotonic()):
                return found[1]
            if group.over.wait(_POLL_SECONDS):
                break
        return ""

    def _why(self, group: _Group, *, died: bool) -> str:
        if self._cancelled.is_set():
            return "TensorBoard was stopped while it started"
        if group.said("No module named tensorboard") or group.said("No module named 'tensorboard"):
            return (
                f"TensorBoard is not installed for {self._python}: install it with "
                f"`{self._python} -m pip install tensorboard`"
            )
        last = " | ".join(list(group.lines)[-5:]) or "it said nothing"
        if died:
            return f"TensorBoard ended at once: {last}: see whether `{self._python} -m tensorboard.main --help` works"
        return (
            f"TensorBoard did not answer within {self._seconds:g} s: try again when the machine is less busy ({last})"
        )


class _Group:
    """The watcher and all that it started. Its output goes through a pipe, and never to the terminal."""

    def __init__(self, python: str, argv: list[str]) -> None:
        """Start it. Raises OSError."""
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.over = threading.Event()
        self._ending = threading.Lock()
        self._process = subprocess.Popen(
            [python, "-I", "-S", "-c", _WATCHER, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._drain, name="tensorboard output", daemon=True).start()

    def serves(self) -> re.Match[str] | None:
        """What it said of its URL: said once its port is its own, so that no other program answers for it."""
        return next((found for line in tuple(self.lines) if (found := _SERVES.search(line))), None)

    def said(self, words: str) -> bool:
        """Whether one of the last lines has these words."""
        return any(words in line for line in tuple(self.lines))

    def end(self) -> None:
        """End all of it, and wait until that is done."""
        with self._ending:
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self.over.wait(_STOP_SECONDS)
            if self._process.returncode is None:  # not waited for yet, so the number is still that of our group
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self.over.wait(_STOP_SECONDS)

    def _drain(self) -> None:
        """Keep the last lines; the pipe ends when the last process of the group has ended."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            while line := output.readline(4096):
                self.lines.append(visible(line.decode("utf-8", "replace").strip(), 300))
        self.over.set()


def without_events(folder: Path) -> str:
    """What to say of a folder in which there is nothing to show yet; empty where there is something."""
    for _, _, names in os.walk(folder):
        if any("tfevents" in name for name in names):  # by this TensorBoard itself goes
            return ""
    where = visible(str(folder))
    return f"no event files yet in {where}: TensorBoard will show nothing until some are written"


def is_free(port: int) -> bool:
    """Whether a server of this machine could take the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def answers(port: int, seconds: float) -> bool:
    """Whether TensorBoard answers on the port, within so many seconds."""
    connection = http.client.HTTPConnection(HOST, port, timeout=max(0.1, min(5.0, seconds)))
    try:
        connection.request("GET", "/data/environment")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
