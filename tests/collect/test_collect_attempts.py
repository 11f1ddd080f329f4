"""The attempts of a job out of its real files, and a metric as it was when an attempt ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.writing import Clock, RankWriter
from ugro_tui.collect.attempts import AttemptsReader
from ugro_tui.collect.job_files import JobFiles
from ugro_tui.collect.metrics import LinesReader
from ugro_tui.core.archive import MetricLines
from ugro_tui.core.attempts import Attempt, Attempts, before_attempt
from ugro_tui.core.states import JobStatus


@pytest.fixture
def job(tmp_path: Path) -> list[RankWriter]:
    """Two ranks: the first attempt crashes at step 6, the second goes on from step 4 and lives."""
    writers = [RankWriter(tmp_path / "job", rank, Clock()) for rank in (0, 1)]
    for writer in writers:
        writer.start(world_size=2, gpu={"name": "H100"}, config={"lr": 0.1})
        writer.clock.now += 10
        writer.steps(1, 6)
        writer.end("failed", error={"type": "E", "message": "m"})
        writer.clock.now += 100
        writer.start(world_size=2, attempt=2, run_id=f"again-{writer.rank}")
        writer.clock.now += 5
        writer.steps(4, 5, loss=1.0)
    return writers


def attempts(root: Path, *, copied: bool = False) -> tuple[Attempt, ...]:
    found = AttemptsReader(JobFiles(root, copied=copied), Attempts("job")).read()
    assert not found.problem
    assert found.content is not None
    return found.content


def values(root: Path, attempt: int | None) -> dict[float, float]:
    """The loss of rank 0 by step."""
    content = LinesReader(JobFiles(root, copied=False), MetricLines("job", "loss", 0, attempt), "").read().content
    assert content is not None
    return {step: value for one in content.lines for step, value in zip(one.step, one.value, strict=True)}


@pytest.mark.usefixtures("job")
def test_each_attempt_has_its_own_numbers(tmp_path: Path) -> None:
    first, second = attempts(tmp_path)
    assert (first.number, first.status, first.world_size, first.gpu) == (1, JobStatus.FAILED, 2, "H100")
    assert (first.step, first.tokens, first.duration, first.throughput) == (6, 600, 10, 201)
    assert (second.number, second.status, second.step, second.duration) == (2, JobStatus.UNKNOWN, 5, 5)
    assert (first.config["lr"], "lr" in second.config) == ("0.1", False)


def test_the_command_line_belongs_to_the_attempt_that_it_started(tmp_path: Path, job: list[RankWriter]) -> None:
    job[0].document("job.json", {"attempt": 2, "status": "running", "command": ["python", "train.py", "--lr", "0.2"]})
    first, second = attempts(tmp_path)
    assert (first.config["lr"], second.config["lr"]) == ("0.1", "0.2")


@pytest.mark.usefixtures("job")
def test_a_metric_as_it_was_when_an_attempt_ended(tmp_path: Path) -> None:
    assert values(tmp_path, 1) == {step: 10 / step for step in range(1, 7)}
    assert values(tmp_path, 2) == values(tmp_path, None) == {1: 10, 2: 5, 3: 10 / 3, 4: 1, 5: 1}
    told = LinesReader(JobFiles(tmp_path, copied=False), MetricLines("job", "val/loss", attempt=1), "").read()
    assert told.problem.startswith("event files do not tell attempts apart")


def test_what_grows_is_read_on_and_what_does_not_is_the_same_object(tmp_path: Path, job: list[RankWriter]) -> None:
    reader = AttemptsReader(JobFiles(tmp_path, copied=False), Attempts("job"))
    first = reader.read().content
    assert reader.read().content is first
    job[1].steps(6, 6)
    job[0].steps(6, 6)
    again = reader.read().content
    assert again is not None
    assert again[1].step == 6


def test_without_records_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    found = AttemptsReader(JobFiles(tmp_path, copied=False), Attempts("job")).read()
    assert (found.content, found.problem.split(":")[0]) == ((), "job job has no records here")


def test_a_text_that_looks_like_a_start_ends_nothing() -> None:
    step = b'{"kind":"step","step":1,"metrics":{"\\"kind\\":\\"start\\"":1}}\n{"kind": "start" half\n'
    assert before_attempt(step, 1) == (step, False)
    start = b'{"kind": "start", "attempt": 2}\n'
    assert before_attempt(step + start + step, 1) == (step, True)
    assert before_attempt(step + start, 2) == (step + start, False)
