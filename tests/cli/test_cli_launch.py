"""`launch`, `relaunch`, `stop`: what they say, what they refuse, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.act.launching import TELLS, WAITS, living, stub_python
from tests.cli.support import Call
from ugro_tui.cli_variables import pairs
from ugro_tui.core.errors import BadInput


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
    code, out, err = call(*asked, "--wait", *rest)
    assert (code, out.splitlines()[-1]) == (0, "job job: finished")
    assert "local: running: 2 ranks run" in err
    log = (home / "ugro_data/jobs/job/logs/rank_1.log").read_text()
    assert json.loads(log.partition("told ")[2])[0] == ["--nodes", "x y", "--json"]
    code, _, err = call(*asked, *rest)
    assert code == 1
    assert "job job exists here already: choose another name, or start it again with `ugro-tui relaunch job`" in err
    script.write_text(WAITS)
    code, out, _ = call("relaunch", "job", "--resume", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["attempt"], found["request"]["args"]) == (2, ["--nodes", "x y", "--json", "--resume"])
    assert "token" not in found
    assert len(list(living(home))) > 2
    code, out, _ = call("stop", "job", "--json")
    assert (code, json.loads(out)["status"]) == (0, "stopped")
    assert list(living(home)) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["stop", "nothing"], 2, "there is no job nothing"),
        (["cancel", "../x"], 2, "is not a job id"),
        (["relaunch", "nothing"], 2, "there is no job nothing"),
        (["--read-only", "stop", "job"], 2, "read_only is set (command line: --read-only)"),
        (["launch", "--name", "job", "--read-only"], 2, "read_only is set"),
        (["launch", "--name", "job", "--env", "x"], 2, "is no NAME=VALUE"),
        (["launch", "--name", "job", "--secret", "K=/no/file"], 2, "/no/file cannot be read"),
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
