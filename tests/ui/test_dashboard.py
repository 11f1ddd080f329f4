"""Every key of the dashboard, and what a user reads on it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import orjson
import pytest
from textual.pilot import Pilot

from tests.ui.alert_scenes import straggling
from tests.ui.log_scenes import page
from tests.ui.node_scenes import ALL_SCENES
from tests.ui.scenes import COMPLETED, NOW, FakeArchive, FakeFeed, Run, app_of, ended, job, snapshot
from ugro_tui.core.archive import Finding, Line, Lines, MetricLines, MetricNames
from ugro_tui.core.chart_view import ChartView
from ugro_tui.core.commands import OpenJob, Refresh
from ugro_tui.core.curve import Axis
from ugro_tui.core.decode import decode
from ugro_tui.core.job import JobState
from ugro_tui.core.log_inquiry import NO_LOGS, LogText
from ugro_tui.core.records import Manifest
from ugro_tui.core.rules.stragglers import LEAST_SECONDS
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.core.watch import JobWatch
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.dashboard import TrainingDashboard
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.help import HelpScreen
from ugro_tui.ui.metric_picker import MetricPicker
from ugro_tui.ui.metric_question import READING
from ugro_tui.ui.rank_table import RankTable

Screen = tuple[UgroApp, FakeFeed, Pilot[str]]


@asynccontextmanager
async def shown(scene: str, size: tuple[int, int] = (120, 40), job_id: str | None = None) -> AsyncIterator[Screen]:
    feed = FakeFeed(ALL_SCENES[scene]())
    app = app_of(feed, job_id or feed.first)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, feed, pilot


def text(app: UgroApp) -> str:
    """All that is on the screen, as plain text."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in lines)


def dashboard(app: UgroApp) -> TrainingDashboard:
    screen = app.screen
    assert isinstance(screen, TrainingDashboard)
    return screen


async def test_header_shows_the_job_in_numbers() -> None:
    async with shown("healthy") as (app, _, _):
        seen = text(app)
        assert "gpt2-small" in seen
        assert "RUNNING" in seen
        assert "step 300/500 60%" in seen
        assert "ETA 00:00:50" in seen  # 200 steps of 0.25 s
        assert "elapsed 00:01:15" in seen  # 75 s of records and 0.4 s since
        assert "16/16 ranks" in seen


async def test_every_rank_has_its_line() -> None:
    async with shown("healthy") as (app, _, _):
        seen = text(app)
        for rank in range(14):
            assert re.search(rf"{rank}\s+node{rank // 8}\s+● running\s+300", seen)


async def test_brackets_flip_between_jobs_and_ask_for_them() -> None:
    async with shown("many_jobs") as (app, feed, pilot):
        order = ["llama-8b-sft", "gpt2-small", "ablation-lr-3e-4", "ablation-lr-1e-3"]
        assert dashboard(app).desk.job == order[0]
        for expected in [*order[1:], order[0]]:
            await pilot.press("right_square_bracket")
            assert dashboard(app).desk.job == expected
        await pilot.press("left_square_bracket")
        assert dashboard(app).desk.job == order[-1]
        assert feed.asked[-1] == OpenJob(order[-1])
        await pilot.press("backspace")
        assert dashboard(app).desk.job == order[0]


async def test_brackets_follow_the_list_of_jobs_as_it_is_sorted_and_filtered() -> None:
    async with shown("many_jobs") as (app, _, _):
        desk = app.desk
        for kept, expected in (
            ({"sort": ["job", False]}, ["ablation-lr-1e-3", "ablation-lr-3e-4", "gpt2-small", "llama-8b-sft"]),
            ({"sort": ["step", True]}, ["ablation-lr-3e-4", "llama-8b-sft", "gpt2-small", "ablation-lr-1e-3"]),
            ({"sort": ["job", True], "filter": "ablation"}, ["gpt2-small", "ablation-lr-3e-4", "ablation-lr-1e-3"]),
        ):
            desk.keep_arranged("jobs", kept)
            desk.take_job("gpt2-small")
            assert desk.shown == expected  # the job in hand before the others where the filter hides it
            place = expected.index("gpt2-small")
            desk.flip(1)
            assert desk.job == expected[(place + 1) % len(expected)]
        assert len(desk.order) == 4  # the palette knows them all


def test_a_job_in_hand_that_is_gone_is_said_to_be_and_another_is_taken() -> None:
    many = ALL_SCENES["many_jobs"]()
    desk = Desk(FakeFeed(many), FakeArchive(), "here")
    desk.take(many)
    assert desk.job == "llama-8b-sft"
    desk.take(replace(many, version=2, jobs=many.jobs[1:]))
    assert (desk.job, desk.message.text) == (
        many.jobs[1].job_id, "llama-8b-sft is gone: it was taken away before it had recorded anything",
    )  # fmt: skip


async def test_the_job_of_the_command_line_is_shown_although_another_is_worse() -> None:
    async with shown("many_jobs", job_id="gpt2-small") as (app, _, _):
        assert dashboard(app).desk.job == "gpt2-small"
        assert "step 300/500" in text(app)


async def test_r_asks_for_news() -> None:
    async with shown("healthy") as (_, feed, pilot):
        await pilot.press("r")
        assert feed.asked == [Refresh()]


async def test_the_keys_of_the_chart_work_from_other_panes_as_long_as_it_is_seen() -> None:
    async with shown("healthy") as (app, _, pilot):
        chart = dashboard(app).chart
        assert not chart.has_focus
        await pilot.press("y", "x", "plus", "full_stop")
        assert (chart.view.log, chart.view.axis, chart.view.level) == (True, Axis.TIME, 1)
        assert chart.view.window is not None
        await pilot.press("escape")
        assert app.front.NAME == "job"
        assert chart.view == ChartView(axis=Axis.TIME, log=True, level=1)
        await pilot.resize_terminal(80, 24)
        await pilot.press("y")
        assert chart.view.log, "it is not seen: nothing changes"
        assert "that is a key of the chart: tab goes there" in text(app)


async def test_news_are_shown_when_the_timer_looks() -> None:
    async with shown("small") as (app, feed, pilot):
        assert "step 180/500" in text(app)
        feed.current = snapshot(job(Run("demo-20260101-120000", ranks=2, steps=181)), version=2)
        app.look()
        await pilot.pause()
        assert "step 181/500" in text(app)


@pytest.mark.parametrize("close", ["question_mark", "escape", "q"])
async def test_help_names_every_key_and_closes(close: str) -> None:
    async with shown("healthy") as (app, _, pilot):
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        seen = text(app)
        for key in (
            "[",
            "]",
            "backspace",
            "tab",
            "ctrl+d",
            "training goes on when you quit",
            "ctrl+z",
            "Next, previous line",
        ):
            assert key in seen
        await pilot.press(close)
        assert isinstance(app.screen, TrainingDashboard)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_quitting_says_that_training_goes_on(key: str) -> None:
    async with shown("healthy") as (app, _, pilot):
        await pilot.press(key)
    assert app.return_value is not None
    assert "training goes on: gpt2-small at step 300" in app.return_value
    assert app.return_value.endswith("come back with: ugro-tui watch gpt2-small")


@pytest.mark.parametrize(("watched", "says"), [("lr2", ""), ("other", "training goes on: other")])
async def test_quitting_speaks_of_the_job_in_hand_alone(watched: str, says: str) -> None:
    over = job(Run("lr2", steps=500, ends=ended(4, **COMPLETED)))
    app = app_of(FakeFeed(snapshot(over, job(Run("other")))), watched)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("q")
    assert (app.return_value or "").partition(" at step")[0] == says


async def test_cursor_keys_move_and_the_view_follows() -> None:
    async with shown("large", (120, 40)) as (app, _, pilot):
        table = app.screen.query_one(RankTable)
        await pilot.press("j", "down", "k")
        assert table.cursor == 1
        await pilot.press("G")
        assert table.cursor == 511
        await pilot.pause()
        assert re.search(r"511\s+node63", text(app))
        await pilot.press("g")
        await pilot.pause()
        assert table.cursor == 0
        assert re.search(r"\b0\s+node0", text(app))
        await pilot.press("ctrl+d")
        half = table.cursor
        assert half > 4
        await pilot.press("ctrl+u", "up")
        assert table.cursor == 0


async def test_a_click_moves_the_cursor() -> None:
    async with shown("healthy") as (app, _, pilot):
        await pilot.click(RankTable, offset=(10, 4))
        assert app.screen.query_one(RankTable).cursor == 3


async def test_small_terminals_show_one_pane_and_tab_cycles_them() -> None:
    async with shown("healthy", (80, 24)) as (app, _, pilot):
        assert "node1" in text(app)
        for key, seen, unseen in (
            ("tab", "┤", "node1"),
            ("tab", "backward", "┤"),
            ("tab", "nothing is wrong", "backward"),
            ("tab", "reading …", "nothing is wrong"),
            ("tab", "node1", "reading …"),
            ("shift+tab", "reading …", "node1"),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert seen in text(app)
            assert unseen not in text(app)


@pytest.mark.parametrize(("scene", "node"), [("small", "laptop"), ("non_finite", "7 node0")])
async def test_a_node_of_ranks_leaves_room_for_the_loss_at_80x24(scene: str, node: str) -> None:
    async with shown(scene, (80, 24)) as (app, _, _):
        seen = text(app)
        assert node in seen
        assert "┤" in seen


async def test_resizing_to_almost_nothing_and_back() -> None:
    async with shown("healthy") as (app, _, pilot):
        before = text(app)
        for size in ((20, 5), (1, 1), (60, 15), (200, 60), (120, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert text(app) == before


async def test_tiny_terminals_keep_status_and_verdict() -> None:
    async with shown("stalled", (50, 12)) as (app, _, _):
        seen = text(app)
        assert "RUNNING" in seen
        assert "rank stalled" in seen


async def test_nan_is_said_three_times() -> None:
    async with shown("non_finite") as (app, _, _):
        seen = text(app)
        assert "non-finite loss: rank 2 on node0" in seen  # verdict
        assert "NaN!" in seen  # table
        assert "NaN at step 290 (rank 2)" in seen  # chart


async def test_a_crash_names_rank_and_cause() -> None:
    async with shown("crashed") as (app, _, _):
        seen = text(app)
        assert "FAILED" in seen
        assert "rank 1 on node0: OutOfMemoryError: CUDA out of memory" in seen
        assert "✖ dead" in seen


async def test_a_stalled_rank_is_named() -> None:
    async with shown("stalled") as (app, _, _):
        seen = text(app)
        assert "rank 5 on node0" in seen
        assert "‖ stalled" in seen
        assert "7/8 ranks" in seen


async def test_evaluation_is_no_stall() -> None:
    async with shown("evaluating") as (app, _, _):
        seen = text(app)
        assert "RUNNING (eval)" in seen
        assert "stalled" not in seen


async def test_what_is_missing_is_counted() -> None:
    async with shown("damaged") as (app, _, _):
        assert "4 records lost or unreadable" in text(app)
    async with shown("healthy") as (app, _, _):
        assert "unreadable" not in text(app)


async def test_hostile_text_is_shown_whole_and_harmless() -> None:
    async with shown("hostile") as (app, _, _):
        seen = text(app)
        assert "[bold]ev␛[3" in seen  # as much of the name as the column holds
        assert "[red]Boom[/]" in seen
        assert "\x1b" not in seen
        assert "\u202e" not in seen


@pytest.mark.parametrize(
    ("scene", "advice"), [("empty", "ugro-tui demo"), ("missing", "does not exist yet"), ("loading", "reading")]
)
async def test_empty_states_say_what_to_do(scene: str, advice: str) -> None:
    async with shown(scene, (80, 24)) as (app, _, _):
        assert advice in text(app)


async def test_a_job_appears_by_itself() -> None:
    async with shown("empty") as (app, feed, pilot):
        assert "Launch a job from here:  L" in text(app)
        feed.current = replace(feed.current, version=2, read_only=True)
        app.look()
        await pilot.pause()
        assert "Launch" not in text(app)
        feed.current = snapshot(job(Run("fresh")), version=3)
        app.look()
        await pilot.pause()
        assert "fresh" in text(app)


async def test_without_a_gpu_there_are_no_gpu_columns() -> None:
    async with shown("small") as (app, _, _):
        assert "GPU%" not in text(app)
    async with shown("healthy") as (app, _, _):
        assert "GPU%" in text(app)


async def test_only_news_are_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown("healthy") as (app, feed, _):
        app.look()
        painted: list[Snapshot] = []
        monkeypatch.setattr(TrainingDashboard, "show", lambda screen: painted.append(screen.desk.snapshot))
        app.look()
        assert not painted
        feed.current = snapshot(job(Run(ranks=16)), version=2)
        app.look()
        assert painted == [feed.current]


async def test_without_colour_what_matters_most_is_no_darker_than_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with shown("non_finite") as (app, _, _):
        parts = [part for line in app.screen._compositor.render_strips() for part in line]
        (text,) = (part.style for part in parts if part.text.startswith(" step 300/500"))
        marked = [part.style for part in parts if "NaN! " in part.text or part.text.startswith(" ✖ non-finite loss")]
        assert len(marked) == 2
        assert text is not None
        assert all(style is not None and (style.bold, style.color) == (True, text.color) for style in marked)


async def test_the_verdict_names_the_slow_rank_not_the_throughput_that_it_costs() -> None:
    async with shown("straggler") as (app, feed, _):
        assert [alert.rule for alert in feed.current.jobs[0].summary.alerts] == ["straggler", "throughput_drop"]
        assert "⚠ straggler: rank 11 on node1: data" in text(app)


async def test_a_pane_grows_to_half_and_all_of_the_screen_and_is_found_so_again() -> None:
    async with shown("healthy") as (app, _, pilot):
        await pilot.press("tab", "z")
        await pilot.pause()
        chart = dashboard(app).query_one("#loss").size.height
        assert "Ranks" in text(app)
        await pilot.press("z")
        await pilot.pause()
        assert dashboard(app).query_one("#loss").size.height > chart
        assert "Ranks" not in text(app)
        assert app.desk.kept("panes", {}) == {"pane": "loss", "zoom": 2}
        await pilot.press("escape")
        await pilot.pause()
        assert "Ranks" in text(app)


async def test_few_ranks_leave_the_chart_what_they_do_not_need_where_theirs_is_the_pane_that_has_grown() -> None:
    app = app_of(FakeFeed(snapshot(job(Run(ranks=2)))), "gpt2-small")
    app.desk.keep("panes", {"pane": "ranks", "zoom": 1})
    async with app.run_test(size=(200, 60)) as pilot:
        await pilot.pause()
        assert dashboard(app).query_one("#ranks").size.height == 3
        assert dashboard(app).query_one("#loss").size.height > 30
        await pilot.press("escape", "z")
        await pilot.pause()
        assert app.desk.kept("panes", {}) == {"pane": "ranks", "zoom": 2}, "half of the screen would change nothing"


async def test_the_log_is_that_of_the_rank_under_the_cursor() -> None:
    async with shown("healthy") as (app, _, pilot):
        assert "Log of rank 0" in text(app)
        await pilot.press("j", "j")
        await pilot.pause()
        assert "Log of rank 2" in text(app)


async def test_the_log_is_that_of_the_rank_that_broke_until_one_is_chosen() -> None:
    async with shown("crashed") as (app, _, pilot):
        assert "Log of rank 1" in text(app)
        await pilot.press("j", "j")
        await pilot.pause()
        assert "Log of rank 2" in text(app)


async def test_the_log_is_never_that_of_another_job() -> None:
    failed = JobState("lr3")
    failed.apply_manifest(Manifest("local", "failed", 1, 2, (), 1, None, None))
    archive = FakeArchive({
        LogText("gpt2-small", 0): Finding(page({0: ["of gpt2-small"]})),
        LogText("lr3"): Finding(page({0: ["lr3: no such file train.py"]})),
    })  # fmt: skip
    app = app_of(FakeFeed(snapshot(job(Run()), failed)), "gpt2-small", archive=archive)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert "of gpt2-small" in text(app)
        await pilot.press("right_square_bracket")
        await pilot.pause()
        assert "of gpt2-small" not in text(app)
        assert "lr3: no such file train.py" in text(app), "no rank is known, and there is a log"
        archive.findings[LogText("lr3")] = Finding(problem=NO_LOGS)
        dashboard(app).show()
        await pilot.pause()
        assert "no logs: write stdout" in text(app)
        assert "launches do so" in text(app), "all of it is read"


async def test_m_chooses_what_the_chart_shows_and_escape_goes_back_to_the_loss() -> None:
    steps = np.arange(300.0)
    line = Line(0, steps, steps, steps, steps * 1e-6)
    archive = FakeArchive({
        MetricNames("gpt2-small"): Finding(("loss", "lr")),
        MetricLines("gpt2-small", "lr"): Finding(Lines("lr", (line,), 1)),
    })  # fmt: skip
    app = app_of(FakeFeed(ALL_SCENES["healthy"]()), archive=archive)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("m", *"lr", "enter")
        await pilot.pause()
        assert "lr  last 2.99" in text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "Loss  last 2.526" in text(app)


@pytest.mark.parametrize("place", ["job", "compare"])
async def test_m_waits_until_it_is_known_which_metrics_there_are_and_then_asks(place: str) -> None:
    archive, picture = FakeArchive(), ALL_SCENES["many_jobs"]()
    app = app_of(FakeFeed(picture), "gpt2-small", archive=archive)
    app.desk.marked = ("gpt2-small", "llama-8b-sft")
    async with app.run_test(size=(120, 40)) as pilot:
        app.go(place)
        await pilot.press("m")
        assert READING in text(app)
        archive.findings |= {MetricNames(job.job_id): Finding(("loss", "lr")) for job in picture.jobs}
        while not isinstance(app.screen, MetricPicker):
            await pilot.pause()
        assert READING not in text(app)


def test_nobody_waits_for_anyone_in_a_job_that_is_over() -> None:
    (state, _), watch = straggling(), JobWatch()
    watch.tick(state, NOW - LEAST_SECONDS)
    assert {alert.rule for alert in watch.tick(state, NOW)} == {"straggler", "throughput_drop"}
    for rank in range(16):
        state.apply(rank, decode(orjson.dumps({"kind": "end", "status": "stopped"}) + b"\n"), NOW, "local")
    assert watch.tick(state, NOW + 1.0) == ()
