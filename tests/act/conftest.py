"""Starts real jobs with tiny scripts, and leaves no process behind."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ugro_tui.act import processes
from ugro_tui.act.local import LocalJob, start
from ugro_tui.act.plan import LocalPlan
from ugro_tui.core.documents import parse_manifest
from ugro_tui.core.records import Manifest

Until: TypeAlias = Callable[[Callable[[], object]], None]
StartProcess: TypeAlias = Callable[..., "subprocess.Popen[bytes]"]

STARTED = 1_700_000_000.0


class FixedTime:
    """Calendar time stands still, so that it can be compared; intervals are real."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return STARTED


class Workshop:
    """Plans and jobs under one temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics_dir = folder / "jobs"
        self.clock = FixedTime()
        self.jobs: list[LocalJob] = []

    def script(self, text: str) -> Path:
        """A training script."""
        path = self.folder / "a script.py"
        path.write_text("import os, sys\nRANK = os.environ['RANK']\n" + text)
        return path

    def plan(self, text: str = "", **changes: Any) -> LocalPlan:
        """A plan of two ranks for a script with this text."""
        script = self.script(text)
        return LocalPlan(**{"job_id": "job", "script": script, "metrics_dir": self.metrics_dir, "nproc": 2, **changes})

    def start(self, plan: LocalPlan) -> LocalJob:
        """A real torchrun, stopped at the end of the test if it still runs."""
        job = start(plan, self.clock)
        self.jobs.append(job)
        return job

    def document(self) -> dict[str, Any]:
        """job.json as it lies there."""
        document: dict[str, Any] = json.loads((self.metrics_dir / "job" / "job.json").read_text())
        return document

    def manifest(self) -> Manifest:
        """job.json as the watching side reads it."""
        manifest = parse_manifest((self.metrics_dir / "job" / "job.json").read_bytes())
        assert manifest is not None
        return manifest

    def log(self, name: str) -> str:
        """A log of the job."""
        return (self.metrics_dir / "job" / "logs" / f"{name}.log").read_text()

    def clear(self) -> None:
        """Leave no process behind."""
        for job in self.jobs:
            job.stop(grace=0)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """A place to start jobs in."""
    shop = Workshop(tmp_path)
    yield shop
    shop.clear()


@pytest.fixture
def until() -> Until:
    """Wait until a condition holds."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < deadline, "it never happened"
            threading.Event().wait(0.01)

    return wait


@pytest.fixture
def start_process() -> Iterator[StartProcess]:
    """Start Python with some code in an environment of its own, and wait until it has printed a line."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(code: str, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A system such as macOS, where nothing tells the environment of processes."""
    monkeypatch.setattr(processes, "PROC", tmp_path / "no-proc")
