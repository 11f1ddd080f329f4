"""The emitter writes the golden files: the contract that readers are held to as well.

`python tests/contract/test_contract_emitter.py` writes them anew; a change of theirs is a change of PROTOCOL.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ugro_emitter import MetricsEmitter
from ugro_emitter.clock import Clock
from ugro_emitter.gpu import GpuSampler

GOLDEN = Path(__file__).parent / "golden"
JOB = "golden-job"
FILES = [
    "metrics.jsonl",
    "metrics.rank-1.jsonl",
    "heartbeat.rank-0.json",
    "heartbeat.rank-1.json",
    "errors/rank_1.json",
]

# What differs from machine to machine, and what the golden files say instead.
FIXED: dict[str, Any] = {
    "host": "node-1",
    "pid": 4242,
    "pid_start": 987654,
    "boot_id": "00000000-1111-2222-3333-444444444444",
    "pid_ns": "4026531836",
    "versions": {"ugro_emitter": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
    "rss": 2_000_000_000,
    "mem_total": 2_000_000_000_000,
    "cgroup": "/user.slice/job",
    "oom_kills": 0,
    "disk_free": 500_000_000_000,
    "disk_total": 4_000_000_000_000,
}
GPU = {
    "util": 97, "mem_used": 64_000_000_000, "mem_total": 85_899_345_920, "temp": 61, "power": 650.5,
    "power_limit": 700.0, "throttle": ["sw_power_cap"], "ecc": 0,
    "temp_slowdown": 87, "remap_failed": False, "lost": False,
}  # fmt: skip
DESCRIPTION = {"index": 0, "uuid": "GPU-00000000-aaaa", "name": "NVIDIA H100", "memory_total": 85_899_345_920}


class GoldenClock(Clock):
    """Moves when it is told to."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.time = self.monotonic = self.perf_counter = lambda: self.now


def run_ids() -> Any:
    """Run ids that count up, instead of random ones."""
    numbers = iter(range(1, 100))
    return mock.patch("ugro_emitter.run.os.urandom", side_effect=lambda size: next(numbers).to_bytes(size, "big"))


def found_gpu() -> Any:
    """A patch that makes samplers find the golden GPU."""
    beat = {"index": DESCRIPTION["index"], "uuid": DESCRIPTION["uuid"], **GPU}
    answers = {"describe": DESCRIPTION, "newest": GPU, "beat": beat}
    return mock.patch.multiple(GpuSampler, **{name: mock.Mock(return_value=value) for name, value in answers.items()})


def train_rank_0(folder: Path) -> None:
    """Two attempts: the first is killed in the middle of a line, the second resumes at an earlier step and ends."""
    clock = GoldenClock(1_700_000_000.0)
    emitter = MetricsEmitter(JOB, folder, 0, 10, world_size=2, total_steps=100, clock=clock)
    for step in range(31):
        train_one_step(emitter, clock, step, loss=3.0 - step / 20)
    emitter.close()
    lose_the_end(folder / JOB / "metrics.jsonl")
    clock.now += 60.0
    with found_gpu(), MetricsEmitter(JOB, folder, 0, 10, world_size=2, total_steps=100, clock=clock) as emitter:
        for step in range(20, 41):
            train_one_step(emitter, clock, step, loss=float("nan") if step == 33 else 2.5 - step / 20)
        for name in ("eval", "checkpoint"):
            with emitter.phase(name):
                clock.now += 30.0
        clock.now += 2.5
        emitter.emit_step(50, float("inf"), 1e-05, grad_norm=float("-inf"), epoch=1.5)


def train_one_step(emitter: MetricsEmitter, clock: GoldenClock, step: int, loss: float) -> None:
    for phase, seconds in (("data", 0.03125), ("forward", 0.0625), ("backward", 0.125), ("optimizer", 0.03125)):
        with emitter.phase(phase):
            clock.now += seconds
    emitter.emit_step(
        step, loss=loss, lr=0.001, grad_norm=1.25, throughput=16384.0, epoch=0, tokens=4096 * (step + 1), accuracy=0.5
    )


def lose_the_end(metrics: Path) -> None:
    """What a SIGKILL in the middle of the last step's line would have left."""
    lines = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(b"".join(lines[:-2]) + lines[-2][:40])


def train_rank_1(folder: Path) -> None:
    """One attempt, ended by an exception with text that is hostile to terminals."""
    clock = GoldenClock(1_700_000_001.0)
    emitter = MetricsEmitter(JOB, folder, 1, 10, world_size=2, local_rank=1, total_steps=100, clock=clock)
    with contextlib.suppress(RuntimeError), emitter:
        for step in range(11):
            train_one_step(emitter, clock, step, loss=3.0)
        raise RuntimeError("CUDA error: \x1b[31mdevice-side assert\x1b[0m [red]ä[/red]")


def normal(name: str, content: bytes) -> bytes:
    """`content` with what differs from machine to machine replaced; what is no JSON is left as it is."""
    if name.startswith("errors/"):
        error = json.loads(content)
        error["message"]["extraInfo"]["py_callstack"] = "Traceback (most recent call last):\n  …\n"
        return line_of(error)
    lines = [line if not line.endswith(b"}") else line_of(fixed(line))[:-1] for line in content.split(b"\n")]
    return b"\n".join(lines)


def fixed(line: bytes) -> dict[str, Any]:
    record = json.loads(line)
    assert isinstance(record, dict)
    return {name: FIXED.get(name, value) for name, value in record.items()}


def line_of(record: object) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def produce(folder: Path) -> dict[str, bytes]:
    """The golden files as the emitter writes them now."""
    with run_ids():
        train_rank_0(folder)
        train_rank_1(folder)
    return {name: normal(name, (folder / JOB / name).read_bytes()) for name in FILES}


@pytest.fixture(scope="module")
def produced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    with mock.patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith(("SLURM_", "UGRO_", "TORCHELASTIC_")) or name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
                del os.environ[name]
        return produce(tmp_path_factory.mktemp("produced"))


@pytest.mark.parametrize("name", FILES)
def test_the_emitter_writes_the_golden_file(name: str, produced: dict[str, bytes]) -> None:
    golden = (GOLDEN / JOB / name).read_bytes()
    # Line by line, so that a failure shows the line; then the bytes, which hold newlines and the half line too.
    for written, expected in zip(produced[name].split(b"\n"), golden.split(b"\n"), strict=False):
        assert written.decode() == expected.decode()
    assert produced[name] == golden


def test_every_field_of_the_protocol_is_in_the_golden_files() -> None:
    lines = [line for name in FILES[:2] for line in (GOLDEN / JOB / name).read_bytes().split(b"\n")]
    records = [json.loads(line) for line in lines if line.endswith(b"}")]
    fields = {kind: {name for r in records if r["kind"] == kind for name in r} for kind in ("step", "phase", "end")}
    common = {"v", "kind", "seq", "ts", "rank"}
    assert fields["step"] - common == {
        "step", "loss", "lr", "grad_norm", "throughput", "step_time", "epoch", "tokens", "phases", "gpu", "metrics",
    }  # fmt: skip
    assert fields["phase"] - common == {"name", "state"}
    assert fields["end"] - common == {"status", "error", "dropped", "dropped_values"}


def write_golden_files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = produce(Path(folder))
    shutil.rmtree(GOLDEN / JOB, ignore_errors=True)
    for name, content in files.items():
        (GOLDEN / JOB / name).parent.mkdir(parents=True, exist_ok=True)
        (GOLDEN / JOB / name).write_bytes(content)
    sys.stdout.write(f"{len(files)} golden files written\n")


if __name__ == "__main__":
    write_golden_files()
