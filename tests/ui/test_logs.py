"""The keys of the logs, and what is said where there are none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.ui.log_scenes import JOB, TRACE, FakeArchive, crash, first_error, log_app, page, showing, steps
from ugro_tui.core.archive import Finding
from ugro_tui.core.log_inquiry import LogErrors, LogFirstError, LogPage, LogPlace, LogText
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.log_view import LogView
from ugro_tui.ui.logs import LogsScreen

LONG = page({0: [*steps(1, 199), "x" * 150 + " needle", *steps(201, 399), "Needle"]})


class Bench:
    """The screen of logs, and what is seen on it."""

    def __init__(self, pilot: Pilot[Any], archive: FakeArchive) -> None:
        self.pilot = pilot
        self.archive = archive

    @property
    def screen(self) -> LogsScreen:
        screen = self.pilot.app.screen
        assert isinstance(screen, LogsScreen)
        return screen

    @property
    def view(self) -> LogView:
        return self.screen.query_one(LogView)

    @property
    def title(self) -> str:
        return str(self.screen.query_one("#log-title", Static).content).strip()

    @property
    def rows(self) -> list[str]:
        """What is seen of the lines."""
        return [self.view.render_line(y).text.rstrip() for y in range(self.view.size.height)]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def search(self, needle: str) -> None:
        """As if it had been typed."""
        await self.pilot.press("slash")
        self.screen.query_one(Input).value = needle
        await self.press("enter")

    async def tell(self, ask: LogText, shown: LogPage) -> None:
        """The archive knows this now."""
        self.archive.known[ask] = Finding(shown)
        await self.look()

    async def look(self) -> None:
        """The screen asks the archive."""
        self.screen.draw()
        await self.pilot.pause()


@asynccontextmanager
async def logs(archive: FakeArchive, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Bench]:
    async with log_app(archive).run_test(size=size) as pilot:
        bench = Bench(pilot, archive)
        await bench.press("3")
        yield bench


async def test_lines_have_level_ranks_time_and_text() -> None:
    async with logs(showing(crash()), size=(100, 50)) as bench:
        assert bench.rows[:2] == [
            "  r0-3   05-16 09:00:00 INFO - ugro: loading tokens from shard 7",
            "⚠ r0-3                  /opt/train/data.py:31: UserWarning: this shard is read twice",
        ]
        assert "  r0     05-16 09:00:00 DEBUG - title ␛]0;owned␇ and ␛[2J stay text" in bench.rows
        assert "✖ r1                    Traceback (most recent call last):" in bench.rows
        said = [row[24:] for row in bench.rows if row.startswith("⚠ r0,2-3 05-16 09:00:32 ")]
        assert said == ["[W516 09:00:32.5 ProcessGroupNCCL.cpp:1496] Warning: watchdog of rank * is"]
        assert bench.title == "Logs of ranks 0-3 · following"
        await bench.press("t")
        assert bench.rows[0] == "  r0-3   INFO - ugro: loading tokens from shard 7"


async def test_it_follows_until_one_moves_up_and_again_from_the_end() -> None:
    async with logs(showing(LONG)) as bench:
        assert bench.rows[-1].endswith("Needle")
        await bench.press("k", "k")
        assert bench.title == "Logs · not following"
        top = bench.rows[0]
        await bench.tell(LogText(JOB), page({0: [*steps(1, 199), "x", *steps(201, 450)]}))
        assert bench.rows[0] == top
        await bench.press("G")
        assert "step 450/" in bench.rows[-1]
        await bench.tell(LogText(JOB), page({0: [*steps(1, 199), "x", *steps(201, 460)]}))
        assert "step 460/" in bench.rows[-1]
        await bench.press("f")
        assert "not following" in bench.title
        await bench.tell(LogText(JOB), page({0: [*steps(1, 199), "x", *steps(201, 470)]}))
        assert "step 460/" in bench.rows[-1]
        await bench.press("f")
        assert "step 470/" in bench.rows[-1]


async def test_what_was_let_go_does_not_move_what_is_seen() -> None:
    async with logs(showing(page({0: steps(1, 300)}))) as bench:
        await bench.press("g", *["ctrl+d"] * 5)
        top = bench.rows[0]
        await bench.tell(LogText(JOB), page({0: steps(31, 320)}, dropped=30))
        assert bench.rows[0] == top


async def test_keys_move_by_lines_half_pages_and_to_the_ends() -> None:
    async with logs(showing(LONG)) as bench:
        await bench.press("g")
        assert "step 1/" in bench.rows[0]
        await bench.press("j", "down", "k")
        assert "step 2/" in bench.rows[0]
        half = bench.view.size.height // 2
        await bench.press("ctrl+d", "pagedown", "ctrl+u")
        assert f"step {2 + half}/" in bench.rows[0]
        await bench.press("home", "up")
        assert "step 1/" in bench.rows[0]


async def test_long_lines_are_wrapped_or_moved_aside() -> None:
    async with logs(showing(LONG)) as bench:
        await bench.search("needle")
        await bench.press("n")
        assert not any("needle" in row for row in bench.rows)
        await bench.press("right", "right", "right", "right")
        (row,) = [row for row in bench.rows if "needle" in row]
        await bench.press("w")
        assert "wrapped" in bench.title
        (row,) = [row for row in bench.rows if "needle" in row]
        assert row == " " * 17 + "x" * (150 - 82) + " needle"
        before = bench.view.virtual_size.height
        await bench.pilot.resize_terminal(60, 30)
        await bench.pilot.pause()
        assert bench.view.virtual_size.height > before
        await bench.press("w")
        assert bench.view.virtual_size.height == 400


async def test_search_goes_round_and_its_place_is_told() -> None:
    async with logs(showing(LONG)) as bench:
        await bench.search("needle")
        assert bench.title.endswith("· /needle 2/2")
        await bench.press("n")
        assert bench.title.endswith("· /needle 1/2")
        assert "needle" in bench.screen.copied()
        await bench.press("N")
        assert bench.title.endswith("· /needle 2/2")
        await bench.search("Needle")
        assert bench.title.endswith("· /Needle 1/1")
        await bench.search("[/b]")
        await bench.press("n")
        assert bench.title.endswith("· /[/b] not found")
        await bench.press("escape")
        assert bench.title == "Logs · not following"
        await bench.press("slash", "q", "escape")
        assert not bench.screen.query_one(Input).display
        await bench.press("w")
        assert "wrapped" in bench.title


async def test_the_first_error_is_gone_to_where_it_is_shown() -> None:
    async with logs(showing(crash()), size=(100, 15)) as bench:
        await bench.press("G", "e")
        assert "first error: rank 1: torch.OutOfMemoryError" in bench.pilot.app.export_screenshot().replace(
            "&#160;", " "
        )
        assert any("ERROR - step 31 failed" in row for row in bench.rows)
        assert bench.view.marked is not None


async def test_a_first_error_of_long_ago_is_read_from_the_file() -> None:
    archive = showing(page({0: steps(1, 300), 1: steps(1, 300, 1)}, skipped=5_000_000))
    archive.known.pop(LogFirstError(JOB))
    async with logs(archive) as bench:
        assert "9.5 MiB before not shown" in bench.title
        await bench.press("e")
        assert bench.title.endswith("looking for the first error …")
        archive.known[LogFirstError(JOB)] = first_error(1, 900)
        around = LogText(JOB, 1, LogPlace(1, "", 900))
        archive.known[around] = Finding(page({1: [*steps(1, 100), *TRACE, *steps(101, 200)]}, at=100))
        await bench.look()
        assert bench.title.startswith("Logs of rank 1 · around its first error (f: newest)")
        assert any(row.endswith(TRACE[0]) for row in bench.rows)
        archive.known[LogText(JOB, 1)] = Finding(page({1: steps(400, 499)}))
        await bench.press("f")
        assert bench.title == "Logs of rank 1 · following"
        assert "step 499/" in bench.rows[-1]


async def test_logs_without_an_error_are_said_to_be_so() -> None:
    archive = showing(LONG)
    archive.known[LogFirstError(JOB)] = Finding(LogErrors(None, 2 << 20))
    async with logs(archive) as bench:
        await bench.press("e")
        assert bench.screen.desk.message.text == "no error in the logs (2.0 MiB searched)"


async def test_one_rank_after_the_other_is_chosen() -> None:
    archive = showing(crash())
    for rank in range(4):
        archive.known[LogText(JOB, rank)] = Finding(page({rank: [f"only {rank}"]}))
    async with logs(archive) as bench:
        await bench.press("full_stop")
        assert (bench.title, bench.rows[0]) == ("Logs of rank 0 · following", " " * 17 + "only 0")
        await bench.press("full_stop", "comma", "comma", "comma")
        assert bench.title == "Logs of rank 3 · following"
        await bench.press("escape")
        assert bench.title == "Logs of ranks 0-3 · following"
        await bench.press("escape")
        assert not isinstance(bench.pilot.app.screen, LogsScreen)


async def test_what_cannot_be_shown_is_said_in_one_line() -> None:
    archive = FakeArchive()
    async with logs(archive) as bench:
        said = bench.screen.query_one("#log-empty", Static)
        assert str(said.content) == "reading the logs …"
        archive.known[LogText(JOB)] = Finding(problem="no logs: [/b] start it so")
        await bench.look()
        assert str(said.content) == "no logs: [/b] start it so"
        await bench.tell(LogText(JOB), page({0: []}))
        assert str(said.content) == "the logs are empty so far"
        archive.known[LogText(JOB)] = Finding(page({0: ["hello"]}), "rank_1.log cannot be read: no")
        await bench.look()
        assert bench.title == "Logs · following · ⚠ rank_1.log cannot be read: no"
        await bench.press("w")
        assert "wrapped" in bench.title


async def test_a_screen_with_no_job_says_so() -> None:
    from tests.ui.scenes import PLACE, FakeFeed, empty

    async with UgroApp(FakeFeed(empty()), place=PLACE).run_test() as pilot:
        await pilot.press("3")
        await pilot.pause()
        assert "no job: its logs" in str(pilot.app.screen.query_one("#log-empty", Static).content)
