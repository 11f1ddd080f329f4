"""Diagnoses: who is suspected, what is asked, what is written, and that nothing a node sends is more than text."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.act.diagnosing import WHEN, FakeNode, files, hanging, looked, picture, rank, write_log
from tests.writing import wait_until
from ugro_tui.act import evidence
from ugro_tui.act.bundle import KEPT, write
from ugro_tui.act.suspects import suspects
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.commands import Diagnose, Refresh
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.nodes.base import NodeSilent, Ran

NO_RANK: Any = None
"""Of an alert that is about a node, or the whole job."""

HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eback ``` ```` | [link](http://x) <script>\n# heading\n```\nout"


def test_a_real_rank_that_hangs_is_explained(tmp_path: Path) -> None:
    with hanging(tmp_path, 0, 2, "data"), hanging(tmp_path, 1, 2):
        write_log(tmp_path, 0, "starting\nprogress 1\rprogress 2\n")
        with Agent(Config(metrics_dir=tmp_path)) as agent:
            bundle = agent.bundle("job")
        assert bundle.path.parent == tmp_path / "job" / "diagnosis"
        assert bundle.suspects == (0, 1)
        assert (bundle.failed, bundle.asked) == ({}, 1)
        text = bundle.report.read_text()
        assert "**hung: all 2 ranks stopped at step 19" in text.splitlines()[2]
        assert "- rank 0 stands in `load_batch (<string>:" in text
        assert "- rank 1 stands in `all_reduce (<string>:" in text
        assert "in the phase `data`" in text
        assert "- *hung*: all ranks stand still together" in text
        assert "; its stack is below**" in text.splitlines()[2]
        assert "; its stack is above" in text.partition("## What to look at next")[2]
        assert "py-spy dump" not in text
        assert "stacks of rank" not in text
        assert re.search(r"ranks stopped at step 19 .* \(began \d\d:\d\d:\d\d UTC, 1m \d+s ago\)\n", text)
        assert re.search(r"- last step: 19, at \d\d:\d\d:\d\d UTC, 1m \d+s ago\n", text)
        assert "starting\nprogress 2\n" in text
        found = files(bundle)
        assert "load_batch" in found["rank_0/stack.txt"]
        assert "ugro_emitter/heartbeat.py" in found["rank_0/stack.txt"]  # all threads
        assert json.loads(found["rank_1/heartbeat.json"])["phase"] == "backward"
        assert found["rank_0/log.txt"] == "starting\nprogress 2\n"
        assert "rank 0, process " in found["nodes/local/processes.txt"]
        assert json.loads(found["state.json"])["summary"]["alerts"][0]["rank"] == 0
        modes = {stat.S_IMODE(path.stat().st_mode) for path in bundle.path.rglob("*") if path.is_file()}
        folders = [bundle.path, bundle.path.parent, *(path for path in bundle.path.rglob("*") if path.is_dir())]
        assert modes == {0o600}
        assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
        with Agent(Config(metrics_dir=tmp_path)) as agent:  # the job is read as before
            assert agent.get_job_summary("job")["ranks_seen"] == 2
            assert agent.diagnose("job") != bundle.path


def test_the_key_is_answered_and_others_are_not_kept_waiting(tmp_path: Path) -> None:
    with hanging(tmp_path), Agent(Config(metrics_dir=tmp_path)) as agent:
        agent.job("job")
        number = agent.feed.request(Diagnose("job")).number
        other = agent.feed.request(Refresh()).number

        def answers() -> dict[int, tuple[str, str]]:
            return {one.number: (one.problem, one.said) for one in agent.feed.snapshot().answers}

        wait_until(lambda: {number, other} <= answers().keys())
        problem, said = answers()[number]
        assert problem == ""
        assert Path(said).name == "report.md"
        assert Path(said).exists()
        unknown = agent.feed.request(Diagnose("other")).number
        wait_until(lambda: unknown in answers())
        assert "no job other" in answers()[unknown][0]


def test_no_job_can_have_such_a_name(tmp_path: Path) -> None:
    with Agent(Config(metrics_dir=tmp_path)) as agent, pytest.raises(BadInput):
        agent.diagnose("../elsewhere")


def test_suspects_are_those_that_alerts_name_then_those_in_a_bad_state() -> None:
    view = picture({0: "a", 1: "a", 2: "b", 3: "b"}, {2: 600.0, 3: 700.0})
    assert set(suspects(view)) == {2, 3}
    crit = Alert("odd", Severity.CRIT, 1, "a", "what", 0.0, "")
    whole = replace(crit, rank=NO_RANK)
    info = replace(crit, severity=Severity.INFO, rank=0)
    named = replace(view, summary=replace(view.summary, alerts=(info, whole, crit)))
    assert suspects(named)[0] == 1
    assert set(suspects(named)) == {1, 2, 3}
    assert len(suspects(named, 2)) == 2
    unknown = replace(view, summary=replace(view.summary, alerts=(replace(crit, rank=99),)))
    assert set(suspects(unknown)) == {2, 3}


def test_where_all_is_well_the_lowest_rank_is_looked_at() -> None:
    assert suspects(picture({3: "a", 1: "b"})) == (1,)


def test_an_alert_about_a_node_or_the_whole_job_is_told(tmp_path: Path) -> None:
    view = picture({0: "a"})
    alerts = (
        Alert("disk full", Severity.CRIT, NO_RANK, "a", "no bytes left", 3.0, "free some"),
        Alert("slow", Severity.WARN, NO_RANK, "", "all of it", 3.0, "wait"),
    )
    text = looked(replace(view, summary=replace(view.summary, alerts=alerts)), tmp_path).report.read_text()
    assert "- crit: **disk full**, the job on a: no bytes left" in text
    assert "- warn: **slow**, the job: all of it" in text
    assert "- the job on a: free some" in text


def test_each_node_is_asked_of_its_own_ranks_and_of_those_of_no_known_node(tmp_path: Path) -> None:
    view = picture({0: "a", 1: "b", 2: "shared-host"}, {1: 600.0})
    a, b, c = (FakeNode(name, {"ranks": {}}) for name in "abc")
    looked(view, tmp_path, a, b, c)
    assert [(ask["ranks"], ask["suspects"]) for ask in (a.asked[0], b.asked[0])] == [([0, 2], []), ([1, 2], [1])]
    assert c.asked[0]["ranks"] == [2]
    assert (a.asked[0]["root"], a.asked[0]["job"]) == ("~/jobs", "job")
    assert a.closed
    assert b.closed


def test_what_nodes_send_is_text_in_the_report_and_in_files(tmp_path: Path) -> None:
    beat = json.dumps({"phase": HOSTILE, "state": HOSTILE, "pid": 7, "step_age": 1})
    error = json.dumps({"message": {"message": HOSTILE, "extraInfo": {"py_callstack": HOSTILE}}})
    trace = f'Thread 1 (idle): "MainThread"\n    {HOSTILE.splitlines()[0]} (/x/`a`.py:3)\n'
    told = {"how": HOSTILE, "text": trace + HOSTILE, "tried": [HOSTILE]}
    answer = {
        "ranks": {"0": rank(heartbeat=beat, error=error, log=HOSTILE, stacks=told, process=HOSTILE), "../5": rank()},
        "job": HOSTILE, "gpu": HOSTILE, "kernel": HOSTILE, "processes": HOSTILE,
    }  # fmt: skip
    bundle = looked(picture({0: "a"}, {0: 600.0}), tmp_path, FakeNode("a", answer))
    found = files(bundle)
    assert {name.partition("/")[0] for name in found} == {"report.md", "state.json", "rank_0", "nodes"}
    for name, text in found.items():
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), name
    outside, fence = [], ""
    for line in found["report.md"].splitlines():
        if not fence and (opened := re.fullmatch("(`{3,})text", line)):
            fence = opened[1]
        elif fence:
            fence = "" if line == fence else fence
        else:
            outside.append(line)
    assert fence == ""
    assert not [line for line in outside if line.startswith("# ") and "Job" not in line]
    without_code = [re.sub("`[^`]*`", "", line) for line in outside]
    assert not [line for line in without_code if re.search(r"(?<!\\)<script|(?<!\\)\[link", line)]


@pytest.mark.parametrize("sent", [b"", b"nonsense", b"no python\n", b"x\x9c" + b"\0" * 50])
def test_a_node_that_answers_nonsense_is_told_and_the_others_are_asked(sent: bytes, tmp_path: Path) -> None:
    bad, good = FakeNode("a", sent), FakeNode("b", {"ranks": {"1": rank(log="all well")}})
    bundle = looked(picture({0: "a", 1: "b"}), tmp_path, bad, good)
    assert list(bundle.failed) == ["a"]
    assert bundle.asked == 2
    assert "- a: " in bundle.report.read_text()
    assert files(bundle)["rank_1/log.txt"] == "all well\n"


def test_of_a_node_that_is_away_the_copies_are_told(tmp_path: Path) -> None:
    copy = tmp_path / "job"
    for name, text in (
        ("logs/a/rank_0.log", "line\n" * 500 + "the last line\n"),
        ("heartbeat/a/heartbeat.rank-0.json", '{"phase": "eval", "pid": 3}'),
    ):
        (copy / name).parent.mkdir(parents=True)
        (copy / name).write_text(text)
    away = FakeNode("a", NodeSilent("a: no answer within 5 s"))
    bundle = looked(picture({0: "a"}, {0: 600.0}), tmp_path, away)
    found = files(bundle)
    assert found["rank_0/log.txt"].splitlines()[-1] == "the last line"
    assert len(found["rank_0/log.txt"].splitlines()) == evidence.LOG_LINES
    text = found["report.md"]
    assert "- a: no answer within 5 s" in text.replace("a: a:", "a:")
    assert "The end of its log as it was copied last" in text
    assert "its heartbeat (copied): pid 3" in text
    assert bundle.failed == {"a": "a: no answer within 5 s"}


def test_nobody_waits_for_a_node_that_never_answers() -> None:
    stuck = threading.Event()

    class Stuck(FakeNode):
        def run(self, *_: object, **__: object) -> Ran:
            stuck.wait(60)
            return Ran(0, b"", b"")

    made = [
        evidence.Inquiry(Stuck("a", {}), "/", "job", (0,), ()),
        evidence.Inquiry(FakeNode("b", {"ranks": {}}), "/", "job", (1,), ()),
    ]
    a, b = evidence.gather(made, 0.5)
    stuck.set()
    assert (a.asked, a.problem) == (False, "not within 0 s")
    assert b.asked


def test_who_was_killed_by_the_kernel_is_named_and_nobody_elses_death(tmp_path: Path) -> None:
    beat = json.dumps({"pid": 4242, "pid_start": 100_000})  # a thousand seconds after the boot
    kernel = (
        "[  900.5] Out of memory: Killed process 4242 (python) total-vm:1kB\n"
        "[ 1500.5] Out of memory: Killed process 4243 (python) total-vm:1kB\n"
    )
    answer = {"ranks": {"0": rank(heartbeat=beat)}, "kernel": kernel}
    assert "as memory ran out" not in looked(picture({0: "a"}), tmp_path, FakeNode("a", answer)).report.read_text()
    answer["kernel"] = kernel + "[ 1600.0] Memory cgroup out of memory: Killed process 4242 (python)\n"
    text = looked(picture({0: "a"}), tmp_path, FakeNode("a", answer)).report.read_text()
    assert "- the kernel killed, as memory ran out, rank 0: Memory cgroup out of memory: Killed process 4242" in text


def test_a_job_of_which_no_rank_is_known_has_a_report(tmp_path: Path) -> None:
    text = looked(picture({}), tmp_path).report.read_text()
    assert text.startswith("# Job job\n")


def test_a_directory_is_whole_or_not_there_at_all(tmp_path: Path) -> None:
    with pytest.raises(UgroError, match="cannot be written"):
        write(tmp_path / "job", {"report.md": "text", "report.md/impossible": ""}, WHEN)
    assert list((tmp_path / "job" / "diagnosis").iterdir()) == []


def test_the_newest_are_kept_and_no_other_folder_is_touched(tmp_path: Path) -> None:
    job = tmp_path / "job"
    mine = job / "diagnosis" / "my notes"
    mine.mkdir(parents=True)
    made = [write(job, {"report.md": str(number)}, WHEN + number // 2) for number in range(KEPT + 3)]
    assert len({path.name for path in made}) == KEPT + 3  # two in each second
    assert [path.exists() for path in made] == [False] * 3 + [True] * KEPT
    assert mine.exists()


def test_several_at_the_same_moment_are_all_whole(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: write(tmp_path / "job", {"a/b": str(number)}, WHEN), range(8)))
    assert [(path / "a" / "b").read_text() for path in made] == [str(number) for number in range(8)]
    assert len(list((tmp_path / "job" / "diagnosis").iterdir())) == 8


def test_a_job_that_is_over_does_not_look_alive_because_of_it(tmp_path: Path) -> None:
    job = tmp_path / "job"
    job.mkdir()
    os.utime(job, (WHEN, WHEN))
    for _ in range(2):
        write(job, {"report.md": ""}, WHEN)
        assert job.stat().st_mtime == WHEN


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    job, elsewhere = tmp_path / "job", tmp_path / "elsewhere"
    job.mkdir()
    elsewhere.mkdir()
    (job / "diagnosis").symlink_to(elsewhere)
    with pytest.raises(UgroError, match="something else lies there"):
        write(job, {"report.md": ""}, WHEN)
    assert list(elsewhere.iterdir()) == []


def test_what_was_left_half_done_goes_when_it_is_old(tmp_path: Path) -> None:
    folder = tmp_path / "job" / "diagnosis"
    old, new = folder / ".old.1.tmp", folder / ".new.1.tmp"
    for path in (old, new):
        path.mkdir(parents=True)
    os.utime(old, (WHEN - 100_000, WHEN - 100_000))
    os.utime(new, (WHEN, WHEN))
    write(tmp_path / "job", {}, WHEN)
    assert (old.exists(), new.exists()) == (False, True)


def test_unknown_numbers_are_said_to_be_unknown(tmp_path: Path) -> None:
    view = picture({0: "a"})
    nothing = replace(view.summary, step=math.nan, total_steps=None)
    text = looked(replace(view, summary=nothing), tmp_path, FakeNode("a", {"ranks": {}})).report.read_text()
    assert "at step –, attempt 1" in text
    assert "nan" not in text
