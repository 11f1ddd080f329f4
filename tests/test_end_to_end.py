"""A real run from the training step to the numbers: torchrun, emitter, files, Agent; beside TensorBoard's reading."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.writing import clean_environment, wait_until
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import Backend, LaunchRequest
from ugro_tui.core.states import JobStatus

REPOSITORY = Path(__file__).resolve().parents[1]
TINY = "--layers=1 --heads=2 --width=32 --context=32 --batch-size=4 --warmup=5 --eval-every=0 --checkpoint-every=0"
STEPS, BAD_STEP = 60, 40


def request(folder: Path) -> LaunchRequest:
    """Two ranks, 60 quick steps, a record each five; the loss of step 40 is no number."""
    text = folder / "text.txt"
    text.write_text("".join(f"{n} bottles of milk on the wall, take {n % 7} down. " for n in range(1500)))
    options = f"--steps={STEPS} --emit-every=5 --inject=nan@{BAD_STEP}"
    return LaunchRequest("real", "", (f"--data={text}", *TINY.split(), *options.split()), Backend.LOCAL, nproc=2)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Agent(Config(tmp_path / "jobs", refresh=0.2)) as made:
        yield made
        with suppress(BadInput):  # it was not started
            made.stop("real", grace=1)


def board(folder: Path, rank: int) -> dict[int, float]:
    """The loss of each step as TensorBoard reads it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder / "tensorboard" / f"rank_{rank}"))
    accumulator.Reload()
    return {event.step: event.value for event in accumulator.Scalars("loss")}


def on_the_command_line(folder: Path, home: Path, *argv: str) -> tuple[int, Any]:
    """Exit code and JSON of a real process."""
    command = [sys.executable, "-m", "ugro_tui", "--metrics-dir", str(folder), *argv, "--json"]
    env = clean_environment(home, PYTHONPATH=str(REPOSITORY))
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    return done.returncode, json.loads(done.stdout)


def lasting(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary without ages, and without the verdict, which names the oldest alert."""
    alerts = sorted(({**alert, "age": None} for alert in summary["alerts"]), key=lambda alert: alert["rank"])
    ages = dict.fromkeys(("age", "step_age", "ended_age"))
    return {**summary, **ages, "verdict": None, "alerts": alerts}


@pytest.mark.torchrun
def test_a_real_run_is_watched_to_its_end(agent: Agent, tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "real"
    agent.launch(request(tmp_path))
    steps, statuses = watched(agent, folder)
    summary = agent.get_job_summary("real")
    live = agent.get_live_metrics("real")

    log = (folder / "logs" / "rank_0.log").read_text()
    wait_until(lambda: agent.launches.standing("real").over)
    assert summary["status"] == "finished", log
    assert statuses[-1] is JobStatus.FINISHED
    assert JobStatus.FAILED not in statuses
    assert steps == sorted(steps)
    assert summary["step"] == summary["total_steps"] == STEPS
    (alert,) = summary["alerts"]
    assert (alert["name"], alert["ranks"]) == ("loss recovered", 2)  # finite records followed before the end

    ranks = summary["per_rank_stats"]
    assert list(ranks) == list(live["ranks"]) == ["0", "1"]
    for number, rank in ranks.items():
        losses = board(folder, int(number))
        assert max(losses) == STEPS
        assert math.isnan(losses[BAD_STEP])
        assert (rank["state"], rank["step"]) == ("finished", STEPS)
        assert rank["final_loss"] == pytest.approx(losses[STEPS], rel=1e-6)
        assert live["ranks"][number]["loss"] == rank["final_loss"]
        assert (rank["lost"], rank["dropped"], rank["skipped"]) == (0, 0, 0)
        assert rank["avg_throughput"] > 0
    assert summary["final_loss"] == pytest.approx((ranks["0"]["final_loss"] + ranks["1"]["final_loss"]) / 2)

    code, told = on_the_command_line(folder.parent, tmp_path, "summary", "real")
    assert (code, lasting(told)) == (0, lasting(summary))  # 0: nothing critical stands
    code, told = on_the_command_line(folder.parent, tmp_path, "status")
    assert (code, [lasting(found) for found in told["jobs"]]) == (0, [lasting(summary)])


def watched(agent: Agent, folder: Path) -> tuple[list[float], list[JobStatus]]:
    """Every step and status that was seen until the job was over."""
    steps: list[float] = []
    statuses: list[JobStatus] = []
    version = 0
    deadline = agent.look().now + 150
    while not (statuses and statuses[-1].over):
        snapshot = agent.collector.wait_newer(version, 1.0)
        version = snapshot.version
        assert snapshot.now < deadline, (folder / "logs" / "torchrun.0.log").read_text()
        view = snapshot.job("real")
        if view is not None:
            statuses.append(view.summary.status)
            steps += [view.summary.step] if math.isfinite(view.summary.step) else []
    return steps, statuses
