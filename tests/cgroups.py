"""Real memory cgroups, of version 1 or 2, where this machine lets us make them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.writing import wait_until

_VERSIONS = (
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.memsw.limit_in_bytes"),
    ("/sys/fs/cgroup", "memory.max", "memory.current", "memory.swap.max"),
)


NONE = "no memory cgroup can be made here: none is mounted, or it takes more rights"


class MemoryGroup:
    """A memory cgroup that a test has made."""

    def __init__(self, folder: Path, limit: str, usage: str, swap: str) -> None:
        self.folder = folder
        self._limit, self._usage, self._swap = (folder / name for name in (limit, usage, swap))

    @property
    def name(self) -> str:
        """Its name below the mount."""
        return self.folder.name

    @property
    def is_real(self) -> bool:
        """Whether the kernel counts memory in it."""
        return self._limit.exists()

    def used(self) -> int:
        """Bytes that its processes have now."""
        return int(self._usage.read_text())

    def limit(self, size: int) -> None:
        """From now on its processes have so many bytes, and no swap."""
        self._limit.write_text(str(size))
        with suppress(OSError):  # where swap is not accounted for, there is none
            self._swap.write_text(str(size if "memsw" in self._swap.name else 0))

    def members(self) -> list[int]:
        """Its processes."""
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]


@contextmanager
def memory_group() -> Iterator[MemoryGroup | None]:
    """A new group without a limit, removed when its processes have ended. None where none can be made: see `NONE`."""
    group = next(filter(None, map(_made, _VERSIONS)), None)
    try:
        yield group
    finally:
        if group is not None:
            wait_until(lambda: not group.members())
            group.folder.rmdir()


def _made(version: tuple[str, str, str, str]) -> MemoryGroup | None:
    mount, *files = version
    folder = Path(mount) / f"test-{uuid.uuid4().hex[:8]}"
    with suppress(OSError):
        folder.mkdir()
        group = MemoryGroup(folder, *files)
        if group.is_real:
            return group
        folder.rmdir()
    return None


_CPU = (("/sys/fs/cgroup/cpuacct", "cpuacct.usage", 1e9), ("/sys/fs/cgroup", "cpu.stat", 1e6))


class CpuGroup:
    """A cgroup that a test has made: the time that its processes have had, and all that came from them."""

    def __init__(self, folder: Path, usage: str, unit: float) -> None:
        self.folder = folder
        self._usage = folder / usage
        self._unit = unit

    def take(self, pid: int) -> None:
        """A process becomes one of its own."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def used(self) -> float:
        """Seconds of CPU."""
        words = self._usage.read_text().split()
        return int(words[1] if len(words) > 1 else words[0]) / self._unit


@contextmanager
def cpu_group() -> Iterator[CpuGroup | None]:
    """A new group, removed when its processes have ended. None where none can be made."""
    group = next(filter(None, (_counting(*version) for version in _CPU)), None)
    try:
        yield group
    finally:
        if group is not None:
            wait_until(lambda: not (group.folder / "cgroup.procs").read_text())
            group.folder.rmdir()


def _counting(mount: str, usage: str, unit: float) -> CpuGroup | None:
    folder = Path(mount) / f"test-{uuid.uuid4().hex[:8]}"
    with suppress(OSError):
        folder.mkdir()
        if (folder / usage).exists():
            return CpuGroup(folder, usage, unit)
        folder.rmdir()
    return None
