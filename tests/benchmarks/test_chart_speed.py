"""What a chart costs: a frame, from the rows of the ranks to the picture, against the number of rows."""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest

from tests.ui.charting import ChartApp, lines_of
from ugro_tui.core.archive import Lines
from ugro_tui.core.curve import curve_of
from ugro_tui.ui.strokes import Trace

pytestmark = pytest.mark.bench

SIZE = (120, 40)
RANKS, FEW, MANY = 8, 10_000, 100_000
ROUNDS = 25


def run_of(steps: int) -> Lines:
    """The same story, told in so many steps a rank."""
    random, along = np.random.default_rng(5), np.linspace(0, 6, steps)
    return lines_of([2.3 + 7 * np.exp(-along) + random.normal(0, 0.05, steps) for _ in range(RANKS)])


async def frames(*runs: Lines) -> list[list[float]]:
    """CPU seconds of each frame of each run, drawn in turn."""
    app = ChartApp()
    spent: list[list[float]] = [[] for _ in runs]
    async with app.run_test(size=SIZE):
        for _ in range(ROUNDS):
            for run, times in zip(runs, spent, strict=True):
                before = time.process_time()
                app.chart.show([Trace("loss", curve_of(run), run)])
                app.chart.render()
                times.append(time.process_time() - before)
                assert app.chart.columns > 100
    return spent


async def test_ten_times_the_rows_cost_hardly_more() -> None:
    few, many = (statistics.median(times) for times in await frames(run_of(FEW), run_of(MANY)))
    print(f"\nchart frame, {RANKS} ranks: {FEW:,} rows {few * 1e3:.1f} ms, {MANY:,} rows {many * 1e3:.1f} ms")
    print(f"ratio {many / few:.2f}")
    assert many <= 1.5 * few
