"""The screens beside the job: how one gets there and back, and what is read on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.ui.alert_scenes import SLOW
from tests.ui.node_scenes import ALL_SCENES
from tests.ui.scenes import FakeArchive, FakeFeed, app_of
from tests.ui.screen_scenes import booked, fleet, machines
from tests.ui.test_dashboard import text
from ugro_tui.core.commands import Acknowledge, Diagnose, Health, OpenJob, Snooze, Stop, Sync
from ugro_tui.core.entries import Entry, Mark
from ugro_tui.core.health import CENTRAL, DiskHealth, NodeHealth
from ugro_tui.core.health_score import judged
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.core.states import NodeState
from ugro_tui.ui.alert_columns import columns
from ugro_tui.ui.alerts import SNOOZE_SECONDS
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.chart import ChartCanvas
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.places import BY_KEY, PLACES
from ugro_tui.ui.table import LineTable

Shown = tuple[UgroApp, FakeFeed, Pilot[str]]


@asynccontextmanager
async def shown(snapshot: Snapshot, *keys: str, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Shown]:
    feed = FakeFeed(snapshot)
    app = app_of(feed)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        yield app, feed, pilot


def table(app: UgroApp) -> LineTable[Any]:
    return app.front.query_one(LineTable)


def stack(app: UgroApp) -> list[str]:
    return [screen.NAME for screen in app.screen_stack if hasattr(screen, "NAME")]


# --- the way


async def test_several_jobs_are_a_list_and_enter_opens_one() -> None:
    async with shown(ALL_SCENES["many_jobs"]()) as (app, feed, pilot):
        assert stack(app) == ["jobs"]
        await pilot.press("j", "enter")
        await pilot.pause()
        assert stack(app) == ["jobs", "job"]
        assert app.desk.job == "gpt2-small"
        assert OpenJob("gpt2-small") in feed.asked
        await pilot.press("escape")
        await pilot.pause()
        assert stack(app) == ["jobs"]
        await pilot.press("escape")
        assert stack(app) == ["jobs"]


async def test_a_job_that_has_not_changed_for_a_day_is_opened_too() -> None:
    async with shown(ALL_SCENES["many_jobs"](), "G", "enter") as (app, feed, _):
        assert app.desk.job == "old-run"
        assert feed.asked[-1] == OpenJob("old-run")


@pytest.mark.parametrize("key", BY_KEY)
async def test_every_number_leads_to_its_screen_and_escape_back_to_the_job(key: str) -> None:
    async with shown(ALL_SCENES["healthy"](), key) as (app, _, pilot):
        name = BY_KEY[key].name
        assert stack(app)[-1] == name
        if name not in ("jobs", "job"):
            assert stack(app) == ["jobs", "job", name]
            await pilot.press("escape")
            await pilot.pause()
            assert stack(app) == ["jobs", "job"]


async def test_screens_beside_the_job_do_not_pile_up() -> None:
    async with shown(ALL_SCENES["healthy"](), "4", "5", "3", "4") as (app, _, pilot):
        assert stack(app) == ["jobs", "job", "alerts"]
        await pilot.press("1")
        await pilot.pause()
        assert stack(app) == ["jobs"]
        await pilot.press("2")
        await pilot.pause()
        assert stack(app) == ["jobs", "job"]


async def test_escape_leads_back_to_where_a_screen_was_opened() -> None:
    async with shown(ALL_SCENES["finished"](), "4") as (app, _, pilot):
        before = stack(app)
        for key, name in {"L": "launch", "at": "executed", "6": "compare"}.items():
            await pilot.press(key)
            assert stack(app) == [*before, name]
            await pilot.press("escape")
            assert stack(app) == before, key
        await pilot.press("2")
        assert stack(app) == ["jobs", "job"]


@pytest.mark.parametrize(("first", "before"), [("1", ["jobs"]), ("2", ["jobs", "job"])])
async def test_the_way_up_from_the_job_of_an_alert_leads_back_to_the_alerts(first: str, before: list[str]) -> None:
    async with shown(booked(), first, "4", "j", "enter") as (app, _, pilot):
        assert (app.front.NAME, app.desk.job) == ("job", "gpt2-xl")
        await pilot.press("enter")
        assert app.front.NAME == "rank"
        await pilot.press("escape", "escape")
        assert stack(app) == [*before, "alerts"]
        assert app.front.job == "gpt2-xl", "the cursor is where it was"
        await pilot.press("escape")
        assert stack(app) == before
        await pilot.press("escape")
        assert stack(app) == ["jobs"]
        app.go_to_job("gpt2-xl")
        await pilot.press("escape")
        assert stack(app) == ["jobs"], "that way was gone"


@pytest.mark.parametrize("key", BY_KEY)
@pytest.mark.parametrize("size", [(200, 60), (80, 24), (50, 12), (20, 5)])
async def test_every_screen_stands_every_size(key: str, size: tuple[int, int]) -> None:
    async with shown(booked(), key, size=size) as (app, _, pilot):
        assert text(app).strip()
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert text(app).strip()


async def test_a_job_that_was_asked_for_is_shown_at_once_and_lies_on_the_jobs() -> None:
    app = app_of(FakeFeed(ALL_SCENES["many_jobs"]()), "gpt2-small")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert stack(app) == ["job"]
        await pilot.press("4", "escape", "escape")
        await pilot.pause()
        assert stack(app) == ["jobs"]


def test_each_place_is_called_as_its_screen() -> None:
    desk = Desk(FakeFeed(Snapshot()), FakeArchive(), "here")
    for place in PLACES.values():
        screen = place.screen(desk)
        assert (place.name, place.says) == (screen.NAME, screen.SAYS)


# --- jobs


async def test_the_job_under_the_cursor_is_drawn_in_the_room_that_the_list_leaves() -> None:
    async with shown(ALL_SCENES["many_jobs"]()) as (app, _, pilot):
        chart = app.screen.query_one(ChartCanvas)

        def told(part: str) -> str:
            return str(app.screen.query_one(f"#{part}", Static).render())

        assert "last 2.522 (mean)  min 2.402 (rank 1)" in told("preview-loss")
        assert "OutOfMemoryError" in told("preview-alerts")
        first = chart.made()
        await pilot.press("j")
        await pilot.pause()
        assert (chart.made() is first, "last 2.519" in told("preview-loss")) == (False, True)
        await pilot.press("G")  # a job whose files were not read
        await pilot.pause()
        assert (chart.made(), told("preview-loss"), told("preview-alerts")) == (None, "", "")
        await pilot.resize_terminal(120, 15)
        await pilot.pause()
        assert not chart.is_on_screen
        assert app.screen.query_one(LineTable).size.height > 5


async def test_jobs_tell_state_progress_and_the_verdict_of_the_line() -> None:
    async with shown(ALL_SCENES["many_jobs"]()) as (app, _, pilot):
        seen = text(app)
        assert "Jobs  1 running  1 failed  1 stopped  1 finished  1 older" in seen
        assert "✖ failed" in seen.splitlines()[2]  # the worst first
        assert "60% took 00:01:21" in seen
        assert "rank error: rank 3 on node0: OutOfMemoryError" in seen
        await pilot.press("j")
        await pilot.pause()
        assert "all 4 ranks are stepping" in text(app)


async def test_back_on_the_jobs_the_cursor_is_on_the_job_that_was_looked_at() -> None:
    async with shown(ALL_SCENES["many_jobs"](), "G", "4", "escape") as (app, _, pilot):
        assert table(app).key == "old-run"  # it stays where it was moved to
        app.go_to_job("gpt2-small")
        await pilot.press("escape")
        assert table(app).key == "gpt2-small"
        await pilot.press("left_square_bracket")
        assert table(app).key == app.desk.job != "gpt2-small"


async def test_keys_are_about_the_job_under_the_cursor_of_a_list_not_about_one_that_is_not_shown() -> None:
    async with shown(ALL_SCENES["many_jobs"](), "j") as (app, feed, pilot):
        assert app.desk.job == "llama-8b-sft"  # which was shown last
        await pilot.press("S", "d", "ctrl+k", "y")
        assert feed.asked[-4:] == [Sync("gpt2-small"), Diagnose("gpt2-small"), Health(), Stop("gpt2-small")]
        await pilot.press("R")
        assert "gpt2-small is running: stop it first" in text(app)
        await pilot.press("slash", *"zzzq", "enter", "ctrl+k")
        assert "there is no job in hand to stop" in text(app)
        app.desk.take(booked())
        await pilot.press("4")
        assert app.front.job is None  # it is about a node
        await pilot.press("j")
        assert app.front.job == "gpt2-xl"


async def test_jobs_are_filtered_and_the_filter_goes_first() -> None:
    async with shown(ALL_SCENES["many_jobs"](), "slash", *"done<50") as (app, _, pilot):
        await pilot.pause()
        assert "1 of 5" in text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert "filter done<50" in text(app)
        assert "ablation-lr-1e-3" in text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "gpt2-small" in text(app)


async def test_a_filter_without_hits_says_so_and_tells_of_no_line() -> None:
    async with shown(booked()) as (app, _, pilot):
        for key in ("1", "4"):
            await pilot.press(key)
            detail = str(app.front.query_one("#detail", Static).content)
            await pilot.press("slash", *"zq", "enter")
            assert str(app.front.query_one("#detail", Static).content) == "nothing matches zq"
            assert "passes the filter: esc takes it away" in text(app)
            await pilot.press("escape")
            assert str(app.front.query_one("#detail", Static).content) == detail


async def test_a_filter_that_cannot_be_read_says_where_while_one_types() -> None:
    async with shown(ALL_SCENES["many_jobs"](), "slash", *"stat:running x<3") as (app, _, pilot):
        await pilot.pause()
        assert "^ no field" in text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "no field" not in text(app)


# --- alerts


async def test_alerts_of_jobs_and_nodes_stand_together_and_are_explained() -> None:
    async with shown(booked(), "4") as (app, _, pilot):
        seen = text(app)
        assert "Alerts  2 firing  ✖1  ⚠1  1 acknowledged or snoozed  1 over" in seen
        assert "→ make room there" in seen
        await pilot.press("j")
        await pilot.pause()
        assert "→ look at" in text(app)
        assert "rank 11 on node1: data 412 ms" in text(app)


def test_an_alert_that_is_over_lasted_until_then_and_the_end_of_a_job_has_no_length() -> None:
    alert = booked().book.firing[0].alert
    fires, over = Entry("job", 1, alert, 100.0), Entry("job", 1, alert, 100.0, Mark.RESOLVED, resolved=160.0)
    told = replace(over, resolved=100.0)
    for now, firing in ((190.0, "90s"), (4_000.0, "65m")):
        (column,) = (column for column in columns(now) if column.title == "Lasted")
        assert [column.cell(entry) for entry in (fires, over, told)] == [firing, "60s", "–"]


async def test_where_room_is_short_alerts_keep_whose_they_are_and_what() -> None:
    async with shown(booked(), "4", size=(80, 24)) as (app, _, _):
        titles, disk, straggler = text(app).splitlines()[1:4]
        assert titles.split() == ["S", "Alert", "Job", "Lasted", "What"]
        assert disk.split()[:5] == ["✖", "disk", "filling", "67m", "node1:"]
        assert straggler.startswith("⚠ straggler")
        assert "gpt2-xl       95s data 412 ms against a" in straggler


async def test_columns_that_grow_share_what_room_there_is() -> None:
    long = booked()
    (slow, *others) = long.book.of("gpt2-xl")
    long = replace(long, book=replace(long.book, firing=(replace(slow, job_id="sweep-" + "0123456789" * 6), *others)))
    async with shown(long, "4", size=(120, 40)) as (app, _, _):
        first = text(app).splitlines()[2].rstrip()
        assert len(first) < 120
        assert first.endswith("…")


async def test_an_alert_is_acknowledged_and_snoozed_where_the_cursor_is() -> None:
    async with shown(booked(), "4", "j", "a", "s") as (app, feed, pilot):
        alert = feed.current.book.firing[1].alert
        assert feed.asked[-2:] == [
            Acknowledge("gpt2-xl", alert.subject),
            Snooze("gpt2-xl", alert.subject, SNOOZE_SECONDS),
        ]
        await pilot.press("G", "a")
        await pilot.pause()
        assert "this alert is over" in text(app)
        assert "○ over" in text(app)
        assert "loss spike (over: " in text(app)
        await pilot.press("k")
        assert "this alert is over" not in text(app), "the next key is about something else"


async def test_enter_on_an_alert_goes_to_its_rank_or_its_node() -> None:
    async with shown(booked(), "4", "j", "enter") as (app, _, pilot):
        await pilot.pause()
        assert stack(app) == ["jobs", "job"]
        assert table(app).key == SLOW
        await pilot.press("4", "g", "enter")
        await pilot.pause()
        assert stack(app)[-1] == "nodes"


async def test_without_alerts_it_says_so() -> None:
    async with shown(ALL_SCENES["healthy"](), "4") as (app, _, _):
        assert "No alert fires, and none has fired" in text(app)


# --- nodes


async def test_nodes_tell_how_they_are_and_why() -> None:
    async with shown(machines(), "5") as (app, feed, pilot):
        assert Health() in feed.asked  # asked at once, as somebody looks
        seen = text(app)
        assert "2 of 3 answer  1 unwell" in seen
        assert "██ 97%, 80 °C" in seen  # a block each
        await pilot.press("exclamation_mark")
        await pilot.pause()
        assert app.screen.query_one(LineTable).key == "gpu2"
        assert "refused the connection: is its sshd running?" in text(app)
        await pilot.press("exclamation_mark")
        await pilot.pause()
        seen = text(app)
        assert "→ disk: 1 % of /scratch/jobs is free" in seen
        assert "GPUs 2 × NVIDIA RTX 4090" in seen
        assert "GPU 1  ████████████████  97%  ██████████████░░  21.0/24.0G    80 °C  380/450 W" in seen
        assert "runs gpt2-xl ranks 0,3" in seen


async def test_what_is_wrong_with_the_central_directory_is_said_and_no_node_is_blamed_for_it() -> None:
    scored = judged(NodeHealth(CENTRAL, 1.0, NodeState.OK, disks=(DiskHealth("central", "/big", 1 << 40, 1 << 20),)))
    picture = machines()
    async with shown(replace(picture, health=(*picture.health, scored)), "5", "G") as (app, _, _):
        seen = text(app)
        assert "2 of 3 answer  1 unwell  ✖ central disk: 0 % free (0.0G): make room at /big" in seen
        assert "✖ node gpu2  192.168.1.12 port 22 refused the connection" in seen
        assert "→ does not answer" not in seen  # twice the same


async def test_enter_on_a_node_leads_to_its_rank_that_is_not_well_or_says_that_none_is_there() -> None:
    async with shown(machines(), "5", "G", "enter") as (app, _, pilot):
        await pilot.pause()
        assert stack(app)[-1] == "job"
        assert table(app).key == 2  # unreachable, as its node
        await pilot.press("1", "5", "g", "enter")
        await pilot.pause()
        assert table(app).key == 0
    async with shown(replace(machines(), jobs=()), "5", "j", "enter") as (app, _, _):
        assert "no rank of a running job is there; ugro-tui health gpu1 tells all of the node" in text(app)


async def test_each_gpu_of_a_node_is_drawn_and_what_is_said_of_it_leaves_the_table_its_lines() -> None:
    async with shown(fleet(), "5", "j", "j", size=(80, 24)) as (app, _, pilot):
        seen = text(app)
        assert "█████▁▅█ 79%, 88 °C" in seen  # one idles, one is slowed down
        assert "███✖████" in seen  # one is lost
        assert "dgx8" in seen
        assert "… ugro-tui health dgx3 tells all" in seen
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        seen = text(app)
        assert "61%  ██████████████░░  71.0/80.0G    88 °C  670/700 W  hw_thermal_slowdown" in seen
        assert "runs llama-8b ranks 16-23" in seen
        assert "tells all" not in seen
