"""`ugro-tui compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import Call
from tests.writing import Clock, RankWriter


@pytest.fixture(autouse=True)
def jobs(root: Path, clock: Clock) -> Path:
    """A job that is over, and one in its second attempt."""
    first = RankWriter(root / "first", 0, clock)
    first.start(config={"lr": 3e-4, "model": {"width": 128}})
    first.steps(1, 20)
    first.end()
    second = RankWriter(root / "second", 0, clock)
    second.start(config={"lr": 1e-3, "model": {"width": 128}})
    second.steps(1, 30, loss=0.25, metrics={"val_loss": 2.5})
    second.start(attempt=2, run_id="again", config={"lr": "5e-4", "model": {"width": 128}})
    second.steps(21, 25)
    second.heartbeat(step=25)
    return root


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_two_jobs_as_text(call: Call) -> None:
    code, out, err = call("compare", "first", "second")
    assert (code, err) == (0, "")
    told = [cells(line) for line in out.splitlines()]
    assert told[:2] == [["A", "B"], ["run", "first", "second"]]
    for row in (
        ["status", "finished", "running"],
        ["last loss", "0.5000", "0.4000"],
        ["min loss", "0.5000", "0.2500"],
        ["at step", "20", "1"],
        ["loss at step 20", "0.5000", "0.2500 (-0.250) *"],
        ["* best beyond noise"],
        ["lr", "0.0003", "0.0005"],
        ["configuration: 1 differs, 3 are the same"],
    ):
        assert row in told


def test_attempts_of_a_job_as_json(call: Call) -> None:
    code, out, _ = call("compare", "second#1", "second#2", "first", "--metric", "metrics.val_loss", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["runs"][0] == {"name": "second#1", "job_id": "second", "attempt": 1}
    rows = {row["name"]: row["values"] for row in told["rows"]}
    assert rows["last loss"] == [0.25, 0.4, 0.5]
    assert rows["last metrics.val_loss"] == [2.5, 2.5, None]
    assert rows["steps"] == [30, 25, 20]
    assert rows["status"] == ["unknown", "running", "finished"]
    assert [(one["axis"], one["at"], one["beyond"]) for one in told["differences"]] == [
        ("step", 20, [0, 0, None]), ("tokens", 2000, [0, 0, None]),
    ]  # fmt: skip
    assert told["config"] == {"differs": {"lr": ["0.001", "0.0005", "0.0003"]}, "same": 3}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("first",), "two to four different runs are compared, not 1"),
        (("first", "second#x"), "names no attempt"),
        (("first", "second#7"), "job second has no attempt 7: its records tell of 1, 2"),
        (("first", "nope"), "no job nope in"),
        (("first", "second", "--metric", "metrics.zzz"), "has told no 'metrics.zzz'"),
    ],
)
def test_what_cannot_be_compared_is_code_2_and_says_why(call: Call, argv: tuple[str, ...], said: str) -> None:
    code, out, err = call("compare", *argv)
    assert (code, out) == (2, "")
    assert said in err
