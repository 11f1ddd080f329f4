"""Where a process of a rank stands. Part of a program that runs on nodes, on any Python >= 3.6: see `helper_evidence`.

A pid alone is never trusted: numbers are used again. A signal ends a process that does not handle it, so it is sent to
one alone that holds the rank's own stacks file open and catches the signal.
"""

import os
import select
import shutil
import signal
import stat
import time
from typing import Any, Dict, List

from ugro_tui.nodes.helper_files import READ, Folders
from ugro_tui.nodes.helper_proc import boot_id, ran, read_text, state_of

PYSPY_SECONDS, SIGNAL_SECONDS = 10.0, 5.0
"""How long the stacks of one process may take, by either way."""

MAX_STACK = 1 << 18
"""Bytes kept of the stacks of one process: thousands of frames."""

MAX_FILES, MAX_THREADS, MAX_CHILDREN = 8192, 64, 64
"""Open files, threads and children that are looked at of one process."""

_QUIET, _POLL = 0.2, 0.02
_REAL_TIME = range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else ()  # macOS has none
_ALLOWED = {signal.SIGUSR1, signal.SIGUSR2} | set(_REAL_TIME)


class Refused(Exception):
    """Why something was not done, for people."""


class Process:
    """The process that a heartbeat tells of, on this machine and alive.

    Raises:
        Refused: it is not, or that cannot be known.
    """

    def __init__(self, beat: Dict[str, Any]) -> None:
        pid, start, self.number = beat.get("pid"), beat.get("pid_start"), beat.get("stack_signal")
        if type(pid) is not int or type(start) is not int or pid < 1 or not beat.get("boot_id"):
            raise Refused("its heartbeat does not tell which process it is")
        if beat["boot_id"] != boot_id():
            raise Refused("its process is not on this machine, or was before the last boot")
        self.pid, self.start = pid, start
        if not self.lives():
            raise Refused("no process %d that began when the rank did: it has ended, or is in a container" % pid)

    def lives(self) -> bool:
        """Whether it has not ended: a process that was given its number later began later."""
        return state_of(self.pid)[1] == self.start

    def stopped(self) -> bool:
        """Whether it was stopped by a signal or a debugger."""
        return state_of(self.pid)[0] in ("T", "t")

    def catches(self, number: int) -> bool:
        """Whether it handles the signal."""
        lines = [line for line in read_text("/proc/%d/status" % self.pid).splitlines() if line.startswith("SigCgt:")]
        return bool(lines) and bool(int(lines[0].split()[1], 16) >> (number - 1) & 1)

    def holds(self, info: os.stat_result) -> bool:
        """Whether it has this very file open."""
        folder = "/proc/%d/fd" % self.pid
        try:
            names = os.listdir(folder)[:MAX_FILES]
        except OSError as error:
            raise Refused("its open files may not be looked at: %s" % error.strerror) from None
        for name in names:
            try:
                found = os.stat(os.path.join(folder, name))
            except FileNotFoundError:  # closed meanwhile
                continue
            except OSError as error:
                raise Refused("its open files may not be looked at: %s" % error.strerror) from None
            if (found.st_dev, found.st_ino) == (info.st_dev, info.st_ino):
                return True
        return False

    def bin_folder(self) -> str:
        """The folder of its interpreter as it was called; empty where that is no path. A venv has its tools there."""
        called = read_text("/proc/%d/cmdline" % self.pid).split("\0")[0]
        return os.path.dirname(os.path.join("/proc/%d/cwd" % self.pid, called)) if "/" in called else ""


def stacks(process: Process, folders: Folders, job: str, rank: int) -> Dict[str, Any]:
    """The stacks of all threads: `how` they were got (empty: not at all), `text`, and what was `tried` in vain."""
    tried: List[str] = []
    try:
        return {"how": "py-spy", "text": by_pyspy(process), "tried": tried}
    except Refused as why:
        tried.append("py-spy: %s" % why)
    try:
        return {"how": "signal", "text": by_signal(process, folders, job, rank), "tried": tried}
    except Refused as why:
        tried.append("signal: %s" % why)
    return {"how": "", "text": "", "tried": tried}


def by_pyspy(process: Process) -> str:
    """From outside, by a program that reads the process's memory: it needs the right to trace it."""
    program = shutil.which("py-spy") or shutil.which("py-spy", path=process.bin_folder())
    if program is None:
        raise Refused("it is not installed")
    if not process.lives():
        raise Refused("the process has ended")
    argv = [program, "dump", "--pid", str(process.pid), "--full-filenames"]
    # It would stop the process while it looks, and have it go on afterwards.
    argv += ["--nonblocking"] if process.stopped() else []
    code, said = ran(argv, PYSPY_SECONDS)
    if code != 0 or "Thread" not in said:
        raise Refused(" ".join(said.split())[:500] or "it said nothing (exit code %s)" % code)
    return said


def by_signal(process: Process, folders: Folders, job: str, rank: int) -> str:
    """From inside, by the handler that the emitter has put there if it was asked to."""
    number = process.number
    if number is None:
        raise Refused("the rank handles none: its script can ask for it with MetricsEmitter(stack_signal=True)")
    if type(number) is not int or number not in _ALLOWED:
        raise Refused("%r is not a signal that is sent" % (number,))
    try:
        handle = os.open("rank_%d.txt" % rank, READ, dir_fd=folders.handle(job, "stacks"))
    except OSError as error:
        raise Refused("its stacks file cannot be read: %s" % error.strerror) from None
    try:
        before = os.fstat(handle)
        _send(process, number, before)
        return _answer(process, handle, before.st_size)
    finally:
        os.close(handle)


def _send(process: Process, number: int, file: os.stat_result) -> None:
    """Raises Refused: it is not certain that the process is the rank's and handles the signal."""
    if not stat.S_ISREG(file.st_mode) or not process.holds(file):
        raise Refused("process %d does not hold the rank's stacks file open" % process.pid)
    if process.stopped():
        raise Refused("the process is stopped (SIGSTOP, or a debugger)")
    opened = getattr(
        os, "pidfd_open", None
    )  # from Python 3.9 on: a number that is used again meanwhile does not matter
    try:
        held = opened(process.pid) if opened else None
        try:
            if not process.catches(number):
                raise Refused("process %d does not handle signal %d" % (process.pid, number))
            if not process.lives():
                raise Refused("the process has ended")
            if held is None:
                os.kill(process.pid, number)
            else:
                getattr(signal, "pidfd_send_signal")(held, number)  # noqa: B009 - not there before Python 3.9
        finally:
            if held is not None:
                os.close(held)
    except OSError as error:
        raise Refused("the signal could not be sent: %s" % error.strerror) from None


def _answer(process: Process, handle: int, offset: int) -> str:
    """What stands behind `offset` when nothing comes any more."""
    began = grown = time.monotonic()
    size = offset
    while time.monotonic() - began < SIGNAL_SECONDS and (size == offset or time.monotonic() - grown < _QUIET):
        select.select([], [], [], _POLL)
        now = os.fstat(handle).st_size
        if now != size:
            size, grown = now, time.monotonic()
    if size <= offset:
        word = {"D": "it waits in the kernel and takes no signals", "": "it has ended"}
        why = word.get(state_of(process.pid)[0], "no thread of it takes signals")
        raise Refused("sent, and nothing was written within %.0f s: %s" % (SIGNAL_SECONDS, why))
    return os.pread(handle, min(size - offset, MAX_STACK), offset).decode("utf-8", "replace")


def described(process: Process) -> str:
    """What the system tells of it: command, state, memory, children, and where in the kernel each thread waits."""
    place = "/proc/%d" % process.pid
    wanted = ("State", "Threads", "VmRSS", "VmSwap", "voluntary_ctxt_switches")
    status = read_text(place + "/status").splitlines()
    lines = ["command: " + read_text(place + "/cmdline", 4096).replace("\0", " ").strip()]
    lines += [" ".join(line.split()) for line in status if line.partition(":")[0] in wanted]
    threads = _names(place + "/task")[:MAX_THREADS]
    children = " ".join(read_text("%s/task/%s/children" % (place, name)) for name in threads).split()[:MAX_CHILDREN]
    lines += ["child %s: %s" % (child, _waits("/proc/" + child)) for child in children]
    lines += ["thread %s: %s" % (name, _waits("%s/task/%s" % (place, name))) for name in threads]
    kernel = read_text(place + "/stack").splitlines()  # for root alone
    return "\n".join(lines + ["kernel: " + line for line in kernel])


def _waits(place: str) -> str:
    fields = read_text(place + "/stat").rpartition(")")[2].split()
    where = read_text(place + "/wchan").strip()
    return "%s, state %s, waits in %s" % (
        read_text(place + "/comm").strip(),
        fields[0] if fields else "?",
        where if where not in ("", "0") else "nothing that is told",
    )


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder), key=int)
    except (OSError, ValueError):
        return []
