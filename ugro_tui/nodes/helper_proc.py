"""What the system says of itself and of its processes. Part of programs that run on nodes, on any Python >= 3.6."""

import json
import os
from typing import Any, Dict, List, Optional, Tuple

PROC = "/proc"


def read_text(path: str, most: int = 1 << 16) -> str:
    """At most so many bytes of a file of /proc; empty where it cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            return os.read(handle, most).decode("utf-8", "replace")
        finally:
            os.close(handle)
    except OSError:
        return ""


def boot_id() -> str:
    """Changes with every boot of the machine."""
    return read_text("/proc/sys/kernel/random/boot_id").strip()


def state_of(pid: int) -> Tuple[str, int]:
    """State letter and start time (clock ticks since boot) of the process that has this number; empty and 0: none."""
    if not os.path.isdir(PROC):
        return listed(["-p", str(pid)]).get(pid, ("", 0, 0, 0))[:2]
    # "pid (name) state ppid ...": the name may hold anything, so fields are counted from its last parenthesis.
    fields = read_text("/proc/%d/stat" % pid).rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in ("Z", "X"):
        return "", 0
    return fields[0], int(fields[19])


def listed(which: List[str]) -> Dict[int, Tuple[str, int, int, int]]:
    """Living processes where there is no /proc (macOS): state, start (Unix seconds), parent and user, by number."""
    import time

    found = {}
    for line in ran(["env", "LC_ALL=C", "ps"] + which + ["-o", "pid=,ppid=,uid=,stat=,lstart="], 5.0)[1].splitlines():
        words = line.split()
        if len(words) == 9 and words[0].isdigit() and words[3][0] not in "ZX":
            start = time.mktime(time.strptime(" ".join(words[4:]), "%a %b %d %H:%M:%S %Y"))
            found[int(words[0])] = (words[3], int(start), int(words[1]), int(words[2]))
    return found


def heartbeat_of(text: str) -> Dict[str, Any]:
    """A heartbeat as it was written; empty where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def ran(argv: List[str], seconds: float, most: int = 1 << 18) -> Tuple[Optional[int], str]:
    """What a command says, and its code; None where it did not end in time: it is left behind then, killed."""
    import subprocess  # it takes longer to load than all that most answers need

    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        return 127, "%s: %s" % (argv[0], error.strerror)
    try:
        out, _ = child.communicate(timeout=max(0.1, seconds))
    except subprocess.TimeoutExpired:
        child.kill()  # not waited for: one that hangs in a driver does not even die
        return None, "no answer within %.0f s" % seconds
    return child.returncode, out[:most].decode("utf-8", "replace")
