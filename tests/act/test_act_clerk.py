"""What is written of a job of Slurm: by a launcher on the login node, and by the batch script."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ugro_tui.act import slurm_standing
from ugro_tui.act.clerk import Manifest, brought
from ugro_tui.nodes import helper_clerk

TOKEN = "1" * 32


def claimed(root: Path, attempt: int = 1, token: str = TOKEN) -> dict[str, Any]:
    """What a claim of the job answers."""
    record = {"attempt": attempt, "token": token, "status": "pending"}
    told = {"root": str(root), "job": "job", "token": token, "record": record, "files": {"a/b.py": "x\udcff"}}
    answer: dict[str, Any] = json.loads(helper_clerk.answered(json.dumps({"do": "claim", **told}).encode()))
    return answer


def document(root: Path) -> dict[str, Any]:
    return helper_clerk.read(str(root / "job"))


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a job that runs as number 7 of a Slurm whose scontrol says what `reason` holds."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "JobState=COMPLETING Reason=$(cat {tmp_path}/reason) Dependency=(null)"\n')
    scontrol.chmod(0o755)
    (tmp_path / "reason").write_text("None")
    for name, value in (("PATH", f"{scontrol.parent}:{os.environ['PATH']}"), ("UGRO_LAUNCH_TOKEN", TOKEN)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    claimed(tmp_path)
    helper_clerk.main([str(tmp_path / "job"), "running"])
    return tmp_path / "job"


@pytest.mark.parametrize(
    ("code", "told", "reason", "asked", "status"),
    [
        ("0", "no", "None", False, "finished"),
        ("1", "no", "None", False, "failed"),
        ("143", "yes", "None", False, "stopped"),
        ("143", "yes", "TimeLimit", False, "failed"),
        ("143", "no", "None", True, "stopped"),
    ],
)
def test_the_script_tells_its_end(batch: Path, code: str, told: str, reason: str, asked: bool, status: str) -> None:
    assert (document(batch.parent)["status"], document(batch.parent)["slurm_job_id"]) == ("running", "7")
    (batch.parent / "reason").write_text(reason)
    if asked:
        helper_clerk.change(str(batch), TOKEN, {"stop_asked": True})
    helper_clerk.main([str(batch), "ended", code, told])
    assert (document(batch.parent)["status"], document(batch.parent)["exit_code"]) == (status, int(code))

    helper_clerk.change(str(batch), TOKEN, {"status": "unknown", "more": 1})
    helper_clerk.change(str(batch), "of another launch", {"status": "running", "more": 2})
    assert (document(batch.parent)["status"], document(batch.parent)["more"]) == (status, 1)


def test_a_job_is_claimed_once_and_again_when_it_is_over(tmp_path: Path) -> None:
    assert claimed(tmp_path)["told"]["found"] is False
    assert (tmp_path / "job" / "launch" / "a" / "b.py").read_bytes() == b"x\xff"
    assert claimed(tmp_path)["told"]["found"] is True
    assert "exists there already" in claimed(tmp_path, token="2" * 32)["problem"]
    assert "attempt 1 of it has not ended" in claimed(tmp_path, 2, "2" * 32)["problem"]
    helper_clerk.change(str(tmp_path / "job"), TOKEN, {"status": "failed"})
    assert claimed(tmp_path, 2, "2" * 32)["told"]["manifest"]["attempt"] == 2

    request = {"root": str(tmp_path), "job": "job", "token": "2" * 32}
    helper_clerk.withdraw({**request, "token": TOKEN})
    assert document(tmp_path)["status"] == "pending"
    helper_clerk.withdraw(request)
    assert document(tmp_path)["status"] == "failed"


def test_what_the_system_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert claimed(tmp_path / "file")["problem"].endswith("/file: File exists")


def test_a_job_has_all_that_it_needs_with_it() -> None:
    assert {"entry.py", "clerk.py", "train_production.py", "packages/ugro_emitter/__init__.py"} <= brought().keys()


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (Manifest(status="failed", exit_code=143, exits={3: -15, 2: 2, 0: 2}),
         "failed: rank 0 (and 1 more) ended by exit code 2"),
        (Manifest(status="failed", exit_code=137, exits={1: -9}), "failed: rank 1 ended by signal 9"),
        (Manifest(status="failed", exit_code=1, exits={1: -15}), "failed: exit code 1"),
        (Manifest(status="failed", signal=9), "failed: signal 9"),
        (Manifest(status="failed"), ""),
        (Manifest(status="finished", exit_code=0), ""),
    ],
)  # fmt: skip
def test_a_failure_is_told_by_the_rank_that_failed_of_its_own(manifest: Manifest, said: str) -> None:
    assert slurm_standing.written(manifest).said == said
