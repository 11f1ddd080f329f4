"""What logs cost: scrolling 100,000 lines against 100, and reading them."""

from __future__ import annotations

import time

import pytest
from textual.app import App, ComposeResult

from tests.benchmarks.test_screen_speed import cpu_of
from tests.ui.log_scenes import page, steps
from ugro_tui.core.log_bytes import LineCutter
from ugro_tui.core.log_level import SUSPECT
from ugro_tui.core.log_lines import LineReader
from ugro_tui.ui.log_view import LogView

pytestmark = pytest.mark.bench


class _View(App[None]):
    def compose(self) -> ComposeResult:
        yield LogView()


async def scrolling(count: int) -> float:
    """Median CPU seconds of a line down."""
    app = _View()
    async with app.run_test(size=(160, 50)) as pilot:
        view = app.query_one(LogView)
        view.show(page({0: steps(1, count)}))
        view.action_top()
        await pilot.pause()
        return await cpu_of(lambda: view.action_move(1), pilot)


async def test_many_lines_scroll_as_few_do() -> None:
    few, many = await scrolling(100), await scrolling(100_000)
    print(f"\na line down: 100 lines {few * 1e3:.1f} ms, 100,000 lines {many * 1e3:.1f} ms")
    assert many <= 2 * few


def test_searching_the_bytes_for_errors_is_much_cheaper_than_reading_the_lines() -> None:
    data = "".join(line + "\n" for line in steps(1, 40_000)).encode()
    begin = time.process_time()
    LineReader(0).read(LineCutter().feed(data))
    read = time.process_time() - begin
    begin = time.process_time()
    assert SUSPECT.search(data) is None
    searched = time.process_time() - begin
    size = len(data) / 1e6
    print(f"\nlines read at {size / read:.0f} MB/s, bytes searched at {size / searched:.0f} MB/s")
    assert searched * 3 <= read
