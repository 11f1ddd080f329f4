"""`ugro-tui metrics`, and the same from Python."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.cli.support import Call
from tests.sshd import Fleet, fleet
from tests.tfrecords import event_file
from tests.writing import Clock, RankWriter
from ugro_tui import exits
from ugro_tui.agent import Agent
from ugro_tui.cli_metrics import lines_dict, table_lines
from ugro_tui.config import Config
from ugro_tui.core.archive import Line, Lines
from ugro_tui.core.errors import BadInput

__all__ = ["fleet"]


@pytest.fixture
def job(root: Path, clock: Clock) -> Path:
    """A job of two ranks with a metric of its own, and an event file of rank 0."""
    for rank in (0, 1):
        writer = RankWriter(root / "job", rank, clock)
        writer.start(world_size=2)
        writer.steps(1, 3, metrics={"acc": 0.5})
        writer.steps(4, 4, loss="NaN")
    events = root / "job" / "tensorboard" / "rank_0" / "events.out.tfevents.1.host"
    events.parent.mkdir(parents=True)
    events.write_bytes(event_file(["val/loss"], [2, 4]))
    return root


@pytest.mark.usefixtures("job")
def test_names_and_one_metric_as_text_and_as_json(call: Call) -> None:
    code, out, err = call("metrics", "job")
    assert (code, out.split(), err) == (0, ["loss", "throughput", "metrics.acc", "val/loss"], "")
    assert json.loads(call("metrics", "job", "--json")[1])["metrics"] == out.split()
    code, out, _ = call("metrics", "job", "loss")
    assert [line.split() for line in out.splitlines()] == [
        ["RANK", "STEP", "LAST", "MIN", "MAX", "MEAN", "POINTS"],
        ["0", "4", "NaN", "3.333", "10.00", "6.111", "4,", "1", "no", "number"],
        ["1", "4", "NaN", "3.333", "10.00", "6.111", "4,", "1", "no", "number"],
        ["2", "ranks:", "last", "NaN", "min", "3.333", "(rank", "0)"],
    ]
    told = json.loads(call("metrics", "job", "val/loss", "--rank", "0", "--json")[1])
    assert (told["metric"], told["ranks"], [line["rank"] for line in told["lines"]]) == ("val/loss", 1, [0])
    assert told["lines"][0]["points"] == {
        "step": [2, 4], "time": [1_700_000_000] * 2, "tokens": [None, None], "value": [2, 4],
    }  # fmt: skip
    assert (told["lines"][0]["points"]["step"], told["lines"][0]["non_finite"]) == ([2, 4], 0)
    rank_1 = json.loads(call("metrics", "job", "loss", "--json")[1])["lines"][1]
    assert (rank_1["points"]["value"][-1], rank_1["non_finite"]) == ("NaN", 1)
    told_by_summary = [line.split("  ")[-2].strip() for line in call("summary", "job")[1].splitlines()[-2:]]
    assert told_by_summary == ["4, 1 no number"] * 2


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("nope", "loss"), "no job nope in"),
        (("job", "lr"), "job job has told no 'lr': the names that there are: ugro-tui metrics job"),
        (("job", "loss", "--rank", "7"), "job job has no rank 7: its world size is 2"),
        (("job", "--rank", "1"), "--rank needs a metric"),
        (("../job",), "is not a job id"),
    ],
)
def test_what_cannot_be_shown_is_said(call: Call, argv: tuple[str, ...], told: str) -> None:
    code, out, err = call("metrics", *argv)
    assert (code, out) == (2, "")
    assert told in err


def test_a_job_without_records_has_told_nothing_yet(call: Call, root: Path, clock: Clock) -> None:
    RankWriter(root / "lr3", 0, clock).start()
    assert call("metrics", "lr3") == (0, "", "ugro-tui: job lr3 has told nothing yet\n")


def test_a_name_that_is_listed_can_be_asked_for_and_points_say_of_which_attempt_they_are(
    call: Call, root: Path, clock: Clock
) -> None:
    writer = RankWriter(root / "lr2", 0, clock)
    writer.start()
    writer.steps(1, 30, metrics={"val_loss": 2.0})
    events = root / "lr2" / "tensorboard" / "rank_0" / "events.out.tfevents.1.host"
    events.parent.mkdir(parents=True)
    events.write_bytes(event_file(["val_loss"], [10, 20]))
    clock.now += 100
    writer.start(attempt=2, run_id="again")
    assert call("metrics", "lr2", "val_loss")[1].splitlines()[-1] == "30 of 30 points were told before attempt 2"
    clock.now += 100
    writer.steps(1, 3)
    assert call("metrics", "lr2")[1].split() == ["loss", "throughput"]
    for name in ("val_loss", "metrics.val_loss"):
        assert "'metrics.val_loss' before its newest start alone" in call("metrics", "lr2", name)[2]
    assert call("metrics", "lr2", "loss")[1].split()[-1] == "3"
    writer.steps(4, 5, metrics={"val_loss": 1.0})
    assert call("metrics", "lr2")[1].split() == ["loss", "throughput", "metrics.val_loss"]
    told = [call("metrics", "lr2", name, "--json")[1] for name in ("val_loss", "metrics.val_loss")]
    line = json.loads(told[0])["lines"][0]
    assert (line["points"]["step"], line["earlier_points"], told[0]) == ([4, 5], 0, told[1])
    clock.now += 100
    writer.start(attempt=3, run_id="resumed")
    clock.now += 100
    writer.steps(5, 6, metrics={"val_loss": 1.0})
    assert call("metrics", "lr2", "val_loss")[1].splitlines()[-1] == "1 of 3 points were told before attempt 3"
    tag = call("metrics", "lr2", "events:val_loss")[1]
    assert tag.splitlines()[-1] == "2 of 2 points were told before attempt 3"


def test_the_same_from_python(job: Path, clock: Clock) -> None:
    agent = Agent(Config(job, refresh=3600.0), clock)
    with agent:
        assert agent.metrics("job") == ("loss", "throughput", "metrics.acc", "val/loss")
        lines = agent.metric("job", "metrics.acc", rank=1)
        assert [(line.rank, line.value.tolist()) for line in lines.lines] == [(1, [0.5] * 3)]
        with pytest.raises(BadInput, match="has told no 'x'"):
            agent.metric("job", "metrics.x".removeprefix("metrics."))


def test_event_files_of_nodes_are_copied_before_they_are_read(call: Call, fleet: Fleet, clock: Clock) -> None:
    for rank in (0, 1):
        machine = fleet.add()
        RankWriter(machine.metrics / "job", rank, clock).steps(1, 2)
        events = machine.metrics / "job" / "tensorboard" / f"rank_{rank}" / "events.out.tfevents.1.host"
        events.parent.mkdir(parents=True)
        events.write_bytes(event_file(["val/loss"], [2, 4 + rank]))
    where = ("--ssh-config", str(fleet.ssh_config), "--nodes", "n1,n2")
    code, out, _ = call(*where, "metrics", "job", "val/loss")
    assert (code, [line.split()[:3] for line in out.splitlines()[1:]]) == (
        0,
        [["0", "4", "4.000"], ["1", "5", "5.000"], ["2", "ranks:", "last"]],
    )
    fleet.machines[1].stop()
    code, out, err = call(*where, "metrics", "job")
    assert (code, out.split()) == (exits.PARTIAL, ["loss", "throughput", "val/loss"])
    assert "ugro-tui: n2: " in err


def test_some_of_many_ranks_and_numbers_that_are_none() -> None:
    steps = np.array([1.0, 2.0])
    huge = Line(3, steps, steps, steps, np.array([1e308, 1e308]))
    none = Line(900, steps, steps, steps, np.array([math.nan, math.inf]))
    lines = Lines("loss", (huge, none), 1024)
    first, last, _, more = list(table_lines(lines))[1:]
    assert first.split() == ["3", "2", *["1.00e+308"] * 4, "2"]
    assert last.split() == ["900", "2", "inf", "–", "–", "–", "2,", "2", "no", "number"]
    assert more == "2 of 1,024 ranks, evenly spread; another one with --rank"
    told = lines_dict("job", lines)
    assert json.dumps(told, allow_nan=False)
    assert told["lines"][1]["points"]["value"] == ["NaN", "Infinity"]
