"""A command on a pseudo-terminal: what it writes, how long until it wrote it, and what that cost."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path


def open_in_terminal(command: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """The command on a pseudo-terminal of 120x40."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    return process, ours


def read_until(handle: int, wanted: bytes, seconds: float) -> bytes:
    """All output up to `wanted`; whatever came when the time is over."""
    seen = b""
    deadline = time.monotonic() + seconds
    while wanted not in seen and (left := deadline - time.monotonic()) > 0:
        if select.select([handle], [], [], left)[0]:
            seen += os.read(handle, 65_536)
    return seen


def end(process: subprocess.Popen[bytes], handle: int) -> None:
    """Stop the application, reading what it still draws: nobody can end while its terminal does not take its words."""
    process.send_signal(signal.SIGTERM)
    with suppress(OSError):  # the terminal's other side is gone: the end
        while process.poll() is None:
            read_until(handle, b"never", 0.1)
    process.wait(10)
    os.close(handle)


def cpu_of_group(pid: int) -> float:
    """CPU seconds that a process and its descendants have used."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_of(pid) + sum(cpu_of_group(int(child)) for child in children)


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
