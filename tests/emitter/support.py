"""What the emitter's tests share: a clock that stands still, a way to wait, and runs in other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ugro_emitter.clock import Clock

EMITTER = Path(__file__).resolve().parents[2] / "emitter"


class SetClock(Clock):
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.time = self.monotonic = self.perf_counter = lambda: self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def read_records(folder: Path, rank: int = 0) -> list[dict[str, Any]]:
    """Every line of a rank's file; fails on a line that is no JSON object."""
    name = "metrics.jsonl" if rank == 0 else f"metrics.rank-{rank}.jsonl"
    records = [json.loads(line) for line in (folder / name).read_bytes().split(b"\n") if line]
    assert all(isinstance(record, dict) for record in records)
    return records


def steps_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["kind"] == "step"]


def wait_until(condition: Callable[[], bool], what: str, limit: float = 30.0) -> None:
    """Poll until `condition` holds; fail naming `what` after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}"
        threading.Event().wait(0.01)


def script_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, the emitter importable, and `extra`."""
    return {**os.environ, "PYTHONPATH": str(EMITTER), **extra}


def run_script(
    code: str, *arguments: object, python: str = sys.executable, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a Python of its own, to its end."""
    return subprocess.run(
        [python, "-c", code, *map(str, arguments)],
        env=script_environment(environ or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
