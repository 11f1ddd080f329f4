"""Central copies under test: their files, what is done with them, and small real disks to be filled up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ugro_tui.collect.mirror import Mirror
from ugro_tui.core.layout import JobFile, classify

EVENTS = "tensorboard/rank_0/events.out.tfevents.17.host.1.0"
COPIES = {
    "metrics.jsonl": "metrics/n1/metrics.jsonl",
    "metrics.rank-3.jsonl": "metrics/n1/metrics.rank-3.jsonl",
    "logs/rank_0.log": "logs/n1/rank_0.log",
    EVENTS: "tensorboard/n1/rank_0/events.out.tfevents.17.host.1.0",
    "heartbeat.rank-0.json": "heartbeat/n1/heartbeat.rank-0.json",
    "errors/rank_2.json": "errors/n1/rank_2.json",
    "job.json": "manifest/n1/job.json",
}


def known(path: str) -> JobFile:
    file = classify(path)
    assert file is not None
    return file


METRICS, LOG, EVENT, BEAT = (
    known(path) for path in ("metrics.jsonl", "logs/rank_0.log", EVENTS, "heartbeat.rank-0.json")
)


def write(mirror: Mirror, file: JobFile, data: bytes, job: str = "job") -> None:
    if file.appended:
        mirror.append(job, file, 0, data, 0.0)
    else:
        mirror.replace(job, file, data, 0.0)


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def uses(mirror: Mirror, job: str, file: JobFile = METRICS) -> list[Callable[[], object]]:
    return [
        lambda: mirror.append(job, file, 0, b"x", 0.0),
        lambda: mirror.replace(job, file, b"x", 0.0),
        lambda: mirror.supersede(job, file),
        lambda: mirror.places(job),
    ]


@contextmanager
def small_disk(place: Path, size: int = 1 << 20, inodes: int = 200) -> Iterator[Path]:
    """A disk in memory of `size` bytes, mounted at `place`; the test is skipped where that is not allowed."""
    place.mkdir(exist_ok=True)
    options = f"size={size},nr_inodes={inodes},mode=700"
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount program")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def remount(place: Path, how: str) -> None:
    """Make the disk at `place` `ro` or `rw`."""
    subprocess.run(["mount", "-o", f"remount,{how}", place], check=True)


def open_files() -> int:
    """How many files this process has open."""
    return len(os.listdir("/dev/fd"))
