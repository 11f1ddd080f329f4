"""What the dashboard costs: repaints against the number of ranks and against a DataTable, and key to paint."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
import textual.screen
from textual.app import App, ComposeResult
from textual.coordinate import Coordinate
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import DataTable

from tests.ui.scenes import PLACE, FakeFeed, Run, job, snapshot
from ugro_tui.core.snapshot import RankColumns, Snapshot
from ugro_tui.ui import PAINTS
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.columns import fit
from ugro_tui.ui.rank_columns import COLUMNS, RankLines
from ugro_tui.ui.rank_table import RankTable

pytestmark = pytest.mark.bench

SIZE = (160, 50)
ROUNDS = 25


def ranks_of(count: int) -> RankColumns:
    return snapshot(job(Run("bench", ranks=count, steps=3))).jobs[0].ranks


class _OurTable(App[None]):
    def compose(self) -> ComposeResult:
        yield RankTable()


class _DataTable(App[None]):
    def compose(self) -> ComposeResult:
        yield DataTable()


async def cpu_of(paint: Callable[[], None], pilot: Pilot[None]) -> float:
    """Median CPU seconds of a repaint, the handling of its messages included."""
    spent = []
    for _ in range(ROUNDS):
        before = time.process_time()
        paint()
        await pilot.pause()
        spent.append(time.process_time() - before)
    return statistics.median(spent)


async def ours(ranks: RankColumns, sort: str = "", narrowed: str = "") -> float:
    app = _OurTable()
    async with app.run_test(size=SIZE) as pilot:
        table = app.query_one(RankTable)
        table.show(ranks)
        table.sort_by(sort)
        assert table.narrow(narrowed) is None
        await pilot.pause()
        return await cpu_of(lambda: table.show(replace(ranks)), pilot)  # what is the same object is not painted again


async def a_data_table(ranks: RankColumns) -> float:
    """A DataTable of the same cells whose visible rows alone are updated, each to another text."""
    app = _DataTable()
    async with app.run_test(size=SIZE) as pilot:
        table = app.query_one(DataTable)
        table.add_columns(*(column.title for column in COLUMNS))
        lines = RankLines(ranks)
        for row in range(len(ranks)):
            table.add_row(*(column.text(lines.row(row)) for column in COLUMNS))
        await pilot.pause()
        turn = 0

        def update() -> None:
            nonlocal turn
            turn += 1
            for row in range(min(len(ranks), SIZE[1] - 1)):
                for place, column in enumerate(COLUMNS):
                    table.update_cell_at(Coordinate(row, place), fit(f"{turn}", column.width))

        return await cpu_of(update, pilot)


async def paired(first: Callable[[], Awaitable[float]], second: Callable[[], Awaitable[float]]) -> tuple[float, float]:
    """Medians of three interleaved pairs."""
    pairs = [(await first(), await second()) for _ in range(3)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


async def test_many_ranks_cost_what_few_do() -> None:
    few, many = ranks_of(64), ranks_of(8192)
    small, large = await paired(lambda: ours(few), lambda: ours(many))
    print(f"\nrepaint: 64 ranks {small * 1e3:.2f} ms, 8,192 ranks {large * 1e3:.2f} ms, ratio {large / small:.2f}")
    assert large <= 1.3 * small


async def test_sorting_and_filtering_many_ranks_cost_less_than_painting_them() -> None:
    many = ranks_of(8192)
    narrowed = "rank:100-8000 node~node wait<90 state:running"
    plain, both = await paired(lambda: ours(many), lambda: ours(many, "node", narrowed))
    print(f"\nrepaint of 8,192: {plain * 1e3:.2f} ms, sorted, filtered {both * 1e3:.2f} ms, ratio {both / plain:.2f}")
    assert both <= 2 * plain


async def test_a_repaint_is_a_sixth_of_a_data_table() -> None:
    many = ranks_of(1024)
    ours_spent, theirs = await paired(lambda: ours(many), lambda: a_data_table(many))
    print(
        f"\nrepaint: ours {ours_spent * 1e3:.2f} ms, DataTable {theirs * 1e3:.2f} ms, ratio {ours_spent / theirs:.3f}"
    )
    assert ours_spent <= theirs / 6


class Spent(NamedTuple):
    """The 95th percentile of what passes from a key to the painting of the moved cursor: seconds, and those of CPU."""

    wall: float
    cpu: float


async def key_latency(count: int) -> Spent:
    """A key in the middle of a refresh."""
    feed = FakeFeed(snapshot(job(Run("bench", ranks=count, steps=3))))
    app = UgroApp(feed, place=PLACE)
    spent: list[Spent] = []
    async with app.run_test(size=SIZE) as pilot:
        table = app.screen.query_one(RankTable)
        painted: list[tuple[int, Spent]] = []
        paint = table.render_line

        def painting(y: int) -> Strip:
            strip = paint(y)
            painted.append((table.cursor, Spent(time.perf_counter(), time.process_time())))
            return strip

        table.render_line = painting  # type: ignore[method-assign]
        for version in range(2, 60):
            feed.current = snapshot_with(feed, version)
            before = Spent(time.perf_counter(), time.process_time())
            app.look()
            await pilot.press("j")
            await pilot.pause()
            last = max(at for cursor, at in painted if cursor == version - 1)
            spent.append(Spent(last.wall - before.wall, last.cpu - before.cpu))
            painted.clear()
    walls, cpus = (sorted(column)[int(len(spent) * 0.95)] for column in zip(*spent, strict=True))
    return Spent(walls, cpus)


def snapshot_with(feed: FakeFeed, version: int) -> Snapshot:
    """The same picture as news: every part of it is another object."""
    view = feed.current.jobs[0]
    return replace(feed.current, version=version, jobs=(replace(view, ranks=replace(view.ranks)),))


async def test_keys_are_as_quick_over_many_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textual.screen, "UPDATE_PERIOD", 1 / PAINTS)  # the plugin for snapshots had Textual before us
    pairs = [(await key_latency(64), await key_latency(8192)) for _ in range(3)]
    few, many = (Spent(*map(min, zip(*measured, strict=True))) for measured in zip(*pairs, strict=True))
    print(
        f"\nkey to paint, p95: 64 ranks {few.wall * 1e3:.1f} ms (CPU {few.cpu * 1e3:.1f}), "
        f"8,192 ranks {many.wall * 1e3:.1f} ms (CPU {many.cpu * 1e3:.1f})"
    )
    assert many.cpu <= 1.5 * few.cpu
