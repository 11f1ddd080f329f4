"""From the command to the first chart, in a real terminal, against the time that its libraries take to import."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

import orjson
import pytest

from tests.ui.scenes import Run, records

pytestmark = pytest.mark.bench

CHART = "┤".encode()
"""Drawn by the first chart and by nothing before it: the ticks of its axis."""

IDLE_SECONDS = 10.0


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of 16 ranks with 2,000 steps each."""
    root = tmp_path_factory.mktemp("jobs")
    folder = root / "big"
    folder.mkdir()
    run = Run("big", ranks=16, steps=2_000, total=2_000, ends={rank: {"status": "completed"} for rank in range(16)})
    for rank in range(16):
        name = f"metrics.rank-{rank}.jsonl" if rank else "metrics.jsonl"
        (folder / name).write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records(run, rank)))
    return root


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


def first_chart(jobs: Path) -> float:
    """Seconds from the command to the first chart."""
    begin = time.perf_counter()
    process, handle = open_in_terminal([sys.executable, "-m", "ugro_tui", "watch", "big", "--metrics-dir", str(jobs)])
    seen = read_until(handle, CHART, 30)
    spent = time.perf_counter() - begin
    end(process, handle)
    assert CHART in seen, re.sub(rb"\x1b[^a-zA-Z]*[a-zA-Z]", b"", seen).decode(errors="replace")
    return spent


def bare_imports() -> float:
    """Seconds of a process that imports what a chart cannot do without."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import numpy, orjson, textual.app, plotext"], check=True)
    return time.perf_counter() - begin


def test_first_chart_of_a_large_job(jobs: Path) -> None:
    pairs = [(first_chart(jobs), bare_imports()) for _ in range(5)]
    chart, imports = (statistics.median(pair[place] for pair in pairs) for place in (0, 1))
    print(f"\nfirst chart of 16 ranks x 2,000 steps: {chart:.2f} s; its imports alone {imports:.2f} s")
    assert chart <= 4 * imports


def test_an_idle_dashboard(jobs: Path) -> None:
    process, handle = open_in_terminal([sys.executable, "-m", "ugro_tui", "watch", "big", "--metrics-dir", str(jobs)])
    read_until(handle, CHART, 30)
    read_until(handle, b"never", 3)  # let the start pass
    begin, before = time.monotonic(), _cpu(process.pid)
    painted = read_until(handle, b"never", IDLE_SECONDS)
    spent, wall = _cpu(process.pid) - before, time.monotonic() - begin
    end(process, handle)
    share = spent / wall
    print(f"\nidle: {share:.1%} of a core, {len(painted) / wall / 1000:.2f} kB/s to the terminal")
    assert spent <= before / 5, "ten idle seconds cost more than a fifth of this process's own start"


def _cpu(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
