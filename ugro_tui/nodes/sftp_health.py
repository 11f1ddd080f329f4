"""How a machine is, as far as SFTP tells: its disks, load and memory. GPUs and processes take a program there."""

from __future__ import annotations

import math
import re
from typing import Any

from ugro_tui.core.health import NodeHealth
from ugro_tui.core.health_facts import told
from ugro_tui.nodes.asking import ANSWER_SECONDS, Clocks
from ugro_tui.nodes.carriers import Sftp
from ugro_tui.nodes.sftp_files import reason

NO_PYTHON = "not told over SFTP: it takes a Python >= 3.6 there"

_CPUS, _LOAD, _MEMORY = "/sys/devices/system/cpu/online", "/proc/loadavg", "/proc/meminfo"
_MAX_FILE = 1 << 14
_SIZE = re.compile(r"^(MemTotal|MemAvailable): +(\d{1,15}) kB$", re.MULTILINE)


def health_over(name: str, sftp: Sftp, root: str, clocks: Clocks) -> NodeHealth:
    """What is found out of the node of that name. Its clock is known to a second or so, from when it was reached.

    Raises:
        NodeSilent, NodeLost: as the names say.
    """
    began = clocks.monotonic()
    deadline = began + ANSWER_SECONDS
    home = _path(sftp, ".", deadline)
    latency = clocks.monotonic() - began
    parts: dict[str, Any] = {"processes": {"error": NO_PYTHON}, "gpus": {"value": {"untold": NO_PYTHON}}}
    parts["machine"] = _machine(sftp, deadline)
    parts["metrics"], parts["home"] = _disk(sftp, root, deadline), _disk(sftp, home, deadline)
    return told(name, {"parts": parts}, latency, math.nan if clocks.offset is None else clocks.offset)


def _path(sftp: Sftp, path: str, deadline: float) -> str:
    try:
        return sftp.realpath(path, deadline)
    except OSError:
        return path


def _disk(sftp: Sftp, path: str, deadline: float) -> dict[str, Any]:
    try:
        total, free, inodes, inodes_free = sftp.disk_of(path, deadline)
    except OSError as error:
        return {"error": f"not told over SFTP: {reason(error)}"}
    found: dict[str, Any] = {"path": path, "total": total, "free": free}
    return {"value": found | ({"inodes": inodes, "inodes_free": inodes_free} if inodes else {})}


def _machine(sftp: Sftp, deadline: float) -> dict[str, Any]:
    load, memory, cpus = (
        part.decode("ascii", "replace") if isinstance(part, bytes) else ""
        for part in sftp.read_many([(path, 0, _MAX_FILE) for path in (_LOAD, _MEMORY, _CPUS)], deadline)
    )
    sizes = {name: 1024 * int(size) for name, size in _SIZE.findall(memory)}
    if not sizes:
        return {"error": "not told over SFTP"}
    found = {"load": [_number(word) for word in load.split()[:3]], "cpus": cpus_in(cpus)}
    return {"value": found | {"total": sizes.get("MemTotal"), "available": sizes.get("MemAvailable")}}


def _number(word: str) -> float | None:
    return float(word) if re.fullmatch(r"\d{1,9}\.\d{1,4}", word) else None


def cpus_in(text: str) -> int | None:
    """The number of CPUs in the kernel's list of them (`0-3,8`); None where it is none."""
    found = 0
    for first, last in re.findall(r"(?:^|,)(\d{1,5})(?:-(\d{1,5}))?(?=,|\n|$)", text):
        found += max(0, int(last or first) - int(first) + 1)
    return found or None
