"""Sparklines, ticks, columns and charts by themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ui.scenes import PLACE, FakeFeed, healthy, small
from ugro_tui.core.curve import Curve
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.chart import LossChart
from ugro_tui.ui.columns import GAP, fitting
from ugro_tui.ui.rank_columns import COLUMNS, RankLines
from ugro_tui.ui.spark import sparkline
from ugro_tui.ui.ticks import round_ticks, tick_label

NUMBERS = st.floats(width=64)


def test_sparkline_scales_between_least_and_greatest() -> None:
    assert sparkline([0.0, 1.0, 2.0, 3.0]) == "▁▃▆█"


def test_sparkline_of_one_value_is_flat() -> None:
    assert sparkline([5.0, 5.0]) == "▁▁"


def test_sparkline_leaves_the_time_before_blank_and_marks_what_is_no_number() -> None:
    assert sparkline([math.nan, 1.0, math.nan, 2.0]) == " ▁!█"
    assert sparkline([math.nan] * 3) == "   "


@given(st.lists(NUMBERS, max_size=40))
def test_sparkline_is_as_long_as_its_values(values: list[float]) -> None:
    assert len(sparkline(values)) == len(values)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 1000, 5, [0, 500, 1000]),
        (2.31, 9.4, 4, [4, 6, 8]),
        (497.5, 995.0, 3, [600, 800]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, expected: list[float]) -> None:
    assert round_ticks(low, high, most) == pytest.approx(expected)


@given(NUMBERS, NUMBERS, st.integers(-1, 50))
def test_ticks_lie_inside_and_are_few(low: float, high: float, most: int) -> None:
    ticks = round_ticks(low, high, most)
    assert len(ticks) <= max(0, most)
    slack = abs(high - low) * 1e-9 if math.isfinite(high - low) else 0
    assert all(low - slack <= tick <= high + slack for tick in ticks)


@pytest.mark.parametrize(("value", "step", "text"), [(0.25, 0.05, "0.25"), (1500, 500, "1,500"), (2e7, 1e7, "2.0e+07")])
def test_tick_labels_have_the_decimals_they_need(value: float, step: float, text: str) -> None:
    assert tick_label(value, step) == text


@given(st.integers(0, 300))
def test_columns_never_exceed_the_width(width: int) -> None:
    columns = fitting(COLUMNS, width)
    assert len(columns) == 1 or sum(column.width + len(GAP) for column in columns) <= width
    assert [column for column in COLUMNS if column in columns] == list(columns)


def test_what_matters_most_stays_longest() -> None:
    assert {column.title for column in fitting(COLUMNS, 40)} >= {"Rank", "State", "Step"}


def test_cells_are_exactly_as_wide_as_their_column() -> None:
    for column in COLUMNS:
        for row in range(len(healthy_ranks)):
            assert len(column.text(RankLines(healthy_ranks).row(row))) == column.width


healthy_ranks = healthy().jobs[0].ranks


async def test_no_curve_can_break_the_chart() -> None:
    """NaN cannot get into a curve; anything finite can, and sizes change."""
    random = np.random.default_rng(7)
    feed = FakeFeed(small())
    app = UgroApp(feed, place=PLACE)
    async with app.run_test(size=(100, 30)) as pilot:
        chart = app.screen.query_one(LossChart)
        for case in range(60):
            chart.show(_strange_curve(random, case))
            chart.render()
        await pilot.pause()


def _strange_curve(random: np.random.Generator, case: int) -> Curve:
    count = int(random.choice([1, 2, 3, 50, 400]))
    steps = np.sort(random.choice(10_000_000, count, replace=False)).astype(float)
    scale = 10.0 ** random.integers(-300, 300) if case % 2 else 1.0
    median = random.normal(size=count) * scale
    if case % 5 == 0:
        median[:] = median[0]
    if case % 3 == 0:
        median[count // 2] *= 1e7
    spread = np.abs(random.normal(size=count)) * scale
    marks = tuple((0, float(step)) for step in steps[:3])
    return Curve(steps, median, median - spread, median + spread, marks, tuple(map(float, steps[-1:])))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_limits_are_finite_and_ordered(values: list[float]) -> None:
    from ugro_tui.ui.chart import limits

    losses = np.array(values) / 8  # a sum of two must stay finite
    frame = limits(Curve(np.arange(len(losses), dtype=float), losses, losses, losses))
    assert frame.left < frame.right
    assert frame.bottom < frame.top
    assert math.isfinite(frame.bottom)
    assert math.isfinite(frame.top)
