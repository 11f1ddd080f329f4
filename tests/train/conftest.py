"""Starts the training script the way a person does, and reads back what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "train" / "train_production.py"
TINY = ["--layers=1", "--heads=2", "--width=32", "--context=32", "--batch-size=4", "--warmup=5", "--eval-batches=2"]

if str(REPOSITORY) not in sys.path:  # for `from train.train_production import …`
    sys.path.insert(0, str(REPOSITORY))


def clean_environment() -> dict[str, str]:
    """This process's environment without what torchrun, Slurm or a user's settings would add to a run."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "UGRO_", "TORCHELASTIC_"))
    }
    return {name: value for name, value in kept.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}


def command(ranks: int, log_dir: Path, script: Path) -> list[str]:
    """Plain Python for one rank, torchrun (on a free port of its own choice) for several."""
    if ranks == 1:
        return [sys.executable, str(script)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return [*torchrun, f"--log-dir={log_dir}", str(script)]


@dataclass(frozen=True)
class Run:
    """A finished run: its exit code, all it printed, and the folder of its job."""

    code: int
    output: str
    job_dir: Path

    def records(self, rank: int = 0) -> list[dict[str, Any]]:
        """Every record of a rank, in the order of the file."""
        name = "metrics.jsonl" if rank == 0 else f"metrics.rank-{rank}.jsonl"
        return [json.loads(line) for line in (self.job_dir / name).read_text().splitlines() if line]

    def steps(self, rank: int = 0) -> list[dict[str, Any]]:
        """The step records of a rank."""
        return [record for record in self.records(rank) if record["kind"] == "step"]

    def end(self, rank: int = 0) -> dict[str, Any]:
        """The last record of a rank, which must be its end."""
        last = self.records(rank)[-1]
        assert last["kind"] == "end", last
        return last

    def board(self, rank: int = 0) -> dict[str, dict[int, float]]:
        """TensorBoard's own reading of a rank's scalars: tag to step to value."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        accumulator = EventAccumulator(str(self.job_dir / "tensorboard" / f"rank_{rank}"))
        accumulator.Reload()
        tags = accumulator.Tags()["scalars"]
        return {tag: {event.step: event.value for event in accumulator.Scalars(tag)} for tag in tags}


class Workshop:
    """Runs the script on a text of its own, everything under one temporary folder."""

    script = SCRIPT
    emitter = REPOSITORY / "emitter" / "ugro_emitter"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = folder / "text.txt"
        self.text.write_text("".join(f"{n} bottles of milk on the wall, take {n % 7} down. " for n in range(1500)))

    def arguments(self, *options: str, job: str = "job") -> list[str]:
        """Options of a tiny, quick run of `job`."""
        return ["--job-id", job, "--metrics-dir", str(self.folder), "--data", str(self.text), *TINY, *options]

    def start(self, *options: str, job: str = "job", ranks: int = 1) -> subprocess.Popen[str]:
        """Begin to train; all that is printed comes out of one pipe."""
        return subprocess.Popen(
            [*command(ranks, self.folder / "torchrun", self.script), *self.arguments(*options, job=job)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(),
            cwd=self.folder,
        )

    def run(self, *options: str, job: str = "job", ranks: int = 1) -> Run:
        """Train to the end (or to the failure) and gather what is left."""
        return self.finish(self.start(*options, job=job, ranks=ranks), job=job)

    def finish(self, process: subprocess.Popen[str], job: str = "job") -> Run:
        """Wait for the end of a started run and gather what is left."""
        with process:
            try:
                output, _ = process.communicate(timeout=150)
            except subprocess.TimeoutExpired:
                process.terminate()  # torchrun takes its ranks with it
                raise
        return Run(process.returncode, output, self.folder / job)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A place to train in."""
    return Workshop(tmp_path)


@pytest.fixture
def script() -> Path:
    """The training script as it lies in the repository."""
    return SCRIPT
