"""What a report tells beside the picture: clock times, what is over, how stacks were got, and the kernel's word."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.act.diagnosing import WHEN, FakeNode, files, looked, picture, rank
from tests.writing import now_clock, whole_job
from ugro_tui.act.diagnosis_report import MOST_OVER
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.entries import Entry, Mark
from ugro_tui.core.states import RankState


def test_what_is_over_is_told_by_the_clock_in_its_order(tmp_path: Path) -> None:
    nan = Alert("non-finite loss", Severity.CRIT, 0, "a", "loss not finite", 0.0, "stop", "non_finite_loss")
    entry = Entry("job", 1, nan, WHEN - 100, Mark.RESOLVED, resolved=WHEN - 40)
    over = (
        replace(entry, alert=replace(nan, name="failed"), attempt=0, since=WHEN - 30, resolved=WHEN - 30),
        entry,
        replace(entry, since=WHEN - 100_000, resolved=math.nan),
        replace(entry, since=math.inf),
    )
    view = picture({0: "a"})
    view = replace(view, summary=replace(view.summary, attempt=2))
    text = looked(view, tmp_path, over=over).report.read_text()
    assert [line.partition(" (")[2] for line in text.splitlines() if line.startswith("- over: crit: **")] == [
        "at an unknown time to the end of the records, in attempt 1)",
        "2023-11-13 18:26:40 UTC to the end of the records, in attempt 1)",
        "22:11:40 UTC, for 1m 0s, in attempt 1)",
        "22:12:50 UTC)",
    ]
    text = looked(view, tmp_path, over=(entry,) * (MOST_OVER + 3)).report.read_text()
    assert text.count("- over: crit: **non-finite loss**, rank 0 on a: loss not finite") == MOST_OVER
    assert "- 3 more that were over before are in `state.json`" in text


def test_records_tell_what_is_over_where_nobody_watched(tmp_path: Path) -> None:
    clock = now_clock()
    (writer,) = whole_job(tmp_path / "job", clock)
    writer.steps(21, 22, loss="NaN")
    writer.steps(23, 80)
    writer.end()
    with Agent(Config(metrics_dir=tmp_path)) as agent:
        bundle = agent.bundle("job")
    assert "- over: crit: **non-finite loss**, rank 0 on node0: " in bundle.report.read_text()
    over = json.loads(files(bundle)["state.json"])["over"]
    assert "non_finite_loss" in [entry["alert"]["rule"] for entry in over]


def test_a_way_to_a_stack_that_failed_before_another_one_did_not_is_a_note_there(tmp_path: Path) -> None:
    trace = 'Thread 1 (idle): "MainThread"\n    wait (/x/a.py:3)\n'
    told = {"how": "signal", "text": trace, "tried": ["py-spy: it is not installed"]}
    view, beat = picture({0: "a"}, {0: 600.0}), json.dumps({"pid": 7})
    text = looked(view, tmp_path, FakeNode("a", {"ranks": {"0": rank(stacks=told, heartbeat=beat)}})).report.read_text()
    assert "(by a signal that the rank handles; py-spy: it is not installed):" in text
    assert "## Not gathered\n\n- nothing is missing\n" in text
    none = told | {"how": "", "text": ""}
    text = looked(view, tmp_path, FakeNode("a", {"ranks": {"0": rank(stacks=none, heartbeat=beat)}})).report.read_text()
    assert "- stacks of rank 0: py-spy: it is not installed" in text


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        ("[ 1600.0] Out of memory: Killed process 4242 (python)", "names its process 4242: Out of memory: Killed"),
        ("[ 1600.0] Out of memory: Killed process 4243 (python)", "does not name its process 4242: no sign"),
        ("", "does not name its process 4242: no sign"),
        ("(dmesg: Operation not permitted)", "could not be read: dmesg: Operation not permitted"),
    ],
)
def test_of_a_killed_rank_it_is_said_whether_the_kernel_log_names_it(kernel: str, says: str, tmp_path: Path) -> None:
    step = "look at its node's kernel log (dmesg), and read the end of what it printed"
    died = Alert("died silently", Severity.CRIT, 0, "a", "killed", 3.0, step, "died_silently")
    view = picture({0: "a"})
    ranks = replace(view.ranks, state=np.array([RankState.DEAD], np.int8))
    view = replace(view, ranks=ranks, summary=replace(view.summary, alerts=(died,), verdict=died.sentence))
    beat = json.dumps({"pid": 4242, "pid_start": 100_000})
    node = FakeNode("a", {"ranks": {"0": rank(heartbeat=beat)}, "kernel": kernel})
    text = looked(view, tmp_path, node).report.read_text()
    assert f"- the kernel log of its node {says}" in text
    assert text.count("look at its node's kernel log") == (2 if kernel.startswith("(") else 0)
    assert text.count("read the end of what it printed") == 2
