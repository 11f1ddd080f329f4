"""The processes of a launch on this machine. Part of a program that runs on nodes, on any Python >= 3.6: see
`helper_launch`.

A pid alone is never trusted: numbers are used again. A process belongs to a launch if its environment, as it was when
the program was started, holds the job's id and the launch's token; if its number, start time and boot are those that
were written down; or if it came from one of these.
"""

import contextlib
import os
import select
import signal
import time
from typing import Callable, Dict, Iterable, List, Set, Tuple

from ugro_tui.nodes.helper_proc import PROC, listed, state_of

KILL_SECONDS = 5.0
"""A killed process is gone in milliseconds; only one that waits for a device or a dead network disk is not."""

LOOK_SECONDS = 2.0
"""How often processes are looked for while known ones are waited for: others may come from them."""

PIECE = 1 << 16

_PLACE = b"UGRO_METRICS_DIR="

Family = Dict[int, Tuple[int, int]]
"""Processes by number: each with its start time (clock ticks since boot) and its parent's number."""


def rest(seconds: float) -> None:
    """Let time pass."""
    select.select([], [], [], seconds)


def read_whole(path: str) -> bytes:
    """A file of /proc, in a third of the time that `open` takes. Raises OSError."""
    handle, data = os.open(path, os.O_RDONLY), b""
    try:
        while True:
            more = os.read(handle, PIECE)
            if not more:
                return data
            data += more
    finally:
        os.close(handle)


def own_processes() -> Family:
    """All living processes of our user, but this one."""
    user, here, found = os.geteuid(), os.getpid(), {}
    if not os.path.isdir(PROC):
        told = listed(["-ax"]).items()
        return {pid: (start, above) for pid, (_, start, above, who) in told if who == user and pid != here}
    for name in os.listdir(PROC):
        if not name.isdigit() or int(name) == here:
            continue
        try:
            if os.stat("/proc/" + name).st_uid != user:
                continue
            # "pid (name) state ppid ...": the name may hold anything, so fields are counted from its last one.
            fields = read_whole("/proc/" + name + "/stat").rpartition(b")")[2].split(None, 20)
        except OSError:  # it has ended
            continue
        if len(fields) >= 20 and fields[0] not in (b"Z", b"X"):
            found[int(name)] = (int(fields[19]), int(fields[1]))
    return found


def marked(pid: int, marks: Set[bytes], root: str = "") -> bool:
    """Whether the environment that a process was started with holds all of these, and no metrics directory but `root`.

    Several nodes may be one machine, each with a directory of its own: what is another node's is not meant.
    """
    try:
        text = read_whole("/proc/%d/environ" % pid)
    except OSError:
        return False
    words = set(text.split(b"\0")) if all(mark in text for mark in marks) else set()
    if not marks or not marks <= words:
        return False
    places = [word[len(_PLACE) :] for word in words if word.startswith(_PLACE)]
    return not root or not places or os.path.realpath(places[0]) == os.path.realpath(os.fsencode(root))


def of_launch(job: str, token: str, known: Iterable[Tuple[int, int]], root: str = "") -> Family:
    """The living processes of a launch, of the node with the metrics directory `root`.

    `known`: numbers with start times of some of them. No token: none is marked.
    """
    known = set(known)
    if not token and not known:
        return {}
    own = own_processes()
    marks = {("UGRO_JOB_ID=" + job).encode(), ("UGRO_LAUNCH_TOKEN=" + token).encode()}
    family = {pid for pid, (start, _) in own.items() if (pid, start) in known or (token and marked(pid, marks, root))}
    grown = bool(family)
    while grown:
        children = {pid for pid, (_, parent) in own.items() if parent in family} - family
        family |= children
        grown = bool(children)
    return {pid: own[pid] for pid in family}


def send(pid: int, start: int, number: int) -> None:
    """Send a signal, unless the process has ended, also if its number belongs to another one by now."""
    if state_of(pid)[1] != start:
        return
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def end_all(living: Callable[[], Family], grace: float) -> Tuple[int, List[int]]:
    """End what `living` tells until it tells nothing: SIGTERM, and SIGKILL after `grace` seconds; how many there were,
    and who outlived it.

    Whose parent is told is not: the agent ends its ranks, and a second SIGTERM could cut their tidying short.
    """
    told: Set[Tuple[int, int]] = set()
    begun, were = time.monotonic(), -1
    while True:
        found = living()
        were = len(found) if were < 0 else were
        waited = time.monotonic() - begun
        if not found or waited > grace + KILL_SECONDS:
            return were, sorted(found)
        awaited = []
        for pid, (start, parent) in found.items():
            if waited >= grace:
                send(pid, start, signal.SIGKILL)
            elif parent in found:
                continue
            elif (pid, start) not in told:
                told.add((pid, start))
                send(pid, start, signal.SIGTERM)
            awaited.append((pid, start))
        left = grace - waited
        await_end(awaited, min(left, LOOK_SECONDS) if left > 0 else LOOK_SECONDS)


def await_end(awaited: List[Tuple[int, int]], seconds: float) -> None:
    """Wait until all of these have ended, or the time is up: cheaper than to look for processes all the time."""
    until = time.monotonic() + seconds
    rest(0.03)
    while any(state_of(pid)[1] == start for pid, start in awaited) and time.monotonic() < until:
        rest(0.03)
