"""What this machine says of the processes behind heartbeats that are not replaced any more.

Part of the program that runs on nodes: see `helper`. A process is known by its number, its start time, the boot of the
machine and the namespace of its number together; where one of these is another one's, nothing is said of it.
"""

import json
import os
import re
from typing import Any, Dict, List, Optional, Tuple

from ugro_tui.nodes.helper_files import READ, Folders, News

SILENT_SECONDS = 5.0
"""A heartbeat is replaced every 2 s. Processes of younger ones are not looked at: they cost nothing."""

SETTLED = ":"
"""Stands behind the stamp of a heartbeat of which no more will be said while it is as it is."""

MAX_EXAMINED = 500
"""Processes looked at for one reply. The others come with the next ones, for most of these are settled then."""

_MAX_HEARTBEAT = 1 << 13
_STATES = {"Z": "zombie", "X": "gone", "x": "gone", "T": "stopped", "t": "stopped"}
_COUNTERS = ("/sys/fs/cgroup/memory%s/memory.oom_control", "/sys/fs/cgroup%s/memory.events")

Vital = List[Any]
"""`[job, path, stamp, state, pid, start, oom]`. `state`: `alive`, `stopped`, `zombie`, `gone`, or empty where nothing
can be said; `start` of the process in clock ticks since boot; `oom`: whether the kernel has killed in its cgroup."""


def is_silent(news: News, now: float) -> bool:
    """Whether the process of a heartbeat is to be looked at, at `now` (Unix seconds by this machine)."""
    return now - news.told[1] > SILENT_SECONDS and not news.was[2].endswith(SETTLED)


def as_known(news: News) -> bool:
    """Whether a file that is replaced whole is the one that is known."""
    mark, known = news.mark, news.was[2]
    return bool(known == mark or known == mark + SETTLED)


def examine(silent: List[News], folders: Folders) -> List[Vital]:
    """What is to be said of the processes behind these heartbeats."""
    found = []
    own = _here() if silent else None
    for news in silent[:MAX_EXAMINED]:
        try:
            state, pid, start, oom = _examine(_heartbeat(news, folders), own)
        except OSError:
            continue  # it is tried again with the next look
        mark = news.mark + ("" if state in ("alive", "stopped") else SETTLED)
        found.append([news.place[0], news.path, mark, state, pid, start, oom])
    return found


def _heartbeat(news: News, folders: Folders) -> Dict[str, Any]:
    handle = os.open(news.name, READ, dir_fd=folders.handle(*news.place))
    try:
        found = json.loads(os.read(handle, _MAX_HEARTBEAT).decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    finally:
        os.close(handle)
    return found if isinstance(found, dict) else {}


def _here() -> Optional[Tuple[str, str]]:
    """The boot of this machine and the namespace of our process numbers; None where /proc does not tell of that."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return None
        return _read("/proc/sys/kernel/random/boot_id").strip(), str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return None


def _examine(beat: Dict[str, Any], own: Optional[Tuple[str, str]]) -> Tuple[str, int, int, Optional[bool]]:
    pid, start = _count(beat.get("pid")), _count(beat.get("pid_start"))
    ours = own is not None and own == (beat.get("boot_id"), beat.get("pid_ns"))
    if not ours or beat.get("state") == "ended" or not pid or not start:
        return "", 0, 0, None
    state = _state(pid, start)
    return state, pid, start, _oom(beat) if state in ("zombie", "gone") else None


def _count(value: Any) -> int:
    return value if type(value) is int and 0 < value < 1 << 62 else 0


def _state(pid: int, start: int) -> str:
    try:
        # The name, in parentheses, may hold anything: the fields are counted from its last parenthesis.
        fields = _read("/proc/%d/stat" % pid).rpartition(")")[2].split()
    except PermissionError:
        return ""
    except (FileNotFoundError, ProcessLookupError):
        return "gone" if _is_free(pid) else ""
    if len(fields) < 20:
        return ""
    return _STATES.get(fields[0], "alive") if fields[19] == str(start) else "gone"


def _is_free(pid: int) -> bool:
    """Whether there is no process of this number: /proc may hide those of other users (its option `hidepid`)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _oom(beat: Dict[str, Any]) -> Optional[bool]:
    """Whether the kernel has killed a process of the heartbeat's cgroup since; None where that cannot be told."""
    path, before = beat.get("cgroup"), beat.get("oom_kills")
    if not isinstance(path, str) or type(before) is not int or not path.startswith("/"):
        return None
    if ".." in path.split("/") or "\0" in path or len(path) > 4000:
        return None
    for place in _COUNTERS:
        try:
            found = re.search(r"^oom_kill (\d+)$", _read(place % path.rstrip("/")), re.MULTILINE)
        except (OSError, ValueError):
            continue  # of the other version, or gone with its last process
        if found and int(found.group(1)) >= before:
            return int(found.group(1)) > before
    return None


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(4096).decode("utf-8", "replace")
