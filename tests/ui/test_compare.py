"""Compare: what is compared, curves, numbers and options on the screen, and its keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.widgets import Static

from tests.ui.compare_scenes import RUNS, VALIDATION, compare_app, known, restarted_app
from tests.ui.scenes import PLACE, FakeArchive, FakeFeed, app_of, many_jobs
from ugro_tui.core.archive import Finding, MetricLines
from ugro_tui.core.commands import OpenJob
from ugro_tui.core.compared import RunName
from ugro_tui.core.curve import Axis
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.compare import EMPTY_SAYS, CompareScreen
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.metric_chart import MetricChart

MIDDLE, SMALL, TINY = (120, 40), (80, 24), (50, 12)


def said(app: UgroApp, name: str) -> str:
    """What a part of the screen says."""
    return str(app.screen.query_one(f"#{name}", Static).content)


def shown(app: UgroApp) -> list[str]:
    """The panes that are to be seen."""
    return [name for name in ("curves", "numbers", "options") if app.screen.query_one(f"#{name}").region.area]


def row(app: UgroApp, label: str) -> list[str]:
    """The cells of a line of numbers."""
    line = next(line for line in said(app, "number-lines").splitlines() if line.strip().startswith(label))
    return line.strip().removeprefix(label).split()


@pytest.mark.parametrize("size", [MIDDLE, SMALL])
def test_picture(size: tuple[int, int], snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    press = ["6"] if size == MIDDLE else ["6", "tab"]
    assert snap_compare(compare_app(3), press=press, terminal_size=size)


async def test_the_numbers_are_those_of_the_summaries_and_the_options_those_that_differ() -> None:
    app = compare_app(4)
    async with app.run_test(size=MIDDLE) as pilot:
        await pilot.press("6")
        assert row(app, "steps (so far)") == ["300", "500", "220", "120"]
        assert "★" not in row(app, "last loss")  # of runs that have not come equally far
        assert row(app, "loss at step 120").count("★") == 1
        assert [line.split()[0] for line in said(app, "option-lines").splitlines()[1:]] == [
            "clip", "lr", "mod….width", "seed", "warmup",
        ]  # fmt: skip
        title = str(app.screen.query_one("#curves").border_title)
        assert all(run.job_id.replace("[", "\\[") in title for run in RUNS)
        assert "[red]nope" in said(app, "compare-title")


async def test_one_pane_at_a_time_where_it_is_small_and_numbers_alone_where_it_is_tiny() -> None:
    app = compare_app(2)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("6")
        found = [shown(app)]
        for _ in range(3):
            await pilot.press("tab")
            found.append(shown(app))
        assert found == [["curves"], ["numbers"], ["options"], ["curves"]]
        await pilot.resize_terminal(*TINY)
        await pilot.pause()
        assert shown(app) == ["numbers"]
        assert row(app, "steps")[-2:] == ["300", "500"]
        await pilot.resize_terminal(20, 5)
        await pilot.pause()
        assert said(app, "compare-title").strip() == "loss at step 300"
        assert said(app, "number-lines").splitlines() == ["A 2.519★ gp…small", "B 2.769  ab…-3e-4"]
        await pilot.resize_terminal(*MIDDLE)
        await pilot.pause()
        assert shown(app) == ["curves", "numbers", "options"]


async def test_the_keys_of_the_chart_work_and_another_metric_can_be_taken_and_left() -> None:
    app = compare_app(2)
    async with app.run_test(size=MIDDLE) as pilot:
        await pilot.press("6", "x")
        assert app.screen.query_one(MetricChart).view.axis is Axis.TIME
        await pilot.press("m", *"val_loss", "enter")
        await pilot.pause()
        assert VALIDATION in said(app, "number-lines")
        assert app.screen.query_one(MetricChart).view.axis is Axis.STEP
        await pilot.press("escape")
        assert VALIDATION not in said(app, "number-lines")
        await pilot.press("escape")
        assert not isinstance(app.screen, CompareScreen)


async def test_what_is_being_read_and_what_is_missing_is_said() -> None:
    archive = known(2)
    loss = MetricLines(RUNS[1].job_id, "loss")
    archive.findings[loss] = Finding(problem="rank 0 cannot be read: Permission denied")
    app = compare_app(2, archive)
    async with app.run_test(size=MIDDLE) as pilot:
        await pilot.press("6")
        assert "Permission denied" in said(app, "compare-title")
        assert row(app, "steps")[-2:] == ["300", "500"]
        archive.findings.clear()
        app.front.show()
        assert "reading loss …" in str(app.screen.query_one(MetricChart).render())
        assert row(app, "steps")[-2:] == ["300", "500"]


async def test_marked_jobs_are_compared_and_one_that_is_only_listed_is_opened() -> None:
    feed = FakeFeed(many_jobs())
    app = app_of(feed)
    async with app.run_test(size=MIDDLE) as pilot:
        await pilot.press("1", "G", "space", "g", "space", "c")
        assert isinstance(app.screen, CompareScreen)
        assert app.desk.compared == (RunName("llama-8b-sft"), RunName("old-run"))
        assert feed.asked.count(OpenJob("old-run")) == 1


def desk_of(*jobs: str) -> Desk:
    """A desk with these jobs in hand, one after the other."""
    desk = Desk(FakeFeed(many_jobs()), FakeArchive(), PLACE)
    desk.take(many_jobs())
    for job in jobs:
        desk.take_job(job)
    return desk


def test_without_marks_it_is_the_job_before_this_one() -> None:
    assert desk_of().compared == ()
    desk = desk_of("gpt2-small", "llama-8b-sft")
    assert desk.compared == (RunName("gpt2-small"), RunName("llama-8b-sft"))
    desk.marked = ("ablation-lr-3e-4",)
    assert desk.compared == (RunName("llama-8b-sft"), RunName("ablation-lr-3e-4"))


async def test_without_another_job_it_is_the_attempts_of_this_one() -> None:
    app = restarted_app()
    async with app.run_test(size=MIDDLE) as pilot:
        await pilot.press("6")
        assert app.desk.compared == (RunName("gpt2-small", 1), RunName("gpt2-small", 2))
        assert row(app, "attempt") == ["1", "of", "2", "2", "of", "2"]
        assert row(app, "loss at step 200")[-1] == "★"
        app.desk.job = None
        app.front.show()
        assert said(app, "empty") == EMPTY_SAYS
        assert app.screen.has_class("-empty")


async def test_attempts_without_records_are_not_compared() -> None:
    app = restarted_app(3, told=(1, 3))  # the second ended before it wrote anything
    async with app.run_test(size=MIDDLE) as pilot:
        await pilot.press("6")
        assert app.desk.compared == (RunName("gpt2-small", 1), RunName("gpt2-small", 3))
        assert row(app, "attempt") == ["1", "of", "3", "3", "of", "3"]
    app = restarted_app(3, told=(1,))
    async with app.run_test(size=MIDDLE) as pilot:
        await pilot.press("6")
        assert said(app, "empty") == f"of the attempts of gpt2-small fewer than two have records\n\n{EMPTY_SAYS}"


def test_more_than_four_marks_compare_the_first_four() -> None:
    app = compare_app(4)
    app.desk.marked = tuple("abcdef")
    assert [run.job_id for run in app.desk.compared] == list("abcd")
