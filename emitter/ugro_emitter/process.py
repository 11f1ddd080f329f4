"""Facts about this process that a watcher needs to tell it from another one with the same number."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE_VARIABLE = "SC_PAGE_SIZE"


def pid_start() -> int | None:
    """Start time of this process in clock ticks since boot (Linux), with the pid unique until the next boot."""
    text = _read("/proc/self/stat")
    # The name, in parentheses, may hold anything: the fields are counted from its last parenthesis.
    fields = text.rpartition(")")[2].split() if text else []
    return int(fields[19]) if len(fields) > 19 else None


def boot_id() -> str | None:
    """Changes with every boot of the machine (Linux)."""
    return _read("/proc/sys/kernel/random/boot_id") or None


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM, in bytes (Linux)."""
    fields = _read("/proc/self/statm").split()
    return int(fields[1]) * os.sysconf(_PAGE_VARIABLE) if len(fields) > 1 else None


def disk_free(folder: Path) -> int | None:
    """Bytes that an unprivileged user may still write on the disk of `folder`; blocks when the disk hangs."""
    try:
        disk = os.statvfs(folder)
    except (OSError, AttributeError):
        return None
    return disk.f_bavail * disk.f_frsize


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
