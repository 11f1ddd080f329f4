"""`launch`, `relaunch`, `stop`: what they say, what they refuse, and their exit codes."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.act.launching import BEATS, TELLS, WAITS, living, stub_python
from tests.cli.support import Call, Terminal
from tests.core.record_lines import job, manifest, start, steps
from tests.leaks import places_of
from tests.writing import wait_until
from ugro_tui import waiting
from ugro_tui.act.backend import JobStanding
from ugro_tui.cli_variables import pairs
from ugro_tui.clock import SystemClock
from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.errors import BadInput, NoSource, UgroError
from ugro_tui.core.snapshot import Snapshot, curve_of, view
from ugro_tui.core.states import JobStatus


def test_a_job_is_planned_launched_waited_for_stopped_and_started_again(call: Call, home: Path, tmp_path: Path) -> None:
    script, python = tmp_path / "train.py", stub_python(tmp_path)
    script.write_text(TELLS)
    asked = ["launch", "--name", "job", "--python", str(python), "--nproc", "2", "--env", "A=b c"]
    rest = ["--", str(script), "--nodes", "x y", "--json"]  # behind `--` nothing is ours
    code, out, _ = call(*asked, "--dry-run", *rest)
    assert code == 0
    assert "job job, attempt 1: 2 ranks" in out
    assert "  A=b c" in out
    assert f"{script} --nodes 'x y' --json" in out
    assert not (home / "ugro_data").exists()
    code, out, _ = call(*asked, "--dry-run", "--", "nowhere.py")
    assert (code, "it could not start: local: there is no training script" in out) == (1, True)
    code, out, err = call(*asked, "--wait", *rest)
    assert (code, out.splitlines()[-1]) == (0, "job job: finished")
    assert "local: running: 2 ranks run" in err
    log = (home / "ugro_data/jobs/job/logs/rank_1.log").read_text()
    assert json.loads(log.partition("told ")[2])[0] == ["--nodes", "x y", "--json"]
    code, _, err = call(*asked, *rest)
    assert code == 1
    assert "job job exists here already: choose another name, or start it again with `ugro-tui relaunch job`" in err
    script.write_text(WAITS)
    nothing = "no checkpoint of job is known of on local: it will begin at step 0"
    code, out, _ = call("relaunch", "job", "--resume", "--dry-run")
    assert (code, f"  warning: {nothing}" in out) == (0, True)
    code, out, err = call("relaunch", "job", "--resume", "--json")
    assert (code, f"ugro-tui: {nothing}" in err) == (0, True)
    found = json.loads(out)
    assert found["warnings"][0].startswith(nothing)
    asked_for = found["request"]
    assert (found["attempt"], asked_for["args"]) == (2, ["--nodes", "x y", "--json"])
    assert asked_for["from_checkpoint"] is True
    assert "token" not in found
    code, out, err = call("stop", "job", "--json")
    assert (code, out) == (2, "")
    assert "no terminal to ask on whether job job is to be ended, so it was left alone: say --yes" in err
    assert len(list(living(home))) > 2
    code, out, _ = call("stop", "job", "--yes", "--json")
    assert (code, json.loads(out)["status"]) == (0, "stopped")
    assert list(living(home)) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["stop", "nothing", "-y"], 2, "there is no job nothing"),
        (["stop", "nothing"], 2, "there is no job nothing"),
        (["cancel", "nothing", "--json"], 2, "there is no job nothing"),
        (["cancel", "../x", "-y"], 2, "is not a job id"),
        (["relaunch", "nothing"], 2, "there is no job nothing"),
        (["--read-only", "stop", "job", "-y"], 2, "read_only is set (command line: --read-only)"),
        (["launch", "--name", "job", "--read-only"], 2, "read_only is set"),
        (["launch", "--name", "job", "--env", "x"], 2, "is no NAME=VALUE"),
        (["launch", "--name", "job", "--secret", "K=/no/file"], 2, "/no/file cannot be read"),
        (["launch", "--name", "job", "--secret", "K="], 2, "write --secret NAME=FILE, or --secret NAME"),
        (["launch", "--name", "job", "--secret", "K"], 2, "--secret K: there is no terminal to ask for it on"),
        (["launch", "--name", "job", "--", "nowhere.py"], 1, "there is no training script"),
        (["launch", "--name", "job", "--rdzv", "x"], 2, "choose static or c10d"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_code(call: Call, words: list[str], code: int, said: str) -> None:
    found, out, err = call(*words)
    assert (found, out) == (code, "")
    assert said in err


def test_a_variable_may_hold_anything_behind_its_name() -> None:
    assert pairs(["A=b=c", "B="], "--env") == {"A": "b=c", "B": ""}
    for wrong in ("A", "=b", ""):
        with pytest.raises(BadInput, match="--env"):
            pairs([wrong], "--env")


HOLDS = BEATS + (
    "import hashlib, os, signal\n"
    "print('told ' + hashlib.sha256(os.environ['KEY'].encode()).hexdigest(), flush=True)\n"
    "signal.pause()\n"
)


def test_a_secret_is_asked_for_without_echo_and_is_nowhere_but_with_the_ranks(
    begin_on_terminal: Callable[..., Terminal], call: Call, home: Path, tmp_path: Path
) -> None:
    script, python, secret = tmp_path / "train.py", stub_python(tmp_path), f"typed-{os.urandom(8).hex()}"
    script.write_text(HOLDS)
    words = ["launch", "--name", "job", "--python", str(python), "--secret", "KEY", "--json", "--", str(script)]
    code, out, _ = call(*words[:-3], "--dry-run", *words[-2:])
    assert (code, "KEY=<hidden> (asked for when it is launched)" in out) == (0, True)

    terminal = begin_on_terminal(*words)
    terminal.until("Secret KEY of job job: ")
    terminal.type(f"{secret}\n")
    assert terminal.ended() == 0
    log = home / "ugro_data/jobs/job/logs/rank_0.log"
    wait_until(lambda: "told " in log.read_text())
    assert log.read_text().split()[-1] == hashlib.sha256(secret.encode()).hexdigest()
    assert places_of(secret, tmp_path) == []
    assert secret not in terminal.text
    code, _, err = call("relaunch", "job")
    assert (code, "--secret KEY: there is no terminal to ask for it on" in err) == (2, True)
    assert call("stop", "job", "--yes")[:2] == (0, "job job: stopped\n")
    assert list(living(home)) == []


def test_while_nobody_can_say_how_a_job_stands_it_is_followed_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[JobStanding | UgroError] = [
        JobStanding("pending", said="pending: Resources"),
        JobStanding("pending", said="pending: Resources"),
        NoSource("login: no answer"),
        JobStanding("unknown", said="unknown: squeue does not answer"),
        JobStanding("running"),
        JobStanding("failed", said="failed: its time was over"),
    ]

    def standing(_: str) -> JobStanding:
        told = said.pop(0)
        if isinstance(told, UgroError):
            raise told
        return told

    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.0)
    feed, clock = SimpleNamespace(snapshot=Snapshot), SystemClock()
    state = job(start(world_size=2) + steps(0, 3))  # its ranks are told to be over later than the job
    manifest(state, "failed")
    seen = replace(Snapshot(), jobs=(view(state, 1.0, curve_of(state)),))
    agent: Any = SimpleNamespace(
        launches=SimpleNamespace(standing=standing), copies=None, feed=feed, clock=clock, open=lambda _: seen
    )
    assert waiting.followed(agent, "job", as_json=False) == 1
    out, err = capsys.readouterr()
    line, end = out.splitlines()
    assert line.endswith("ranks 0/2")
    assert end == "job job: failed: its time was over"
    assert err.splitlines() == [
        "ugro-tui: pending: Resources",
        "ugro-tui: unknown: login: no answer",
        "ugro-tui: unknown: squeue does not answer",
    ]


def test_who_waits_is_told_what_is_new_at_once_and_steps_ever_more_seldom() -> None:
    state = job(start(total_steps=9_000) + steps(0, 3))
    picture, progress = view(state, 1.0, curve_of(state)), waiting.Progress(0.0)
    disk = Alert("disk filling", Severity.WARN, None, "n1", "1 % is free", 0.0, "make room", "disk_low")
    told: dict[int, list[str]] = {}
    for second in range(10_000):
        status = JobStatus.STARTING if second < 20 else JobStatus.RUNNING
        step, alerts = (
            second if second >= 20 else 400.0 if second < 10 else math.nan,
            (disk,) if 3_000 < second < 3_100 or second > 4_000 else (),
        )
        summary = replace(picture.summary, status=status, step=step, alerts=alerts)
        told[second] = list(progress.lines(replace(picture, summary=summary), float(second)))
    steps_told = [second for second, lines in told.items() if "step" in "".join(lines)]
    assert steps_told[:4] == [20, 30, 40, 50], "the first step is told when it is there"
    assert told[30][0].startswith("job running  step 30/9,000  loss 2.00")
    assert 60 < len(steps_told) < 120
    assert all(after - before <= 600 for before, after in pairwise(steps_told))
    assert [second for second, lines in told.items() if "disk filling" in "".join(lines)] == [3_001], "once"
