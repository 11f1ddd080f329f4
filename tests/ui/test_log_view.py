"""The keys of the text of logs, in an application of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.ui.log_scenes import page, steps
from ugro_tui.core.log_inquiry import LogPage
from ugro_tui.ui.log_rows import begins, part_of
from ugro_tui.ui.log_view import LogView

LONG = page({0: [*steps(1, 199), "x" * 150 + " needle", *steps(201, 399), "Needle [/b]"]})
MARGIN = 17


class Bench(App[None]):
    def compose(self) -> ComposeResult:
        yield LogView()

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def rows(self) -> list[str]:
        """What is seen of the lines."""
        return [self.view.render_line(y).text.rstrip() for y in range(self.view.size.height)]


@asynccontextmanager
async def view_of(shown: LogPage) -> AsyncIterator[tuple[Bench, Pilot[Any]]]:
    app = Bench()
    async with app.run_test(size=(100, 30)) as pilot:
        app.view.show(shown)
        app.view.focus()
        await pilot.pause()
        yield app, pilot


async def test_it_follows_until_one_moves_up_and_again_from_the_end() -> None:
    async with view_of(LONG) as (app, pilot):
        assert app.rows[-1].endswith("Needle [/b]")
        await pilot.press("k")
        top = app.rows[0]
        app.view.show(page({0: steps(1, 450)}))
        assert app.rows[0] == top
        for key, last in (("G", 460), ("f", 460), ("f", 480)):
            await pilot.press(key)
            app.view.show(page({0: steps(1, last if key == "G" else last + 10 * (not app.view.follow))}))
            assert f"step {last}/" in app.rows[-1]
        await pilot.press("g")
        assert not app.view.follow


async def test_what_was_let_go_does_not_move_what_is_seen() -> None:
    async with view_of(page({0: steps(1, 300)})) as (app, pilot):
        app.view.go_to(100)
        top = app.rows[0]
        app.view.show(page({0: steps(31, 320)}, dropped=30))
        await pilot.pause()
        assert app.rows[0] == top


async def test_keys_move_by_lines_half_pages_and_to_the_ends() -> None:
    async with view_of(LONG) as (app, pilot):
        await pilot.press("home", "j", "down", "k")
        assert "step 2/" in app.rows[0]
        await pilot.press("ctrl+d", "pagedown", "ctrl+u")
        assert "step 17/" in app.rows[0]
        await pilot.press("up", "pageup", "pageup")
        assert "step 1/" in app.rows[0]
        await pilot.press("end")
        assert app.rows[-1].endswith("Needle [/b]")


async def test_long_lines_are_wrapped_or_moved_aside() -> None:
    async with view_of(LONG) as (app, pilot):
        app.view.search("needle")
        await pilot.press("n")
        assert [row for row in app.rows if "needle" in row] == [" " * MARGIN + "x" * 70 + " needle"], "moved to it"
        await pilot.press("n")
        assert any("needle" in row.lower() for row in app.rows)
        await pilot.press("N", "left", "left")
        assert not any("needle" in row for row in app.rows)
        await pilot.press("right", "right")
        assert [row for row in app.rows if "needle" in row] == [" " * MARGIN + "x" * 70 + " needle"]
        await pilot.press("w")
        assert [row for row in app.rows if "needle" in row] == [" " * MARGIN + "x" * (150 - 82) + " needle"]
        assert app.view.virtual_size.height == 401
        await pilot.resize_terminal(60, 30)
        await pilot.pause()
        assert app.view.virtual_size.height > 401
        await pilot.press("w", "t")
        assert app.view.virtual_size.height == 400
        assert all(row[2] != "0" for row in app.rows)


async def test_search_goes_round() -> None:
    async with view_of(LONG) as (app, pilot):
        matches = []
        app.view.search("needle")
        for key in ("", "n", "N", "N"):
            await pilot.press(*key)
            matches.append(app.view.matches.said)
        assert matches == ["/needle 2/2", "/needle 1/2", "/needle 2/2", "/needle 1/2"]
        for needle, said in (("Needle", "/Needle 1/1"), ("[/b]", "/[/b] 1/1"), ("no such", "/no such not found")):
            app.view.search(needle)
            assert app.view.matches.said == said
        app.view.search("step")
        app.view.show(page({0: steps(31, 320)}, dropped=30))
        assert app.view.matches.said.endswith("/290")


async def test_wide_characters_are_never_cut_and_hits_are_where_they_are_read() -> None:
    wide, mixed = "x" + "\u4e2d" * 120, "e\u0301" * 100 + "\u0130\u0130 needle"
    async with view_of(page({0: [wide, mixed, "\u26a0\ufe0f thumbs \U0001f44d\U0001f3fd up"]})) as (app, pilot):
        await pilot.press("w")
        assert "".join(row[2:] for row in app.rows if "\u4e2d" in row) == wide
        assert {app.view.render_line(y).cell_length for y in range(30)} == {100}
        assert all(len(row) > 2 for row in app.rows[:5]), "no row of a line is empty"
        app.view.search("needle")
        hit = app.view.get_component_rich_style("found").bgcolor
        strips = [app.view.render_line(y) for y in range(30)]
        inked = [(one.text, one.style) for strip in strips for one in strip]
        assert "".join(text for text, style in inked if style and style.bgcolor == hit) == "needle"
        assert any(row.endswith("\u26a0 thumbs \U0001f44d up") for row in app.rows), "as wide on every terminal"


@given(st.text(alphabet="ab\u4e2d\U0001f680e\u0301", max_size=40), st.integers(1, 9))
def test_rows_are_whole_characters_none_lost_and_none_too_wide(text: str, width: int) -> None:
    rows = [text[part_of(text, row, width)] for row in range(len(begins(text, width)))]
    assert "".join(rows) == text
    assert all(cell_len(row) <= max(2, width) for row in rows)
