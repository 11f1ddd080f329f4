"""What a node tells of a job that was launched there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ugro_tui.nodes.helper_job import Job


def test_a_job_that_ends_while_it_is_looked_at_is_not_gone_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "job"
    (folder / "launch").mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"attempt": 1, "token": "t", "status": "running"}))
    (folder / "launch" / "supervisor.0.json").write_text(json.dumps({"token": "t"}))

    def gone() -> list[int]:
        """Nobody watches over it any more: the supervisor, as it does last, has just written the end down."""
        (folder / "launch" / "exit.0.json").write_text(json.dumps({"token": "t", "code": 0, "at": 9.0}))
        return []

    job = Job({"root": str(tmp_path), "job": "job"})
    monkeypatch.setattr(job, "watched", gone)
    told = job.look()
    assert (told["alive"], told["watched"], told["exits"]["0"]["code"]) == (0, 0, 0)


def test_what_runs_of_a_job_is_told_by_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job({"root": str(tmp_path), "job": "job"})
    monkeypatch.setattr(job, "living", lambda: {9: (1, 1), 7: (1, 1)})
    told = job.look()
    assert (told["alive"], told["pids"]) == (2, [7, 9])
