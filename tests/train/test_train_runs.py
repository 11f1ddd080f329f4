"""Real runs: one process and two ranks under torchrun, to their end, into a fault, and resumed."""

from __future__ import annotations

import json
import math
import shutil
import signal
import statistics
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.train.conftest import Run, Workshop

WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number(value: float | str) -> float:
    """A number of a record: non-finite ones are written as words."""
    return WORDS[value] if isinstance(value, str) else value


def by_step(run: Run, name: str, rank: int = 0) -> dict[int, float]:
    """One field of a rank's step records."""
    return {record["step"]: number(record[name]) for record in run.steps(rank)}


def assert_board_agrees(run: Run, rank: int) -> None:
    """TensorBoard holds the same steps and the same numbers (as float32) as the records of this rank."""
    board = run.board(rank)
    for name in ("loss", "lr", "throughput"):
        recorded = by_step(run, name, rank)
        assert board[name] == {n: pytest.approx(value, rel=1e-6, nan_ok=True) for n, value in recorded.items()}, name


def outcome(end: dict[str, Any]) -> tuple[str, dict[str, str] | None, int]:
    """Status, error and dropped records of an end record."""
    return end["status"], end["error"], end["dropped"]


def test_one_rank_to_the_end(workshop: Workshop) -> None:
    run = workshop.run(
        "--steps=24", "--emit-every=4", "--inject=nan@13", "--eval-every=8", "--checkpoint-every=8", "--grad-accum=2"
    )
    assert run.code == 0, run.output
    start, *_ = run.records()
    assert (start["kind"], start["job_id"], start["world_size"], start["total_steps"]) == ("start", "job", 1, 24)

    steps = {record["step"]: record for record in run.steps()}
    assert list(steps) == [4, 8, 12, 13, 16, 20, 24], "each 4th, and the non-finite one at once"
    assert [n for n, record in steps.items() if record["loss"] == "NaN"] == [13]
    assert steps[13]["grad_norm"] == "NaN"
    assert [line[:24] for line in run.output.splitlines() if line.endswith("update skipped")] == [
        "step     13/24  loss nan"
    ]
    assert steps[24]["loss"] < steps[4]["loss"], "the NaN did not reach the weights"
    assert steps[24]["tokens"] == 24 * 2 * 4 * 32, "steps x micro-batches x samples x context"
    assert all(record["throughput"] > 0 for record in steps.values())
    assert set(steps[24]["phases"]) >= {"data", "forward", "backward", "optimizer"}

    val_losses = {n: record["metrics"]["val_loss"] for n, record in steps.items() if "metrics" in record}
    assert list(val_losses) == [8, 16, 24]
    assert run.board()["val_loss"] == {n: pytest.approx(value) for n, value in val_losses.items()}
    assert_board_agrees(run, 0)
    assert outcome(run.end()) == ("completed", None, 0)
    phases = [(record["name"], record["state"]) for record in run.records() if record["kind"] == "phase"]
    for name in ("eval", "checkpoint"):
        assert phases.count((name, "begin")) == phases.count((name, "end")) == 3
    assert len(list((run.job_dir / "checkpoints").iterdir())) == 2


def test_a_resumed_run_goes_on_exactly_as_if_it_had_not_crashed(workshop: Workshop) -> None:
    options = ["--steps=16", "--emit-every=1", "--checkpoint-every=6", "--eval-every=0"]
    whole = workshop.run(*options, job="whole")
    assert whole.code == 0, whole.output

    crashed = workshop.run(*options, "--inject=crash@10", job="broken")
    assert crashed.code == 1
    assert outcome(crashed.end()) == (
        "failed",
        {"type": "RuntimeError", "message": "injected crash on rank 0 at step 10 (--inject crash@10)"},
        0,
    )
    resumed = workshop.run(*options, "--resume", job="broken")
    assert resumed.code == 0, resumed.output
    assert "resumed from" in resumed.output

    first, second = (n for n, record in enumerate(resumed.records()) if record["kind"] == "start")
    attempts = [resumed.records()[n]["attempt"] for n in (first, second)]
    assert attempts[1] == attempts[0] + 1
    again = {record["step"]: record["loss"] for record in resumed.records()[second:] if record["kind"] == "step"}
    assert list(again) == list(range(7, 17))
    expected = by_step(whole, "loss")
    assert again == {n: pytest.approx(expected[n], rel=1e-4) for n in again}


def test_without_metrics_the_script_needs_no_emitter_and_without_an_emitter_it_says_so(workshop: Workshop) -> None:
    beside = workshop.folder / "alone" / "ugro_emitter"
    beside.mkdir(parents=True)
    # Python looks beside the script first: this hides an emitter that is installed here.
    (beside / "__init__.py").write_text("raise ModuleNotFoundError('there is none')")
    shutil.copy(workshop.script, beside.parent / "train.py")
    workshop.script = beside.parent / "train.py"
    quiet = workshop.run("--steps=2", "--no-enable-metrics", "--checkpoint-every=0")
    assert quiet.code == 0, quiet.output
    assert "completed 2 steps" in quiet.output
    assert not quiet.job_dir.exists()

    lost = workshop.run("--steps=2")
    assert lost.code == 1
    assert "the metrics need the package ugro_emitter (there is none): pip install it" in lost.output
    assert "put its folder beside train.py, or train without metrics by --no-enable-metrics" in lost.output

    shutil.copytree(workshop.emitter, beside, dirs_exist_ok=True)
    found = workshop.run("--steps=2", "--emit-every=1")
    assert found.code == 0, found.output
    assert list(by_step(found, "loss")) == [1, 2]


@pytest.mark.torchrun
def test_two_ranks_to_the_end(workshop: Workshop) -> None:
    run = workshop.run(
        "--epochs=1", "--steps=20", "--emit-every=5", "--eval-every=10", "--checkpoint-every=10", ranks=2
    )
    assert run.code == 0, run.output
    for rank in (0, 1):
        start = run.records(rank)[0]
        assert (start["kind"], start["rank"], start["world_size"]) == ("start", rank, 2)
        assert list(by_step(run, "loss", rank)) == [5, 10, 15, 20]
        assert "sync_wait" in run.steps(rank)[-1]["phases"]
        assert_board_agrees(run, rank)
        assert outcome(run.end(rank)) == ("completed", None, 0)
    assert by_step(run, "loss", 0) != by_step(run, "loss", 1), "each rank has its own share of the text"
    assert by_step(run, "grad_norm", 0) == by_step(run, "grad_norm", 1), "gradients are averaged over the ranks"
    assert run.board(0)["val_loss"] == run.board(1)["val_loss"], "as is the held-out loss"
    assert run.output.count("step     20/20  loss") == 1, "one rank talks"
    assert len(list((run.job_dir / "checkpoints").iterdir())) == 2


@pytest.mark.torchrun
def test_a_crash_of_one_rank_fails_the_job_and_leaves_its_reason(workshop: Workshop) -> None:
    run = workshop.run("--steps=400", "--emit-every=1", "--inject=crash:rank=1@5", "--inject=nan:rank=0@3", ranks=2)
    assert run.code != 0
    message = "injected crash on rank 1 at step 5 (--inject crash:rank=1@5)"
    assert outcome(run.end(1))[:2] == ("failed", {"type": "RuntimeError", "message": message})
    error_files = list((workshop.folder / "torchrun").rglob("1/error.json"))
    assert len(error_files) == 1
    assert message in json.loads(error_files[0].read_text())["message"]["message"]
    assert max(by_step(run, "loss", 0)) == max(by_step(run, "loss", 1)) == 4

    spoiled = {rank: [n for n, loss in by_step(run, "loss", rank).items() if math.isnan(loss)] for rank in (0, 1)}
    assert spoiled == {0: [3], 1: []}, "the loss is each rank's own"
    assert math.isnan(by_step(run, "grad_norm", 1)[3]), "the gradients are everyone's"


def test_a_killed_rank_leaves_whole_lines_and_no_end(workshop: Workshop) -> None:
    run = workshop.run("--steps=400", "--emit-every=1", "--inject=kill@60")
    assert run.code == -signal.SIGKILL
    text = (run.job_dir / "metrics.jsonl").read_bytes()
    whole = [json.loads(line) for line in text[: text.rindex(b"\n")].splitlines() if line]
    assert {record["kind"] for record in whole} == {"start", "step"}


@pytest.mark.torchrun
def test_a_hanging_job_stops_on_request_and_says_so_on_every_rank(workshop: Workshop) -> None:
    process = workshop.start("--steps=400", "--emit-every=1", "--inject=hang:rank=1@3", ranks=2)
    assert process.stdout is not None
    assert any("rank 1: injected hang at step 3" in line for line in process.stdout)
    process.terminate()
    job = workshop.finish(process)
    assert job.code != 0
    assert list(by_step(job, "loss", 1)) == [1, 2]
    assert list(by_step(job, "loss", 0)) in ([1], [1, 2])  # its own part of step 2 may be under way when it is told
    for rank in (0, 1):
        assert job.end(rank)["status"] == "stopped"


@pytest.mark.torchrun
def test_the_slow_rank_waits_least_and_its_own_phase_says_why(workshop: Workshop) -> None:
    delay = 0.05
    run = workshop.run(
        "--steps=40",
        "--emit-every=1",
        "--inject=slow-data:rank=1:50ms@11",
        "--inject=slow-forward:rank=1:50ms@21",
        "--inject=slow-backward:rank=1:50ms@31",
        "--eval-every=0",
        "--checkpoint-every=0",
        ranks=2,
    )
    assert run.code == 0, run.output

    def median(rank: int, phase: str, first: int) -> float:
        """Over the ten steps from `first` on: one slow step of a busy machine does not count."""
        return statistics.median(
            float(record["phases"][phase]) for record in run.steps(rank) if first <= record["step"] < first + 10
        )

    for first, phase, delays in ((11, "data", 1), (21, "forward", 2), (31, "backward", 3)):
        assert median(1, phase, first) >= delay > 2 * median(1, phase, first - 10), f"{phase} from step {first} on"
        assert median(0, phase, first) < delay / 2, f"rank 0 has no slow {phase}"
        assert median(0, "sync_wait", first) >= 0.6 * delays * delay, f"rank 0 waits for rank 1's {phase}"
        assert median(1, "sync_wait", first) < 0.5 * median(0, "sync_wait", first), f"slow {phase}: rank 1 waits less"
