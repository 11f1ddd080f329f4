"""From the command to the first chart, in a real terminal, against the time that its libraries take to import."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from tests.benchmarks.terminals import cpu_of, end, open_in_terminal, read_until
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
    begin, before = time.monotonic(), cpu_of(process.pid)
    painted = read_until(handle, b"never", IDLE_SECONDS)
    spent, wall = cpu_of(process.pid) - before, time.monotonic() - begin
    end(process, handle)
    share = spent / wall
    print(f"\nidle: {share:.1%} of a core, {len(painted) / wall / 1000:.2f} kB/s to the terminal")
    assert spent <= before / 5, "ten idle seconds cost more than a fifth of this process's own start"
