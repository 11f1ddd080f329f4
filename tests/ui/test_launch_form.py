"""The form of a launch by keyboard and mouse: nodes are checked, a launch is left, one is made again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from tests.ui.launch_scenes import NODES, broken, plan, three
from tests.ui.scenes import COMPLETED, Run, ended, job, snapshot
from tests.ui.test_errands import Desk, at
from tests.ui.test_launching import acts, asked, fill, typed
from ugro_tui.core.commands import Answer, Health, Launch, PlanLaunch, RecallLaunch, Stop
from ugro_tui.core.launch_form import FIELDS
from ugro_tui.core.launching import LaunchPlan, LaunchRequest, LaunchView, NodeProgress, Stage
from ugro_tui.core.snapshot import NodeView, Snapshot
from ugro_tui.core.states import JobStatus
from ugro_tui.ui.launch_text import plan_text, progress_text, title_text


def nodes_of(desk: Desk) -> tuple[str, ...]:
    """The nodes that the newest plan was asked for."""
    found = [command for command in acts(desk) if isinstance(command, PlanLaunch)]
    return found[-1].request.nodes


async def test_nodes_are_checked_by_keys_beside_the_plan() -> None:
    async with at(three()) as desk:
        await desk.pilot.press("L")
        await fill(desk, name="gpt")
        await desk.pilot.press(*["down"] * 4)
        assert Health() in desk.feed.asked
        assert "[x] gpu1       ● ok             1 of 4 free     3.0G" in desk.text
        await desk.pilot.press("down", "space")
        assert "2 of 3 chosen" in desk.text
        assert "[ ] gpu1" in desk.text
        assert typed(desk, "nodes") == "gpu-master,gpu2,"
        await desk.pass_time(5.0)
        assert nodes_of(desk) == ("gpu-master", "gpu2")
        await desk.pilot.press("ctrl+a")
        assert "all 3 chosen" in desk.text
        await desk.pilot.press("ctrl+a")
        assert "no node is chosen: check one" in desk.text
        await desk.type("MAS")
        assert "0 of 3 chosen  1 like MAS" in desk.text
        assert "no node" not in desk.text, "a name that is being typed is not wrong yet"
        await desk.pilot.press("space", "down", "down", "down")
        assert typed(desk, "nodes") == "gpu-master,"
        assert desk.app.focused is desk.app.front.query_one("#nproc")
        await desk.pilot.press("up")
        assert desk.app.focused is desk.app.front.query_one("#nodes")


async def test_nodes_are_checked_by_clicks_and_words_chosen() -> None:
    async with at(three()) as desk:
        await desk.pilot.press("L")
        await fill(desk, name="gpt")
        await desk.pilot.click("#node-table", offset=(2, 2))
        assert typed(desk, "nodes") == "gpu-master,gpu2,"
        assert desk.app.focused is desk.app.front.query_one("#name")
        await desk.pilot.click("#backend", offset=(18, 0))
        assert "partition" in desk.text
        await desk.pilot.click("#backend", offset=(2, 0))
        assert "partition" not in desk.text


async def test_hundreds_of_nodes_are_narrowed_by_typing() -> None:
    nodes = tuple(NodeView(f"gpu{number}", 1.0) for number in range(1, 301))
    async with at(replace(three(), nodes=nodes), (80, 24)) as desk:
        await desk.pilot.press("L")
        await fill(desk, name="gpt")
        await desk.pilot.press(*["down"] * 4)
        await desk.type("27")
        assert "13 like 27" in desk.text
        assert "gpu28" not in desk.text
        await desk.pilot.press("ctrl+a")
        await desk.pass_time(5.0)
        assert len(nodes_of(desk)) == 13
        await desk.type("gpu1,x9")
        assert "no node x9 is watched: take of gpu1, gpu2, gpu3, gpu4, gpu5, gpu6 and 294 more" in _words(desk.text)


def _words(text: str) -> str:
    return " ".join(text.split())


async def test_a_launch_that_is_left_goes_on_and_one_that_failed_is_tried_again() -> None:
    request = LaunchRequest("gpt", nodes=NODES)
    async with at(three()) as desk:
        await desk.pilot.press("L")
        await fill(desk, name="gpt")
        await desk.pilot.press("ctrl+s")
        await desk.news(launch=LaunchView("gpt", Stage.STARTING, (NodeProgress("gpu1", Stage.STARTING),)))
        assert "✔ copy   ◐ start   ○ wait for the ranks" in desk.text
        assert "^s launch" not in desk.text, "no key is offered that does nothing now"
        await desk.pilot.press("ctrl+k")
        assert "hosts           not known" in desk.text, "it is the job that is launched, not the one in hand"
        await desk.pilot.press("escape", "escape")
        assert desk.app.front.NAME == "job"
        assert "gpt goes on starting: L shows how far it is" in desk.text
        await desk.pilot.press("L")
        assert "◐ gpu1" in desk.text
        await desk.news(launch=broken(request), answers=(Answer(asked(desk, Launch), "no torch"),))
        await desk.pilot.press("ctrl+s")
        assert acts(desk).count(Launch(request)) == 2
        assert "gpt  asked for …" in desk.text


def finished() -> Snapshot:
    over = job(Run("gpt2-xl", steps=500, ends=ended(4, **COMPLETED)))
    return replace(three(), jobs=snapshot(over).jobs)


async def test_a_job_that_is_over_is_launched_again_with_its_plan() -> None:
    before = LaunchRequest("gpt2-xl", "train it.py", ("--steps", "5"), nodes=NODES[:2], nproc=2)
    async with at(finished()) as desk:
        desk.app.desk.keep("launch", {"name": "another", "args": "--of the-last"})
        await desk.pilot.press("R")
        assert acts(desk) == [RecallLaunch("gpt2-xl")]
        assert "asking how gpt2-xl was launched …" in desk.text
        assert "the-last" not in desk.text, "what was launched last is not what is asked for"
        own = (*before.args, "--job-id", "gpt2-xl", "--metrics-dir=/jobs")
        recalled = LaunchView("gpt2-xl", Stage.WAITING, recalled=replace(before, args=own, resume=True))
        await desk.news(launch=recalled, answers=(Answer(asked(desk, RecallLaunch)),))
        assert (typed(desk, "args"), typed(desk, "nodes")) == ("--steps 5", "gpu-master,gpu1")
        assert "[next]" in desk.text
        await desk.pilot.press("up", "up", "r", "ctrl+s")
        again = replace(before, resume=True, from_checkpoint=True)
        assert acts(desk)[-1] == Launch(again)
        await desk.news(launch=broken(again), answers=(Answer(asked(desk, Launch), "no torch"),))
        await desk.pilot.press("escape")
        assert typed(desk, "name") == "gpt2-xl", "all is as it was"
        kept: dict[str, object] = desk.app.desk.kept("launch", {})
        assert "resume" not in kept


async def test_long_arguments_begin_where_they_are_read_and_end_where_they_are_typed() -> None:
    async with at(three()) as desk:
        desk.app.desk.keep("launch", {"args": "--first-option " + "--more " * 30 + "--last-option"})
        await desk.pilot.press("L")
        await desk.pilot.pause()
        assert "--first-option" in desk.text
        await desk.pilot.press("tab", "tab")
        assert "--first-option" not in desk.text
        await desk.type("s 7")
        await desk.pilot.press("shift+tab")
        assert "--first-option" in desk.text
        assert typed(desk, "args").endswith("--last-options 7")


async def test_a_job_that_runs_or_was_not_launched_by_us_is_not_launched_again() -> None:
    async with at(three()) as desk:
        await desk.pilot.press("R")
        assert "gpt2-xl is running: stop it first (ctrl+k), then R launches it again" in desk.text
        await desk.news(jobs=finished().jobs)
        await desk.pilot.press("R")
        await desk.news(answers=(Answer(asked(desk, RecallLaunch), "its plan is not known"),))
        assert "✖ relaunch: its plan is not known" in desk.text
        await desk.pilot.press("escape")
        assert "ctrl+s launches" in desk.text
        await desk.pilot.press("escape")
    async with at(replace(finished(), read_only=True)) as desk:
        await desk.pilot.press("R")
        assert "read-only: nothing is started or stopped from here" in desk.text
        assert desk.feed.asked == []


async def test_a_job_that_waits_for_slurm_is_cancelled_by_the_key_that_stops() -> None:
    shown = three()
    waits = replace(shown.jobs[0], summary=replace(shown.jobs[0].summary, status=JobStatus.PENDING))
    async with at(replace(shown, jobs=(waits,)), (80, 24)) as desk:
        await desk.pilot.press("ctrl+k")
        assert "Cancel this job?" in desk.text
        assert "none: it waits and is cancelled" in desk.text
        await desk.pilot.press("y")
        assert acts(desk) == [Stop("gpt2-xl")]


async def test_a_name_that_is_free_is_offered() -> None:
    async with at(three()) as desk:
        await desk.pilot.press("L")
        await fill(desk, name="gpt2-xl")
        assert "job gpt2-xl exists already" in desk.text
        assert "[first]" in desk.text
        await desk.pilot.press("escape", "L")
        assert typed(desk, "name") == "gpt2-xl-2"
        assert isinstance(desk.app.focused, Input)


def test_a_plan_shows_how_nodes_differ() -> None:
    made = plan(LaunchRequest("gpt", nodes=NODES))
    first, second, third = made.nodes
    command = (*second.command[:5], "--node-rank", "1", *second.command[6:])
    other = replace(third, command=("python3", "-c", "pass"), workdir="/data", environment={"A": "b c"})
    text = plan_text(replace(made, nodes=(first, replace(second, command=command[:6]), other))).plain
    assert "gpu1        ranks 2-3  the same, but /opt/venv/bin/python -m" in text
    assert "gpu2        ranks 4-5  the same, but python3 -c pass  in /data  A='b c'" in text
    spaced = [(*node.command, "--node-rank", str(node.node_rank), "two words") for node in made.nodes]
    nodes = tuple(replace(node, command=words) for node, words in zip(made.nodes, spaced, strict=True))
    assert "the same, but --node-rank=1  --node-rank 1" in plan_text(replace(made, nodes=nodes)).plain


def test_a_plan_says_what_stands_in_its_way() -> None:
    made = replace(plan(LaunchRequest("gpt", nodes=NODES)), problems=("gpu1: no torch",), warnings=("no checkpoint",))
    assert "✖ gpu1: no torch\n⚠ no checkpoint\n" in plan_text(made).plain
    failed = LaunchView("gpt", Stage.FAILED, (NodeProgress("gpu1", Stage.FAILED, problem="no torch"),), made)
    assert progress_text("gpt", failed, 3.0, 60).plain.count("no torch") == 1


def test_what_failed_is_told_once_and_nodes_that_were_spared_are_not_shown_as_starting() -> None:
    request = LaunchRequest("gpt", nodes=NODES)
    nodes = (
        NodeProgress("gpu-master", Stage.VERIFYING, "waits"),
        NodeProgress("gpu1", Stage.PREFLIGHT, "looks"),
        NodeProgress("gpu2", Stage.FAILED, problem="no torch " * 12),
    )
    problem = f"gpu2: {nodes[2].problem}\nit is over"
    view = LaunchView("gpt", Stage.FAILED, nodes, LaunchPlan(request, 1, 6, ""), problem)
    text = progress_text("gpt", view, 3.0, 60).plain
    assert "■ gpu-master  ended" in text
    assert "■ gpu1        untouched" in text
    assert _words(text).count("no torch") == 12
    assert "✖ it is over" in text
    assert text.index("✖ gpu2") < text.index("gpu-master")
    assert "\n    torch no" in text or "\n    no torch" in text, "lines begin below each other"


async def test_secrets_without_a_file_are_asked_for_hidden_and_are_in_the_command_alone() -> None:
    request = LaunchRequest("gpt", nodes=NODES, secrets={"KEY": "", "OTHER": "", "FILE": "~/.f"})
    async with at(three()) as desk:
        await desk.pilot.press("L")
        await fill(desk, name="gpt2-xl", secrets="KEY OTHER FILE=~/.f")
        await desk.pilot.press("down", "n", "ctrl+s")
        assert "Secret KEY of job gpt2-xl" in desk.text
        await desk.pilot.press("escape")
        assert "[next]" in desk.text
        assert typed(desk, "name") == "gpt2-xl", "it was not left"
        await desk.pilot.press("f")
        await fill(desk, name="gpt")
        await desk.pilot.press("ctrl+s")
        assert "Secret KEY of job gpt" in desk.text
        await desk.news()
        await desk.pilot.press("escape")
        assert "nothing was launched: a secret was not typed" in desk.text
        assert [one for one in acts(desk) if isinstance(one, Launch)] == []
        await desk.pilot.press("ctrl+s")
        await desk.type("hunter2")
        assert "•••••••" in desk.text
        assert "hunter2" not in desk.text + desk.app.export_screenshot()
        await desk.pilot.press("enter")
        assert "Secret OTHER of job gpt" in desk.text
        await desk.type("hunter3")
        await desk.pilot.press("enter")
        assert acts(desk)[-1] == Launch(request, {"KEY": "hunter2", "OTHER": "hunter3"})
        assert "asked for …" in desk.text
        desk.app.desk.save()
        assert "hunter" not in repr(desk.feed.asked) + str(desk.app.desk.kept("launch", {}))
        await desk.news(launch=broken(request), answers=(Answer(asked(desk, Launch), "no torch"),))
        await desk.pilot.press("ctrl+s")
        assert "Secret KEY of job gpt" in desk.text, "it is not remembered"


@pytest.mark.parametrize("over", [None, True, False])
def test_the_title_names_every_key_however_narrow(over: bool | None) -> None:
    keys = ["ctrl+s", "ctrl+o", "pgdn", "esc"] if over is None else ["esc", "ctrl"]
    for width in (120, 80, 60, 45):
        text = title_text(over, width, more=True).plain
        assert cell_len(text) <= width
        assert all(key in text for key in keys)


def test_hints_have_room_in_the_form_of_80_and_of_120_columns() -> None:
    assert all(cell_len(hint) <= 33 for field in FIELDS for hint in (field.hint, field.here))
