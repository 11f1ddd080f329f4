"""The keys of the logs, and what is said where there are none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.ui.log_scenes import JOB, TRACE, crash, first_error, log_app, page, showing, steps
from tests.ui.scenes import FakeArchive
from ugro_tui.core.archive import Finding
from ugro_tui.core.log_inquiry import LogErrors, LogFirstError, LogPage, LogPlace, LogText
from ugro_tui.ui.log_view import LogView
from ugro_tui.ui.logs import LogsScreen

LONG = page({0: steps(1, 399)})


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
        self.archive.findings[ask] = Finding(shown)
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
        assert bench.title == f"Logs of {JOB} · ranks 0-3 · following"
        await bench.press("t")
        assert bench.rows[0] == "  r0-3   INFO - ugro: loading tokens from shard 7"


async def test_search_is_typed_below_the_text_and_told_in_the_title() -> None:
    async with logs(showing(LONG)) as bench:
        await bench.press("slash", "q", "enter")
        assert bench.title == f"Logs of {JOB} · /q not found · following", "what was asked for first"
        await bench.press("slash", "n", "enter", "n")
        assert bench.title == f"Logs of {JOB} · /n 375/399 · not following"
        await bench.press("right")
        assert bench.title.endswith("not following · from column 21 (←)")
        await bench.press("escape", "w", "slash", "escape")
        assert bench.title == f"Logs of {JOB} · not following · wrapped"
        assert not bench.screen.query_one(Input).display


async def test_the_first_error_is_gone_to_where_it_is_shown_or_said_not_to_be() -> None:
    archive = showing(crash())
    async with logs(archive, size=(100, 15)) as bench:
        await bench.press("e")
        assert bench.screen.desk.message.text.startswith("first error: rank 1: torch.OutOfMemoryError: CUDA out")
        assert any("ERROR - step 31 failed" in row for row in bench.rows)
        assert bench.screen.copied().endswith("ERROR - step 31 failed")
        archive.findings[LogFirstError(JOB)] = Finding(LogErrors(None, 2 << 10))
        await bench.press("escape", "e")
        assert bench.screen.desk.message.text == "no error in the logs (2.0 KiB searched)"


async def test_where_no_line_tells_a_time_there_is_no_column_of_times_and_the_order_is_named() -> None:
    archive = showing(page({0: ["loading", "step 1"], 1: TRACE}))
    async with logs(archive) as bench:
        assert "no times told: their order is a guess" in bench.title
        assert "✖ r1     Traceback (most recent call last):" in bench.rows
        await bench.tell(LogText(JOB), page({0: steps(1, 9), 1: TRACE}))
        assert "rank 1 tells no times" in bench.title
        assert "  r0     05-16 09:00:01 INFO - step 1/500 loss 9.223" in bench.rows
        await bench.tell(LogText(JOB, 1), page({1: TRACE}))
        await bench.press("full_stop", "full_stop")
        assert "arrival" not in bench.title
        assert bench.rows[0] == "✖ Traceback (most recent call last):"


async def test_almost_without_room_there_is_the_text_of_the_newest_lines() -> None:
    async with logs(showing(crash()), size=(20, 5)) as bench:
        assert bench.title == "Logs · ranks 0-3 · following · wrapped"
        assert " ".join(bench.rows).split()[-3:] == ["INFO", "-", "leaving"]
        await bench.pilot.resize_terminal(100, 30)
        await bench.pilot.pause()
        assert bench.rows[-1].endswith("05-16 09:00:33 INFO - leaving")


async def test_a_first_error_of_long_ago_is_read_from_the_file() -> None:
    archive = showing(page({0: steps(1, 300), 1: steps(1, 300, 1)}, skipped=5_000_000))
    archive.findings.pop(LogFirstError(JOB))
    async with logs(archive) as bench:
        assert "9.5 MiB before not shown" in bench.title
        await bench.press("e")
        assert bench.title.endswith("looking for the first error …")
        archive.findings[LogFirstError(JOB)] = first_error(1, 900)
        around = LogText(JOB, 1, LogPlace(1, "", 900))
        archive.findings[around] = Finding(page({1: [*steps(1, 100), *TRACE, *steps(101, 200)]}, at=100))
        await bench.look()
        assert bench.title.startswith(f"Logs of {JOB} · rank 1 · around its first error (f: newest)")
        assert any(row.endswith(TRACE[0]) for row in bench.rows)
        archive.findings[LogText(JOB, 1)] = Finding(page({1: steps(400, 499)}))
        await bench.press("f")
        assert bench.title == f"Logs of {JOB} · rank 1 · following"
        assert "step 499/" in bench.rows[-1]


async def test_one_rank_after_the_other_is_chosen() -> None:
    archive = showing(crash())
    for rank in range(4):
        archive.findings[LogText(JOB, rank)] = Finding(page({rank: [f"only {rank}"]}))
    async with logs(archive) as bench:
        await bench.press("full_stop")
        assert (bench.title, bench.rows[0]) == (f"Logs of {JOB} · rank 0 · following", "  only 0")
        await bench.press("full_stop", "comma", "comma", "comma")
        assert bench.title == f"Logs of {JOB} · rank 3 · following"
        await bench.press("escape")
        assert bench.title == f"Logs of {JOB} · ranks 0-3 · following"
        await bench.press("escape")
        assert not isinstance(bench.pilot.app.screen, LogsScreen)


async def test_what_cannot_be_shown_is_said_in_one_line() -> None:
    archive = FakeArchive()
    async with logs(archive) as bench:
        said = bench.screen.query_one("#log-empty", Static)
        assert str(said.content) == "reading the logs …"
        archive.findings[LogText(JOB)] = Finding(problem="no logs: [/b] start it so")
        await bench.look()
        assert str(said.content) == "no logs: [/b] start it so"
        await bench.tell(LogText(JOB), page({0: []}))
        assert str(said.content) == "the logs are empty so far"
        archive.findings[LogText(JOB)] = Finding(page({0: ["hello"]}), "rank_1.log cannot be read: no")
        await bench.look()
        assert bench.title == f"Logs of {JOB} · following · ⚠ rank_1.log cannot be read: no"
        await bench.press("w")
        assert "wrapped" in bench.title
        bench.screen.desk.job = None
        await bench.look()
        assert str(said.content) == "no job: its logs are shown here when there is one"
