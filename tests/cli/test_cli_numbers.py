"""What the commands say of jobs, and that all of them say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.support import Call
from tests.writing import Clock, finished_job, whole_job
from ugro_tui.agent import Agent
from ugro_tui.config import Config


def same(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary without ages, which grow between two looks."""
    return {key: value for key, value in summary.items() if not key.endswith("age")}


def test_status_lists_all_jobs(call: Call, root: Path, clock: Clock) -> None:
    whole_job(root / "running", clock, ranks=2)
    finished_job(root / "done", clock)
    old = Clock(clock.now - 100_000)
    finished_job(root / "old", old)
    code, out, err = call("status")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["JOB", "STATUS", "STEP", "LOSS", "TOK/S", "ETA", "RANKS", "AGE"]
    assert lines[1][:4] == ["running", "running", "20/100", "0.5000"]
    assert lines[2][:4] == ["done", "finished", "20/100", "0.5000"]
    assert out.splitlines()[3] == "older than a day: old (read one with `ugro-tui summary JOB`)"
    assert json.loads(call("status", "--json")[1])["listed"] == ["old"]


def test_a_job_that_failed_is_code_1_everywhere(call: Call, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    writer.end("failed", error={"type": "OutOfMemoryError", "message": "\x1b[31mCUDA [red]out"})
    for argv in (
        ("status",),
        ("status", "--json"),
        ("summary", "job"),
        ("summary", "job", "--json"),
        ("monitor", "job"),
    ):
        code, out, _ = call(*argv)
        assert code == 1, argv
        assert "OutOfMemoryError: ␛[31mCUDA [red]out" in out
        assert "\x1b" not in out


def test_one_job_has_the_same_numbers_everywhere(call: Call, root: Path, clock: Clock) -> None:
    writers = finished_job(root / "job", clock, ranks=3, steps=33)
    writers[2].raw(b"damage\n")
    (in_status,) = json.loads(call("status", "--json")[1])["jobs"]
    in_summary = json.loads(call("summary", "job", "--json")[1])
    in_monitor = json.loads(call("monitor", "job", "--json")[1])
    with Agent(Config(root)) as agent:
        in_agent = agent.get_job_summary("job")
        live = agent.get_live_metrics("job")
    assert same(in_status) == same(in_summary) == same(in_monitor) == same(in_agent)
    assert (in_agent["final_loss"], in_agent["per_rank_stats"]["2"]["skipped"]) == (10 / 33, 1)
    shared = same(live).keys() & same(in_agent).keys()
    assert {key: live[key] for key in shared} == {key: in_agent[key] for key in shared}


def test_a_job_that_hangs_is_said_to_in_every_command_and_keeps_its_status_in_json(
    call: Call, root: Path, clock: Clock
) -> None:
    clock.now -= 100
    writers = whole_job(root / "job", clock, ranks=2)
    clock.now += 100
    for writer in writers:
        writer.heartbeat(step=20, step_age=100.0)
    assert call("status")[1].splitlines()[1].split()[:2] == ["job", "hung"]
    assert "status     hung: " in call("summary", "job")[1]
    (told,) = json.loads(call("status", "--json")[1])["jobs"]
    assert (told["status"], told["state"], told["throughput"]) == ("running", "hung", None)


def test_a_summary_in_words(call: Call, root: Path, clock: Clock) -> None:
    finished_job(root / "job", clock, ranks=2)[1].raw(b"damage\n")
    code, out, _ = call("summary", "job")
    assert code == 0
    facts = dict(line.split(maxsplit=1) for line in out.splitlines()[:8])
    assert (facts["pace"], facts["throughput"]) == ("– s/it  (mean 1.00 s/it)", "– tok/s  (mean over its steps 201)")
    assert (facts["status"], facts["loss"]) == ("finished", "last 0.5000 (mean)  min 0.5000 (rank 0)")
    assert facts["ranks"] == "2 of 2 well, 2 seen"
    assert out.splitlines()[-1].split()[:4] == ["1", "node1", "finished", "20"]
    assert out.splitlines()[-1].split()[-1] == "1"


def test_trouble_with_files_is_said(call: Call, root: Path, clock: Clock) -> None:
    writers = finished_job(root / "job", clock, ranks=2)
    writers[1].metrics.unlink()
    writers[1].metrics.symlink_to(writers[0].metrics)
    assert "local: job: metrics.rank-1.jsonl: a link, which is not followed" in call("status")[1]
    assert json.loads(call("status", "--json")[1])["notices"]
