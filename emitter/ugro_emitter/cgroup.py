"""The memory cgroup of this process, and how often the kernel has killed in it for want of memory (Linux)."""

from __future__ import annotations

import re

from .process import read_text

_COUNTERS = ("/sys/fs/cgroup/memory{}/memory.oom_control", "/sys/fs/cgroup{}/memory.events")
"""Where version 1 and version 2 count, for the path of a group below the mount."""


def memory_cgroup() -> str | None:
    """The path of this process's memory cgroup below the mount; None where it keeps no count of OOM kills."""
    paths = {}
    for controllers, path in re.findall(r"^\d+:([^:]*):(/.*)$", read_text("/proc/self/cgroup"), re.MULTILINE):
        paths.update(dict.fromkeys(controllers.split(","), path))
    # In a container the mount may begin at the container's own group, which the kernel still calls by its full path.
    candidates = (paths.get("memory", paths.get("")), "/")
    return next((path for path in candidates if oom_kills(path) is not None), None)


def oom_kills(path: str | None) -> int | None:
    """How many processes of this group the kernel has killed so far as it had no memory left; None: not known."""
    if path is None:
        return None
    found = (
        re.search(r"^oom_kill (\d+)$", read_text(place.format(path.rstrip("/"))), re.MULTILINE) for place in _COUNTERS
    )
    return next((int(match.group(1)) for match in found if match), None)
