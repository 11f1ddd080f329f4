"""Facts about this process that a watcher needs to tell it from another one with the same number."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE_VARIABLE, _PAGES_VARIABLE = "SC_PAGE_SIZE", "SC_PHYS_PAGES"


def pid_start() -> int | None:
    """Start time of this process in clock ticks since boot (Linux), with the pid unique until the next boot."""
    text = read_text("/proc/self/stat")
    # The name, in parentheses, may hold anything: the fields are counted from its last parenthesis.
    fields = text.rpartition(")")[2].split() if text else []
    return int(fields[19]) if len(fields) > 19 else None


def boot_id() -> str | None:
    """Changes with every boot of the machine (Linux)."""
    return read_text("/proc/sys/kernel/random/boot_id") or None


def pid_namespace() -> str | None:
    """The inode of the namespace in which this process has its number (Linux): a container has its own."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return None


def memory_total() -> int | None:
    """Bytes of RAM of this machine, of which a container may be allowed less."""
    try:
        return os.sysconf(_PAGES_VARIABLE) * os.sysconf(_PAGE_VARIABLE)
    except (ValueError, OSError, AttributeError):
        return None


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM, in bytes (Linux)."""
    fields = read_text("/proc/self/statm").split()
    return int(fields[1]) * os.sysconf(_PAGE_VARIABLE) if len(fields) > 1 else None


def disk_space(folder: Path) -> tuple[int | None, int | None]:
    """Bytes on the disk of `folder` that an unprivileged user may still write, and in all; blocks when it hangs."""
    try:
        disk = os.statvfs(folder)
    except (OSError, AttributeError):
        return None, None
    return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize


def read_text(path: str) -> str:
    """The text of a small file, stripped; empty where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
