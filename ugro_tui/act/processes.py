"""The processes of a launch, found by what is in their environment, and ended.

A pid alone is never trusted: numbers are used again. A process belongs to a launch if its environment (as it was
when the program was started) holds the job id and the launch token, or if one that does is its ancestor: a program
that sets its own title overwrites its environment.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ugro_tui.act.errors import StopError
from ugro_tui.core.ports import Clock

PROC = Path("/proc")
_POLL_SECONDS = 0.05
_KILL_SECONDS = 5.0
"""A killed process is gone in milliseconds; only one that waits for a device or a dead network disk is not."""


@dataclass(frozen=True)
class Process:
    """One process. `start` is in clock ticks since boot (0 where the system does not tell), and unique with `pid`."""

    pid: int
    start: int
    parent: int = 0


def can_search() -> bool:
    """Whether this system shows the environment of processes (Linux does, macOS does not)."""
    return (PROC / "self" / "environ").exists()


def boot_id() -> str | None:
    """Changes with every boot of the machine; None off Linux."""
    return _read(PROC / "sys/kernel/random/boot_id").decode().strip() or None


def look_up(pid: int) -> Process | None:
    """The process that has this number now; None for none, one that has ended, or off Linux."""
    # "pid (name) state ppid ...": the name may hold anything, so fields are counted from its last parenthesis.
    fields = _read(PROC / str(pid) / "stat").rpartition(b")")[2].split()
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return Process(pid, start=int(fields[19]), parent=int(fields[1]))


def of_launch(job_id: str, token: str, agent: tuple[int, int | None] | None = None) -> tuple[Process, ...]:
    """All living processes of a launch, whatever became of the one that started them.

    `agent` is the pid and start time of the launch's first process, where they are known.
    """
    marks = {f"UGRO_JOB_ID={job_id}".encode(), f"UGRO_LAUNCH_TOKEN={token}".encode()}
    own = tuple(_own_processes())
    family = {
        process.pid for process in own if (process.pid, process.start) == agent or marks <= _environment(process.pid)
    }
    grown = True
    while grown:
        children = {process.pid for process in own if process.parent in family} - family
        family |= children
        grown = bool(children)
    return tuple(process for process in own if process.pid in family)


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal, unless the process has ended; False then, also if its pid belongs to another one by now."""
    now = look_up(process.pid)
    if (now.start if now else 0) != process.start:
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def end_all(living: Callable[[], Iterable[Process]], agent: int, grace: float, clock: Clock) -> None:
    """End what `living` tells until it tells nothing: SIGTERM, and SIGKILL after `grace` seconds.

    The agent alone is told while it lives: it tells its workers, and a second SIGTERM could cut their tidying short.

    Raises:
        StopError: a process outlives even SIGKILL by seconds.
    """
    told: set[Process] = set()
    pause = threading.Event()
    begun = clock.monotonic()
    while found := tuple(living()):
        waited = clock.monotonic() - begun
        if waited > grace + _KILL_SECONDS:
            pids = ", ".join(str(process.pid) for process in found)
            raise StopError(f"still there after SIGKILL: pid {pids}; look at their state with `ps -o pid,stat,wchan`")
        if waited > grace:
            _send_all(found, signal.SIGKILL)
        else:
            first = tuple(process for process in found if process.pid == agent) or found
            _send_all(set(first) - told, signal.SIGTERM)
            told.update(first)
        pause.wait(_POLL_SECONDS)


def _send_all(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        send(process, number)


def _own_processes() -> Iterator[Process]:
    user = os.geteuid()
    with os.scandir(PROC) as entries:
        for entry in entries:
            if entry.name.isdigit() and _owner(entry) == user:
                process = look_up(int(entry.name))
                if process is not None:
                    yield process


def _owner(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat().st_uid
    except OSError:
        return None


def _environment(pid: int) -> set[bytes]:
    return set(_read(PROC / str(pid) / "environ").split(b"\0"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return b""
