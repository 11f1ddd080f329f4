"""Tables and the filter bar by themselves: every key, and what stays where it was."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from textual import on
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot

from tests.ui.scenes import Run, job, snapshot
from ugro_tui.core.columns import Column
from ugro_tui.core.filter_fields import NUMBER, Field
from ugro_tui.core.rank_fields import FILTER_EXAMPLE
from ugro_tui.core.snapshot import RankColumns
from ugro_tui.core.states import RankState
from ugro_tui.ui import alert_columns, job_columns
from ugro_tui.ui.columns import GAP, TableColumn, fit, scrolled
from ugro_tui.ui.filter_bar import FilterBar, pointed
from ugro_tui.ui.lines import Listed
from ugro_tui.ui.rank_columns import COLUMNS
from ugro_tui.ui.rank_table import RankTable
from ugro_tui.ui.table import LineTable


def ranks_of(
    count: int, *, steps: dict[int, int] | None = None, states: dict[int, RankState] | None = None
) -> RankColumns:
    """Ranks at step 3 but for `steps`, running but for `states`."""
    found = snapshot(job(Run(ranks=count, steps=3))).jobs[0].ranks
    latest, state = found.latest.copy(), found.state.copy()
    for rank, step in (steps or {}).items():
        latest[rank, Column.STEP] = step
    for rank, value in (states or {}).items():
        state[rank] = value
    return replace(found, latest=latest, state=state)


class Shown(App[None]):
    """A rank table with a filter bar, as a screen wires them."""

    BINDINGS = [("slash", "filter", "Filter")]  # noqa: RUF012 - Textual's own form

    def __init__(self, ranks: RankColumns | None = None) -> None:
        super().__init__()
        self.heard: list[Message] = []
        self._first = ranks

    def compose(self) -> ComposeResult:
        yield RankTable(id="table")
        yield FilterBar(FILTER_EXAMPLE)

    def on_mount(self) -> None:
        self.table.show(self._first)
        self.table.focus()

    @property
    def table(self) -> RankTable:
        return self.query_one(RankTable)

    @property
    def bar(self) -> FilterBar:
        return self.query_one(FilterBar)

    def action_filter(self) -> None:
        self.bar.open(self.table.entered)

    @on(LineTable.Opened, "#table")
    @on(LineTable.Noted)
    def _hear(self, event: Message) -> None:
        self.heard.append(event)

    @on(FilterBar.Changed)
    def _changed(self, event: FilterBar.Changed) -> None:
        self.bar.answer(self.table.preview(event.text), *self.table.counts)

    @on(FilterBar.Kept)
    def _kept(self, event: FilterBar.Kept) -> None:
        if self.table.narrow(event.text) is None:
            self.bar.close()
            self.table.focus()

    @on(FilterBar.Cleared)
    def _cleared(self) -> None:
        self.table.narrow("")
        self.table.focus()


@asynccontextmanager
async def shown(
    ranks: RankColumns | None, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Shown, Pilot[None]]]:
    app = Shown(ranks)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


def lines(app: App[None]) -> list[str]:
    """The lines of the screen as text."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


def first_cells(app: App[None], count: int) -> list[int]:
    """The ranks in the first lines below the titles."""
    return [int(line.replace("◆", "").split()[0]) for line in lines(app)[1 : count + 1]]


async def test_keys_choose_the_column_to_sort_by_and_invert_it() -> None:
    async with shown(ranks_of(4, steps={1: 7, 2: 5})) as (app, pilot):
        for key, title, expected in (
            (">", "Rank▲", [0, 1, 2, 3]),
            ("i", "Rank▼", [3, 2, 1, 0]),
            (">", "Node▲", [0, 1, 2, 3]),
            (">", "State▲", [0, 1, 2, 3]),
            (">", "Step▲", [0, 3, 2, 1]),
            (">", "Lag▼", [0, 3, 2, 1]),  # the greatest come first
            ("<", "Step▲", [0, 3, 2, 1]),
            ("i", "Step▼", [1, 2, 0, 3]),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert title in lines(app)[0]
            assert first_cells(app, 4) == expected
        assert app.table.title_parts == ("step ▼",)
        await pilot.press("<", "<", "<", "<")
        assert app.table.sorted_by == ("", False)


async def test_a_click_on_a_title_sorts_and_another_one_inverts() -> None:
    async with shown(ranks_of(4, steps={1: 7, 2: 5})) as (app, pilot):
        place = lines(app)[0].index("Step")
        await pilot.click(RankTable, offset=(place + 1, 0))
        await pilot.pause()
        assert first_cells(app, 4) == [0, 3, 2, 1]
        await pilot.click(RankTable, offset=(place + 1, 0))
        await pilot.pause()
        assert first_cells(app, 4) == [1, 2, 0, 3]
        await pilot.click(RankTable, offset=(78, 0))  # beyond all columns
        assert app.table.sorted_by == ("step", True)


async def test_the_cursor_stays_on_its_rank_and_the_rank_under_the_eyes() -> None:
    async with shown(ranks_of(64)) as (app, pilot):
        table = app.table
        await pilot.press("j", "j", "j")
        assert table.key == 3
        await pilot.press(">", "i")
        await pilot.pause()
        assert (table.key, table.cursor) == (3, 60)
        assert re.match(r"\s+3 node0", lines(app)[-4])  # as near to the fourth line as the end of the table allows
        table.narrow("rank:2-5")
        assert (table.key, table.cursor, table.counts) == (3, 2, (4, 64))
        table.narrow("rank:10-20")
        assert table.key is not None
        table.narrow("")
        assert (table.key, table.cursor) == (3, 60)  # back with its line
        table.sort_by("step", falling=True)
        table.show(ranks_of(64, steps={3: 9}))
        assert (table.key, table.cursor) == (3, 0)
        table.show(ranks_of(2))
        assert table.key == 0


async def test_before_it_was_moved_the_cursor_stays_on_top() -> None:
    async with shown(ranks_of(8)) as (app, pilot):
        await pilot.press(">", "i")
        assert (app.table.cursor, app.table.key) == (0, 7)


async def test_marks_stay_with_their_ranks() -> None:
    async with shown(ranks_of(8)) as (app, pilot):
        assert "◆" not in "".join(lines(app))
        await pilot.press("space", "j", "space")
        await pilot.pause()
        assert app.table.marked == {0, 2}
        assert [line[0] for line in lines(app)[1:5]] == ["◆", " ", "◆", " "]
        assert app.table.title_parts == ("2 marked",)
        await pilot.press("k", "space", "i")
        await pilot.pause()
        assert app.table.marked == {0}
        assert lines(app)[8].startswith("◆     0")
        app.table.clear_marks()
        await pilot.pause()
        assert "◆" not in "".join(lines(app))


async def test_wide_shows_all_columns_sideways_and_the_first_one_always() -> None:
    async with shown(ranks_of(4)) as (app, pilot):
        titles = lines(app)[0].split()
        assert titles[:6] == ["Rank", "Node", "State", "Step", "Lag", "Age"]
        assert "Optim" not in titles
        await pilot.press("W")
        await pilot.pause()
        assert "Trend" in lines(app)[0]
        assert lines(app)[0].rstrip().endswith("›")
        app.table.action_columns(30)
        await pilot.press("left", "left", "left", "right")
        await pilot.pause()
        assert lines(app)[0].split() == ["Rank", "Back", "Optim", "Epoch"]
        app.table.action_columns(-30)
        await pilot.press("<")  # the last column, which then is shown
        await pilot.pause()
        assert "Epoc▲" in lines(app)[0]
        await pilot.press("W", "right")
        await pilot.pause()
        assert lines(app)[0].split()[:4] == titles[:4]


async def test_jumping_goes_to_the_worst_and_then_to_the_next_worst() -> None:
    states = {5: RankState.STALLED, 40: RankState.DEAD, 50: RankState.STALLED}
    async with shown(ranks_of(64, states=states, steps={50: 1})) as (app, pilot):
        for rank in (40, 50, 5, 40):
            await pilot.press("exclamation_mark")
            await pilot.pause()
            assert app.table.key == rank
            assert any(re.match(rf"\s+{rank} ", line) for line in lines(app))
        app.table.narrow("rank<5")
        await pilot.press("!")
        app.table.narrow("")
        app.table.show(ranks_of(64))
        await pilot.press("!")
        await pilot.pause()
        noted = [event.text for event in app.heard if isinstance(event, LineTable.Noted)]
        assert noted == ["no rank that passes the filter is in trouble", "no rank is in trouble"]
        assert app.table.key == 40


async def test_enter_and_a_double_click_open_the_rank_of_the_line() -> None:
    async with shown(ranks_of(8)) as (app, pilot):
        app.table.sort_by("rank", falling=True)
        await pilot.press("j", "enter")
        await pilot.click(RankTable, offset=(3, 4))
        await pilot.click(RankTable, offset=(3, 7), times=2)
        await pilot.click(RankTable, offset=(3, 15), times=2)  # below the last line
        await pilot.pause()
        assert [event.key for event in app.heard if isinstance(event, LineTable.Opened)] == [6, 1]


async def test_nothing_to_open_where_nothing_is_known() -> None:
    async with shown(None) as (app, pilot):
        await pilot.press("enter", "space", "j", "G", "i", ">", "W", "exclamation_mark", "right")
        await pilot.pause()
        assert app.table.key is None
        assert app.table.counts == (0, 0)
        assert [type(event) for event in app.heard] == [LineTable.Noted]


# --- the filter bar


async def test_a_filter_narrows_while_it_is_typed_and_enter_keeps_it() -> None:
    async with shown(ranks_of(16)) as (app, pilot):
        await pilot.press("/")
        await pilot.pause()
        assert FILTER_EXAMPLE in lines(app)[-1]
        await pilot.press(*"rank:8-1", "1")
        await pilot.pause()
        assert first_cells(app, 4) == [8, 9, 10, 11]
        assert lines(app)[-1].startswith("4 of 16")
        await pilot.press("enter", "j")
        await pilot.pause()
        assert not app.bar.is_open
        assert app.table.title_parts == ("4/16", "filter rank:8-11")
        assert app.table.key == 9
        await pilot.press("/", *" nobody")
        await pilot.pause()
        assert lines(app)[-1].startswith("none of 16")
        assert "no rank passes the filter" in lines(app)[1]
        await pilot.press("escape")
        await pilot.pause()
        assert (app.table.filter_text, app.table.counts, app.table.key) == ("", (16, 16), 9)
        assert app.table.has_focus


async def test_an_error_is_shown_below_its_column_and_the_filter_that_was_entered_stays() -> None:
    async with shown(ranks_of(16)) as (app, pilot):
        await pilot.press("/", *"rank:8-11", "enter", "/", "ctrl+u", *"rank:3 nod:x", "enter")
        await pilot.pause()
        assert lines(app)[-2].startswith("/rank:3 nod:x")
        assert lines(app)[-1].startswith("        ^ no field 'nod': node, rank")
        assert app.bar.is_open
        assert app.table.counts == (4, 16), "its beginning could be read, and is not what was meant"
        assert (app.table.filter_text, app.table.entered) == ("rank:8-11", "rank:8-11")
        await pilot.press("ctrl+u", "enter")
        await pilot.pause()
        assert app.table.has_focus
        assert app.table.filter_text == ""


@pytest.mark.parametrize(
    ("at", "width", "expected"),
    [
        (3, 20, "   ^ wrong"),
        (15, 20, "         wrong ^"),
        (9, 12, "   wrong ^"),
        (3, 4, "w… ^"),
    ],
)
def test_an_error_stands_beside_its_caret(at: int, width: int, expected: str) -> None:
    assert pointed("wrong", at, width) == expected


# --- cells, and tables of other things


HOSTILE = ["[bold]x[/]", "漢字の名前です", "é" * 30, "", "a\u0301" * 12, "[@click=app.quit]", "🙂" * 9]


@pytest.mark.parametrize("text", HOSTILE)
def test_cells_are_as_wide_as_they_say_whatever_the_text(text: str) -> None:
    from rich.cells import cell_len

    for width in (1, 2, 5, 11):
        for left in (False, True):
            assert cell_len(fit(text, width, left=left)) == width


@pytest.mark.parametrize("width", [3, 9, 20])
async def test_in_a_table_that_is_narrower_than_two_columns_all_can_be_sorted_by(width: int) -> None:
    async with shown(ranks_of(4), (width, 5)) as (app, pilot):
        await pilot.press("W")
        sorts = set()
        for _ in COLUMNS:
            await pilot.press(">")
            sorts.add(app.table.sorted_by[0])
            assert len(lines(app)[0]) == width
        assert sorts >= {column.field for column in COLUMNS}


def test_wide_columns_begin_where_they_are_scrolled_to_and_fit() -> None:
    for width in (1, 30, 80, 300):
        kept = scrolled(COLUMNS, width, 3)
        assert [column.title for column in kept[:2]] == ["Rank", "Lag"], "one is shown, if only its beginning"
        assert len(kept) == 2 or sum(column.width + len(GAP) for column in kept) <= width


def test_what_says_which_line_it_is_stays_while_wide_columns_are_scrolled() -> None:
    jobs, alerts = scrolled(job_columns.COLUMNS, 80, 3), scrolled(alert_columns.columns(0.0), 80, 3)
    assert [column.title for column in jobs[:3]] == ["State", "Job", "Loss"]
    assert [column.title for column in alerts[:3]] == ["State", "Alert", "Lasted"]


class Machine(NamedTuple):
    name: str
    load: float


MACHINES = (Machine("[red]beta", 3.0), Machine("漢字", math.nan), Machine("alpha", 9.0))
MACHINE_COLUMNS = (
    TableColumn[Machine]("Name", 8, 0, lambda row: row.name, "name", left=True, grows=True),
    TableColumn[Machine]("Load", 5, 1, lambda row: f"{row.load:.1f}", "load", falling=True),
)


class Machines(App[None]):
    def compose(self) -> ComposeResult:
        fields = (Field("name"), Field("load", NUMBER))
        yield LineTable(MACHINE_COLUMNS, fields, noun="machine")


async def test_a_table_of_other_things_needs_columns_fields_and_a_list() -> None:
    app = Machines()
    async with app.run_test(size=(40, 8)) as pilot:
        table = app.query_one(LineTable)
        values = {"name": lambda row: row.name, "load": lambda row: row.load}
        table.show_lines(Listed(MACHINES, lambda row: row.name, values, lambda row: np.nan_to_num(row.load - 5)))
        table.focus()
        table.sort_by("load", falling=True)
        await pilot.pause()
        assert [line.split()[0] for line in lines(app)[1:4]] == ["alpha", "[red]beta", "漢字"]
        assert table.narrow("load<5 [red]") is None
        await pilot.press("G", "space", "exclamation_mark")
        await pilot.pause()
        assert table.counts == (1, 3)
        assert table.marked == {"[red]beta"}
        assert table.go("alpha") is False
        assert str(table.narrow("lod>1")) == "no field 'lod': load, name"
