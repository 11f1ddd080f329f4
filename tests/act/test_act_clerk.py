"""What is written of a job of Slurm: by a launcher on the login node, and by the batch script."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ugro_tui.act import slurm_standing
from ugro_tui.act.clerk import Manifest, Survey, brought
from ugro_tui.act.submission import attempt_of
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import LaunchRequest
from ugro_tui.nodes import helper_batch, helper_clerk

TOKEN = "1" * 32
SECRET = "s'ecret\n$x"

SHOWN = """JobId=7 JobName=job
   JobState={} Reason={} Dependency=(null)
   Requeue=1 Restarts={} BatchFlag=1 Reboot=0 ExitCode=0:0
   Comment=JobState=NODE_FAIL Reason=x
"""
"""As Slurm 22.05 prints it, while the script of a job that is ended still runs."""

CANCELLED = "slurmstepd-n1: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-26T07:12:44 {}***\n"
BY_OTHERS = "stopped: cancelled by scancel, not by ugro-tui"
OOM = "slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=7.0. Some of your processes may have been killed.\n"


def claimed(root: Path, attempt: int = 1, token: str = TOKEN) -> dict[str, Any]:
    """What a claim of the job answers."""
    record = {"attempt": attempt, "token": token, "status": "pending"}
    told = {"root": str(root), "job": "job", "token": token, "record": record, "files": {"a/b.py": "x\udcff"}}
    told["secrets"] = {"KEY": SECRET}
    answer: dict[str, Any] = json.loads(helper_clerk.answered(json.dumps({"do": "claim", **told}).encode()))
    return answer


def document(root: Path) -> dict[str, Any]:
    return helper_batch.read(str(root / "job"))


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a job that runs as number 7 of a Slurm whose scontrol says what `shown` holds."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f"#!/bin/sh\ncat {tmp_path}/shown\n")
    scontrol.chmod(0o755)
    monkeypatch.setattr(helper_batch, "CAUSE_SECONDS", 0.0)
    environment = {"UGRO_LAUNCH_TOKEN": TOKEN, "UGRO_ATTEMPT": "1", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n1"}
    for name, value in {"PATH": f"{scontrol.parent}:{os.environ['PATH']}", **environment}.items():
        monkeypatch.setenv(name, value)
    claimed(tmp_path)
    helper_batch.told_by_script([str(tmp_path / "job"), "running"])
    return tmp_path / "job"


@pytest.mark.parametrize(
    ("code", "told", "shown", "log", "asked", "ends"),
    [
        ("0", "no", ("RUNNING", "None", 0), "", "", ("finished", "")),
        ("1", "no", ("RUNNING", "None", 0), "", "", ("failed", "")),
        ("1", "no", None, "", "", ("failed", "")),
        ("137", "no", ("RUNNING", "None", 0), OOM, "", ("failed", "failed: out of memory: ")),
        ("143", "yes", ("COMPLETING", "None", 0), CANCELLED.format(""), "", ("stopped", BY_OTHERS)),
        ("143", "no", ("COMPLETING", "None", 0), "", "", ("stopped", BY_OTHERS)),
        ("0", "yes", ("COMPLETING", "None", 0), "", "", ("stopped", BY_OTHERS)),
        ("143", "yes", None, "", "", ("stopped", BY_OTHERS)),
        ("143", "yes", ("COMPLETING", "TimeLimit", 0), "", "", ("failed", "failed: its time was over")),
        ("143", "no", ("COMPLETING", "None", 0), CANCELLED.format("DUE TO PREEMPTION "), "",
         ("failed", "failed: it was preempted")),
        ("0", "no", ("NODE_FAIL", "NodeDown", 0), "", "", ("failed", "failed: a node failed")),
        ("143", "no", ("RUNNING", "None", 0), "", "anna on laptop", ("stopped", "stopped by anna on laptop")),
        ("0", "no", ("PENDING", "None", 1), "", "", ("pending", "pending: requeued by Slurm")),
        ("143", "yes", ("COMPLETING", "None", 1), CANCELLED.format("DUE TO PREEMPTION "), "",
         ("pending", "pending: requeued by Slurm: it was preempted")),
    ],
)  # fmt: skip
def test_the_script_tells_its_end(
    batch: Path, code: str, told: str, shown: tuple[object, ...] | None, log: str, asked: str, ends: tuple[str, str]
) -> None:
    first = document(batch.parent)
    assert (first["status"], first["slurm_job_id"], first["attempt"]) == ("running", "7", 1)
    (batch.parent / "shown").write_text(SHOWN.format(*shown) if shown else "")
    former = CANCELLED.format("DUE TO TIME LIMIT ")
    (batch / "logs" / "slurm-7.out").write_text(f"{former}== attempt 1: job 7 of Slurm on n1, now ==\n{log}")
    helper_batch.change(str(batch), TOKEN, {"stop_asked": asked})
    helper_batch.told_by_script([str(batch), "ended", code, told])
    found = document(batch.parent)
    assert (found["status"], found["said"][: len(ends[1]) or None]) == ends
    assert (batch / "launch" / "secrets.json").exists() is (ends[0] == "pending")
    if ends[0] == "pending":
        assert (found["attempt"], found.get("ended")) == (2, None)
        return

    assert found["exit_code"] == int(code)
    helper_batch.change(str(batch), TOKEN, {"status": "unknown", "more": 1})
    helper_batch.change(str(batch), "of another launch", {"status": "running", "more": 2})
    helper_batch.change(str(batch), TOKEN, {"more": 3}, {"attempt": 2})
    assert (document(batch.parent)["status"], document(batch.parent)["more"]) == (ends[0], 1)


def test_a_requeued_script_begins_another_attempt_whatever_was_written_of_the_last(
    batch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper_batch.change(str(batch), TOKEN, {"status": "failed", "said": "x", "ended": 1.0, "exits": {"0": 1}})
    (batch / "errors" / "rank_0.json").write_text("{}")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    monkeypatch.setenv("UGRO_ATTEMPT", "3")
    helper_batch.told_by_script([str(batch), "running"])
    found = document(batch.parent)
    assert (found["status"], found["attempt"], found["said"], found["ended"], found["exits"]) == (
        "running", 3, "", None, {}
    )  # fmt: skip
    assert list((batch / "errors").iterdir()) == []


def test_a_job_is_claimed_once_and_again_when_it_is_over(tmp_path: Path) -> None:
    assert claimed(tmp_path)["told"]["found"] is False
    assert (tmp_path / "job" / "launch" / "a" / "b.py").read_bytes() == b"x\xff"
    secrets = tmp_path / "job" / "launch" / "secrets.json"
    assert (json.loads(secrets.read_text()), secrets.stat().st_mode & 0o777) == ({"KEY": SECRET}, 0o600)
    assert claimed(tmp_path)["told"]["found"] is True
    assert "exists there already" in claimed(tmp_path, token="2" * 32)["problem"]
    assert "attempt 1 of it has not ended" in claimed(tmp_path, 2, "2" * 32)["problem"]
    helper_batch.change(str(tmp_path / "job"), TOKEN, {"status": "failed"})
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
         "failed: rank 0 (and 1 more) ended with exit code 2"),
        (Manifest(status="failed", exit_code=137, exits={1: -9}), "failed: rank 1 ended by signal 9"),
        (Manifest(status="failed", exit_code=1, exits={1: -15}), "failed: exit code 1"),
        (Manifest(status="failed", signal=9), "failed: signal 9"),
        (Manifest(status="failed"), ""),
        (Manifest(status="failed", exit_code=143, said="failed: its time was over"), "failed: its time was over"),
        (Manifest(status="finished", exit_code=0), ""),
    ],
)  # fmt: skip
def test_a_failure_is_told_by_the_rank_that_failed_of_its_own(manifest: Manifest, said: str) -> None:
    assert slurm_standing.written(manifest).said == said


def surveyed(root: Path, *, resumes: bool) -> Survey:
    """What the login node says before a submission."""
    words = {"root": str(root), "job": "job", "workdir": "", "script": "x.py", "python": "python3", "resumes": resumes}
    answer = helper_clerk.answered(json.dumps({"do": "survey", **words}).encode())
    return msgspec.convert(json.loads(answer)["told"], Survey)


def test_a_name_is_free_where_the_job_failed_before_its_first_record(tmp_path: Path) -> None:
    new, again = LaunchRequest("job"), LaunchRequest("job", resume=True, from_checkpoint=True)
    assert attempt_of(new, surveyed(tmp_path, resumes=False)) == 1
    claimed(tmp_path)
    with pytest.raises(BadInput, match="exists already"):
        attempt_of(new, surveyed(tmp_path, resumes=False))
    helper_batch.change(str(tmp_path / "job"), TOKEN, {"status": "failed"})
    found = surveyed(tmp_path, resumes=True)
    assert (attempt_of(new, found), attempt_of(again, found), found.saved) == (2, 2, False)
    (tmp_path / "job" / "metrics.jsonl").touch()
    with pytest.raises(BadInput, match="exists already"):
        attempt_of(new, surveyed(tmp_path, resumes=False))
