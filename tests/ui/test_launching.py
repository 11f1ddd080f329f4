"""The form of a launch, how far it is, the question before a stop, and what was run on nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.ui.launch_scenes import NODES, broken, commands, plan, planned, stoppable, three
from tests.ui.scenes import BEGUN, COMPLETED, NOW, WALL, FakeFeed, Run, app_of, ended, job, records, snapshot
from tests.ui.test_errands import Desk, at
from ugro_tui.core.commands import Answer, Launch, OpenJob, PlanLaunch, RecallLaunch, Stop
from ugro_tui.core.decode import decode
from ugro_tui.core.job import JobState
from ugro_tui.core.launching import Backend, Executed, LaunchRequest, LaunchView, NodeProgress, SlurmOptions, Stage
from ugro_tui.core.records import Manifest
from ugro_tui.core.snapshot import Snapshot, curve_of, view
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.help import Group, help_text
from ugro_tui.ui.keys import offered
from ugro_tui.ui.launch_text import brief, plan_text
from ugro_tui.ui.stop import StopScreen, stop_text

REQUEST = LaunchRequest("gpt-small", nodes=NODES)


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TZ", "UTC")


def acts(desk: Desk) -> list[object]:
    return [command for command in desk.feed.asked if isinstance(command, PlanLaunch | RecallLaunch | Launch | Stop)]


def asked(desk: Desk, kind: type) -> int:
    """The number of the last command of that kind."""
    return max(place for place, command in enumerate(desk.feed.asked, 1) if isinstance(command, kind))


async def fill(desk: Desk, **values: str) -> None:
    for name, text in values.items():
        desk.app.front.query_one(f"#{name}", Input).value = text
    await desk.pilot.pause()


def typed(desk: Desk, name: str) -> str:
    return desk.app.front.query_one(f"#{name}", Input).value


async def test_a_form_is_planned_launched_and_leads_to_the_job() -> None:
    async with at(three()) as desk:
        await desk.pilot.press("L")
        await desk.pass_time(5.0)
        assert acts(desk) == [], "nothing is planned without a name"
        assert "needs a name" not in desk.text
        await desk.type("g")
        await fill(desk, name="gpt-small")
        await desk.pilot.press("enter", "enter")
        await desk.type("'")
        assert "no closing quotation: close the" in desk.text
        await fill(desk, args="--note 'a b'")
        assert "no closing quotation" not in desk.text
        request = replace(REQUEST, args=("--note", "a b"))
        await desk.look()
        assert acts(desk) == []
        await desk.pass_time(6.0)
        await desk.pass_time(7.0)
        assert acts(desk) == [PlanLaunch(request)]
        assert "planning …" in desk.text
        await desk.news(launch=planned(request), answers=(Answer(asked(desk, PlanLaunch)),))
        assert "attempt 1  6 ranks on 3 nodes  ssh" in desk.text
        assert "--note 'a b'" in desk.text
        assert "HF_TOKEN=***" in desk.text
        await desk.pilot.press("ctrl+s")
        assert acts(desk)[-1] == Launch(request)
        assert "gpt-small  asked for …" in desk.text
        await desk.pilot.press("enter", "ctrl+s", "enter")
        assert acts(desk).count(Launch(request)) == 1, "twice is once"
        going = tuple(NodeProgress(node, Stage.STARTING, "torchrun is started") for node in NODES)
        await desk.news(launch=LaunchView("gpt-small", Stage.STARTING, going))
        assert "◐ gpu1        starting  torchrun is started" in desk.text
        assert "starting gpt-small 0/3 nodes" in desk.text
        await desk.news(launch=LaunchView("gpt-small", Stage.RUNNING), answers=(Answer(asked(desk, Launch)),))
        assert desk.app.front.NAME == "job"
        assert desk.app.desk.job == "gpt-small"
        assert "gpt-small runs" in desk.text
        assert desk.feed.asked[-1] == OpenJob("gpt-small")
        await desk.pilot.press("L")
        assert typed(desk, "args") == "--note 'a b'"
        await desk.type("x")
        assert "x" in typed(desk, "name"), "typing goes into the first field again"


async def test_a_launch_that_failed_says_where_and_leads_back_to_the_form() -> None:
    async with at(three()) as desk:
        await desk.pilot.press("L", "ctrl+s")
        assert "needs a name" in desk.text
        await fill(desk, name="gpt-small")
        await desk.pilot.press("ctrl+s")
        assert acts(desk) == [Launch(REQUEST)]
        blank = JobState("gpt-small")
        blank.apply_manifest(Manifest("ssh", "failed", 1, 6, (), 1, None, None))
        await desk.news(launch=broken(REQUEST), jobs=(*three().jobs, *snapshot(blank).jobs))
        assert "✖ gpu2        failed" in desk.text
        assert "cannot import torch" in desk.text
        await desk.news(answers=(Answer(asked(desk, Launch), "gpu2 cannot run it"),))
        assert "✖ launch" not in desk.text, "it is said where it happened, and once"
        await desk.pilot.press("escape")
        assert "ctrl+s launches" in desk.text
        await desk.pilot.press("escape", "L")
        assert typed(desk, "name") == "gpt-small", "nothing came of it: its name is free"
        await desk.pilot.press("ctrl+s")
        assert acts(desk)[-1] == Launch(REQUEST)
        await desk.news(answers=(Answer(asked(desk, Launch), "the port is taken"),))
        assert "✖ launch: the port is taken" in desk.text
        assert "ctrl+s launches" in desk.text, "what was refused before it began leaves the form"
        await fill(desk, env="HF_TOKEN=S3cr3t", args="--steps 5")
        await desk.pilot.press("escape", "escape")
        assert desk.app.front.NAME == "job"
        kept: dict[str, object] = desk.app.desk.kept("launch", {})
        assert kept["args"] == "--steps 5"
        assert "S3cr3t" not in str(kept), "a secret is not written down"
        await desk.pilot.press("L")
        assert typed(desk, "env") == "HF_TOKEN=S3cr3t", "but it stays as long as the application lives"


async def test_a_launch_of_a_form_with_errors_says_how_many_and_goes_to_the_first() -> None:
    async with at(three(), (80, 24)) as desk:
        await desk.pilot.press("L")
        await fill(desk, name="gpt small", nproc="many", restarts="-1")
        desk.app.front.set_focus(desk.app.front.query_one("#script", Input))
        await desk.pilot.press("ctrl+s")
        assert acts(desk) == []
        assert "not launched: 3 fields are wrong: name, ranks a node, max restarts" in desk.text
        focused = desk.app.focused
        assert focused is not None
        assert focused.id == "name"
        await fill(desk, name="gpt-small")
        assert "not launched" not in desk.text
        await desk.pilot.press("ctrl+s")
        assert "not launched: 2 fields are wrong: ranks a node, max restarts" in desk.text


async def test_more_fields_and_those_of_slurm() -> None:
    async with at(three(), (80, 24)) as desk:
        await desk.pilot.press("L")
        await fill(desk, name="gpt")
        assert "rendezvous" not in desk.text
        await desk.pilot.press("ctrl+o", *["down"] * 5, "up")
        assert "rendezvous" in desk.text
        await desk.pilot.press("ctrl+o", "right", "right")
        assert "[slurm]" in desk.text
        assert "partition" in desk.text
        assert "rendezvous" not in desk.text
        await desk.pilot.press("left", "space", "q", "s", "s", *["down"] * 2)
        await desk.type("9x")
        assert "9x is no number from 1 to 1,024" in desk.text
        await desk.pilot.press("backspace")
        await desk.pass_time(5.0)
        slurm = LaunchRequest("gpt", backend=Backend.SLURM, slurm=SlurmOptions(nodes=9))
        assert acts(desk) == [PlanLaunch(slurm)]
        script = LaunchView(
            "gpt", Stage.WAITING, plan=replace(plan(slurm), script="#!/bin/sh\nexport HF_TOKEN=x1\nsrun")
        )
        await desk.news(launch=script)
        assert "what sbatch is given" in desk.text
        assert "export HF_TOKEN=***" in desk.text
        await desk.pilot.resize_terminal(50, 12)
        assert "too small for the form: use `ugro-tui launch`" in desk.text


async def test_read_only_offers_neither_and_says_why() -> None:
    async with at(replace(three(), read_only=True)) as desk:
        await desk.pilot.press("L")
        assert desk.app.front.NAME == "job"
        assert "read-only: nothing is started or stopped from here" in desk.text
        await desk.pilot.press("escape", "ctrl+k")
        assert "read-only: nothing is started or stopped from here" in desk.text
        assert acts(desk) == []
        await desk.pilot.press("question_mark")
        assert "Diagnose" in desk.text
        assert "Launch a job" not in desk.text
    told = {read_only: help_text(Group("", offered(read_only=read_only))).plain for read_only in (False, True)}
    assert "Launch a job" in told[False]
    assert "Stop the job in hand" in told[False]
    assert "Launch a job" not in told[True]
    assert "Stop the job in hand" not in told[True]


async def test_a_stop_is_asked_for_once_it_is_confirmed() -> None:
    async with at(stoppable(), (80, 24)) as desk:
        await desk.pilot.press("ctrl+k", "escape", "ctrl+k", "n", "ctrl+k", "right", "enter")
        assert acts(desk) == []
        await desk.pilot.press("ctrl+k")
        assert isinstance(desk.app.screen, StopScreen)
        assert "pids 4711 4712 4713 4714" in desk.text
        assert "3m 5s ago" in desk.text
        await desk.news(jobs=snapshot(job(Run("gpt2-xl", steps=123))).jobs)
        assert "running  step 123/500" in str(desk.app.screen.query_one("#what", Static).content), (
            "as the header has it"
        )
        await desk.pilot.press("enter")
        assert acts(desk) == [Stop("gpt2-xl")]
        assert "stopping gpt2-xl …" in desk.text
        progress = tuple(NodeProgress(node, stage) for node, stage in (("a", Stage.DONE), ("b", Stage.STOPPING)))
        await desk.news(launch=LaunchView("gpt2-xl", Stage.STOPPING, progress))
        assert "stopping 1/2" in desk.text
        await desk.news(answers=(Answer(len(desk.feed.asked), "gpu1 does not answer"),))
        assert "✖ stop: gpu1 does not answer" in desk.text
        await desk.pilot.press("ctrl+k", "y")
        assert acts(desk) == [Stop("gpt2-xl")] * 2
        over = job(Run("gpt2-xl", steps=500, ends=ended(4, **COMPLETED)))
        await desk.news(jobs=snapshot(over).jobs, launch=None)
        await desk.pilot.press("ctrl+k")
        assert "gpt2-xl is over (finished): there is nothing to stop" in desk.text


def test_what_a_stop_says_of_what_is_not_known() -> None:
    shown = replace(snapshot(job(Run("gpt", hosts=lambda _: "n1"))), launch=None)
    text = stop_text("gpt", shown, 10.0).plain
    assert "n1                 4 ranks  pids not told" in text
    assert "last checkpoint not told" in text
    assert "not known: all watched nodes are searched" in stop_text("other", shown, 10.0).plain
    launched = replace(shown, launch=planned(replace(REQUEST, backend=Backend.SLURM)))
    assert "scancel" in stop_text("gpt-small", launched, 10.0).plain
    assert "gpu1               2 ranks" in stop_text("gpt-small", launched, 10.0).plain


def test_the_age_of_a_checkpoint_is_told_by_its_phase_marks() -> None:
    lines = list(records(Run(ranks=1), 0))
    marks: list[dict[str, Any]] = [
        {"v": 1, "rank": 0, "kind": "phase", "seq": 0, "ts": ts, "name": "checkpoint", "state": state}
        for ts, state in ((BEGUN + 25.0, "begin"), (BEGUN + 27.0, "end"))
    ]
    told = [line | {"seq": seq} for seq, line in enumerate([*lines[:100], *marks, *lines[100:]])]
    state = JobState("gpt2-small")
    state.apply(0, decode(b"".join(map(_line, told))), NOW - 0.5, "local")
    assert view(state, NOW, curve_of(state)).saved_age == pytest.approx(75.0 - 27.0 + 0.5)
    assert "48s ago" in stop_text("gpt2-small", snapshot(state), 10.0).plain


def _line(record: dict[str, Any]) -> bytes:
    return orjson.dumps(record) + b"\n"


def test_a_plan_tells_no_secret() -> None:
    request = replace(REQUEST, args=("--hub-token", "S3cr3t"), secrets={"MY_KEYS": "~/.keys"})
    text = plan_text(plan(request)).plain
    assert "S3cr3t" not in text
    assert "MY_KEYS=***" in text
    assert "UGRO_JOB_ID=gpt-small" in text
    assert brief(planned(request), short=True) == "waiting 0/3"


async def test_what_was_run_on_nodes_is_listed_filtered_and_copied() -> None:
    async with at(commands()) as desk:
        await desk.pilot.press("at")
        assert "Commands  5 on 3 nodes  1 failed" in desk.text
        assert "✖ failed" in desk.text
        assert "torchrun [bold]train.py[/]" in desk.text
        await desk.news(executed=(*desk.feed.current.executed, Executed(WALL, "gpu1", "nvidia-smi", 0, 0.1)))
        await desk.pilot.press("Y")
        assert desk.app.clipboard == "nvidia-smi", "the cursor stays on the newest"
        await desk.pilot.press("k", "Y")
        assert desk.app.clipboard == "env 'HF_TOKEN=***' torchrun [bold]train.py[/]"
        await desk.pilot.press("slash")
        await desk.type("state:failed")
        await desk.pilot.press("enter", "Y")
        assert desk.app.clipboard == "python -c 'import torch'"
        assert "gpu2" in desk.text
        assert "failed, code 1, took 2.4s" in desk.text
        await desk.pilot.press("escape", "escape")  # what was copied, the filter
        helper, why = "exec helper", "the connection was lost"
        await desk.news(executed=[Executed(WALL, "gpu1", helper, -1, 9.0, why), Executed(WALL, "local", "sbatch", 0)])
        assert "Commands  2 on 1 node and this machine" in desk.text
        await desk.pilot.press("g")
        assert "⌁ lost" in desk.text
        assert "the connection was lost, took 9.0s" in desk.text
        look = Executed(WALL, "gpu1", "look job", 0, 0.1, looks=1_200)
        await desk.news(executed=[look, replace(look, at=WALL + 1, node="gpu2", looks=1)])
        assert "look job (the last of 1,200 looks)" in desk.text
        await desk.news(executed=())
        assert "Commands  none" in desk.text
        assert "nothing was run on any node yet" in desk.text


def _app(shown: Snapshot, seconds: list[float]) -> UgroApp:
    return app_of(FakeFeed(shown), seconds=seconds)


async def _fill(pilot: Pilot[Any], launch: Callable[[LaunchRequest], LaunchView], seconds: list[float]) -> None:
    app = pilot.app
    assert isinstance(app, UgroApp)
    await pilot.press("L")
    app.front.query_one("#name", Input).value = "gpt-small"
    app.front.query_one("#args", Input).value = "--steps 5000 --note 'two words'"
    await pilot.pause()
    seconds.append(5.0)
    app.front.tick()
    feed = app.desk.feed
    assert isinstance(feed, FakeFeed)
    request = replace(REQUEST, args=("--steps", "5000", "--note", "two words"))
    if launch is broken:
        await pilot.press("ctrl+s")
    feed.current = replace(feed.current, version=2, launch=launch(request))
    app.look()
    app.front.query_one("#name", Input).cursor_blink = False
    await pilot.pause()


@pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["120x40", "80x24"])
@pytest.mark.parametrize("launch", [planned, broken])
def test_picture_of_a_launch(
    launch: Callable[[LaunchRequest], LaunchView], size: tuple[int, int], snap_compare: Callable[..., bool]
) -> None:
    seconds = [0.0]
    app = _app(three(), seconds)
    assert snap_compare(app, run_before=lambda pilot: _fill(pilot, launch, seconds), terminal_size=size)


async def _check(pilot: Pilot[Any]) -> None:
    app = pilot.app
    assert isinstance(app, UgroApp)
    await pilot.press("L")
    app.front.query_one("#nodes", Input).cursor_blink = False
    await pilot.press(*["down"] * 5, "space", "backspace")


def test_picture_of_nodes_that_are_checked(snap_compare: Callable[..., bool]) -> None:
    assert snap_compare(_app(three(), [0.0]), run_before=_check, terminal_size=(80, 24))


def test_picture_of_a_stop(snap_compare: Callable[..., bool]) -> None:
    assert snap_compare(_app(stoppable(), [0.0]), press=["ctrl+k"], terminal_size=(80, 24))
