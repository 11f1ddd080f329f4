"""Against W&B LEET, what a user would pick instead: the start, and a live run. Wants `wandb` (pip install wandb).

`UGRO_WANDB` names its command where it is not in the path; without it these are skipped.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.benchmarks.terminals import cpu_of_group, end, open_in_terminal, read_until
from tests.writing import wait_until

pytestmark = pytest.mark.bench

RUNS, STEPS, METRICS = 5, 2_000, 16
ROUNDS = 5
LIVE_SECONDS = 20.0
BEGUN = 4_000
"""Bytes in the file of a run that has begun to tell."""

WANDB = os.environ.get("UGRO_WANDB") or shutil.which("wandb")

_THEIRS = """
import os, random, sys, time
import wandb
folder, runs, steps, metrics, pause = sys.argv[1], *map(int, sys.argv[2:5]), float(sys.argv[5])
for number in range(runs):
    run = wandb.init(mode="offline", project="bench", name=f"run{number}", dir=folder)
    for step in range(steps):
        run.log({f"m{k}": 8 * 0.999**step + random.random() for k in range(metrics)})
        time.sleep(pause)
    run.finish()
"""

_OURS = """
import random, sys, time
from ugro_emitter import MetricsEmitter
folder, runs, steps, metrics, pause = sys.argv[1], *map(int, sys.argv[2:5]), float(sys.argv[5])
for number in range(runs):
    with MetricsEmitter(job_id=f"run{number}", metrics_dir=folder) as emitter:
        for step in range(steps):
            values = {f"m{k}": 8 * 0.999**step + random.random() for k in range(1, metrics)}
            emitter.emit_step(step, loss=8 * 0.999**step + random.random(), **values)
            time.sleep(pause)
"""


def wandb_python() -> str:
    """The interpreter that has wandb."""
    assert WANDB is not None
    return str(Path(WANDB).resolve().parent / "python")


def written(python: str, script: str, folder: Path, runs: int, steps: int, pause: float) -> subprocess.Popen[bytes]:
    """A process that writes so many runs."""
    arguments = [str(folder), str(runs), str(steps), str(METRICS), str(pause)]
    quiet, nowhere = os.environ | {"WANDB_SILENT": "true"}, subprocess.DEVNULL
    return subprocess.Popen([python, "-c", script, *arguments], env=quiet, stdout=nowhere, stderr=nowhere)


def until_braille(command: list[str]) -> float:
    """Seconds from the command to the first dots of a chart."""
    begin = time.perf_counter()
    process, handle = open_in_terminal(command)
    seen = b""
    while not any(0x2801 <= ord(sign) <= 0x28FF for sign in seen.decode(errors="ignore")):
        assert time.perf_counter() - begin < 30, seen[-2000:]
        seen += read_until(handle, b"\xe2", 0.2)
    spent = time.perf_counter() - begin
    end(process, handle)
    return spent


def live(command: list[str]) -> tuple[float, float]:
    """The share of a core, and the bytes a second to the terminal, of a command that follows a run."""
    process, handle = open_in_terminal(command)
    read_until(handle, b"never", 5)  # let the start pass
    before, begin = cpu_of_group(process.pid), time.monotonic()
    painted = read_until(handle, b"never", LIVE_SECONDS)
    wall = time.monotonic() - begin
    spent = cpu_of_group(process.pid) - before
    end(process, handle)
    return spent / wall, len(painted) / wall


def has_begun(folder: Path, pattern: str) -> bool:
    """Whether a run has told something in a file below `folder` that is called so."""
    return any(path.stat().st_size > BEGUN for path in folder.rglob(pattern))


def leet(folder: Path) -> list[str]:
    """Their command on what is below `folder`."""
    return [str(WANDB), "leet", str(folder / "wandb")]


def ours(folder: Path, job: str) -> list[str]:
    """Our command on one job below `folder`."""
    return [sys.executable, "-m", "ugro_tui", "watch", job, "--metrics-dir", str(folder)]


@pytest.mark.skipif(WANDB is None, reason="wandb is not installed: pip install wandb, or name it in UGRO_WANDB")
def test_first_chart_of_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # what is installed has its bytecode beside it
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "bytecode"))
    theirs_dir, ours_dir = tmp_path / "theirs", tmp_path / "ours"
    theirs_dir.mkdir()
    for process in (
        written(wandb_python(), _THEIRS, theirs_dir, RUNS, STEPS, 0.0),
        written(sys.executable, _OURS, ours_dir, RUNS, STEPS, 0.0),
    ):
        assert process.wait(180) == 0
    commands = leet(theirs_dir), ours(ours_dir, f"run{RUNS - 1}")
    bare: list[Callable[[], float]] = [lambda: until_braille(commands[0]), lambda: until_braille(commands[1]), imports]
    spent = [[measure() for measure in bare] for _ in range(1 + ROUNDS)][1:]  # the first writes the bytecode
    theirs, mine, floor = (statistics.median(row[place] for row in spent) for place in range(3))
    print(
        f"\nfirst chart of {RUNS} runs x {STEPS:,} steps: LEET {theirs:.2f} s, ours {mine:.2f} s "
        f"(of which imports {floor:.2f} s): {mine / theirs:.2f}"
    )
    assert mine <= 1.5 * theirs


def imports() -> float:
    """Seconds of a process that imports what our chart cannot do without."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import numpy, orjson, textual.app, plotext"], check=True)
    return time.perf_counter() - begin


@pytest.mark.skipif(WANDB is None, reason="wandb is not installed: pip install wandb, or name it in UGRO_WANDB")
def test_a_live_run(tmp_path: Path) -> None:
    found = []
    for python, script, written_to, command in (
        (wandb_python(), _THEIRS, "*.wandb", leet(tmp_path)),
        (sys.executable, _OURS, "metrics.jsonl", ours(tmp_path, "run0")),
    ):
        writer = written(python, script, tmp_path, 1, 10_000, 0.5)
        wait_until(partial(has_begun, tmp_path, written_to), 60)
        found.append(live(command))
        writer.terminate()
        writer.wait(30)
    (their_cpu, their_bytes), (cpu, painted) = found
    print(
        f"\nlive, {METRICS} metrics at 2 Hz: LEET {their_cpu:.1%} of a core, {their_bytes / 1e3:.2f} kB/s; "
        f"ours {cpu:.1%}, {painted / 1e3:.2f} kB/s"
    )
    assert cpu < their_cpu
    assert painted <= 4 * their_bytes
