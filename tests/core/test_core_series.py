"""A series against a list that does the obvious thing; what thinning may and may not drop."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.columns import HISTORY_WIDTH, WIDTH, Column
from ugro_tui.core.records import Matrix
from ugro_tui.core.series import MAX_REWINDS, Rewind, Series

NAN = float("nan")


def rows(steps: list[float], losses: list[float] | None = None, bad: list[int] | None = None) -> Matrix:
    """Step rows with these steps and losses; the order of arrival is their time."""
    matrix = np.full((len(steps), WIDTH), NAN)
    matrix[:, Column.STEP] = steps
    matrix[:, Column.LOSS] = losses if losses is not None else np.arange(len(steps))
    matrix[:, Column.BAD] = bad if bad is not None else 0
    return matrix


class Naive:
    """Last wins: a step drops every kept row from that step on."""

    def __init__(self) -> None:
        self.kept: list[tuple[float, float]] = []
        self.rewinds: list[Rewind] = []

    def append(self, matrix: Matrix) -> None:
        for step, loss in matrix[:, [Column.STEP, Column.LOSS]].tolist():
            before = [pair for pair in self.kept if pair[0] < step]
            if len(before) < len(self.kept):
                self.rewinds.append(Rewind(step, len(self.kept) - len(before)))
            self.kept = [*before, (step, loss)]


def pairs(series: Series) -> list[tuple[float, float]]:
    """The kept (step, loss)."""
    return [(step, loss) for step, loss in series.rows[:, [Column.STEP, Column.LOSS]].tolist()]


@given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=8))
def test_the_last_word_wins(calls: list[list[int]]) -> None:
    series, naive, drawn = Series(), Naive(), 0
    for call in calls:
        matrix = rows([float(step) for step in call], [float(drawn + index) for index in range(len(call))])
        drawn += len(call)
        series.append(matrix)
        naive.append(matrix)
        assert pairs(series) == naive.kept
        assert series.rewinds == naive.rewinds[-MAX_REWINDS:]


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 3)), min_size=1, max_size=12),
    st.sampled_from([64, 65, 100, 128]),
)
def test_long_runs_with_rewinds_stay_in_order_and_bounded(calls: list[tuple[int, int]], capacity: int) -> None:
    series, naive, step = Series(capacity), Naive(), 0
    for count, back in calls:
        step = max(0, step - back * 40)
        matrix = rows([float(number) for number in range(step, step + count)], [float(n % 17) for n in range(count)])
        step += count
        series.append(matrix)
        naive.append(matrix)
    kept = pairs(series)
    assert len(kept) <= capacity
    assert set(kept) <= set(naive.kept)
    assert kept[-1] == naive.kept[-1]
    assert (np.diff(series.column(Column.STEP)) > 0).all()
    assert series.nbytes <= max(32, 1.2 * capacity) * HISTORY_WIDTH * 8


@given(st.lists(st.integers(1, 150), min_size=1, max_size=10), st.sampled_from([64, 128]))
def test_the_newest_half_stays_exact_without_rewinds(counts: list[int], capacity: int) -> None:
    series, total = Series(capacity), 0
    for count in counts:
        series.append(rows([float(step) for step in range(total, total + count)]))
        total += count
        exact = min(total, capacity // 2)
        assert series.column(Column.STEP)[-exact:].tolist() == list(range(total - exact, total))


@given(st.lists(st.integers(1, 200), min_size=1, max_size=6), st.integers(0, 2**32))
def test_the_lowest_and_the_highest_loss_stay(counts: list[int], seed: int) -> None:
    draw = random.Random(seed)
    losses: list[float] = []
    series = Series(64)
    for count in counts:
        fresh = [float(draw.random()) for _ in range(count)]
        series.append(rows([float(len(losses) + index) for index in range(count)], fresh))
        losses += fresh
    kept = series.column(Column.LOSS)
    assert (kept.min(), kept.max()) == (min(losses), max(losses))


@pytest.mark.parametrize("value", [NAN, np.inf, -np.inf, 2.0])
def test_a_bad_row_stays_however_long_the_run(value: float) -> None:
    series = Series(64)
    losses = [5.0 - index / 10_000 for index in range(5_000)]
    losses[777] = value
    series.append(rows([float(step) for step in range(5_000)], losses, [int(step == 777) for step in range(5_000)]))
    bad = series.rows[series.column(Column.BAD) > 0]
    assert bad[:, Column.STEP].tolist() == [777]
    finite = series.column(Column.LOSS)[np.isfinite(series.column(Column.LOSS))]
    assert finite.min() == min(losses[4_999], 2.0 if value == 2.0 else np.inf)


@pytest.mark.parametrize("losses", [[NAN, NAN], [1.0, 1.0], [NAN, 3.0], [1.0, 2.0]])
@pytest.mark.parametrize("call", [1, 7, 1_000])
def test_the_older_half_covers_the_whole_run_evenly(losses: list[float], call: int) -> None:
    series, total = Series(128), 20_000
    for first in range(0, total, call):
        count = min(call, total - first)
        series.append(rows([float(step) for step in range(first, first + count)], (losses * count)[:count]))
    gaps = np.diff(series.column(Column.STEP), prepend=-1)
    assert 96 <= len(series) <= 128
    assert gaps.max() <= 0.2 * total


def test_a_point_takes_at_most_ten_bytes_while_the_series_grows() -> None:
    series = Series()
    for step in range(6_000):
        series.append(rows([float(step)]))
        if len(series) >= 32:
            assert series.nbytes <= 10 * len(series) * HISTORY_WIDTH or len(series) >= 2_048
    assert series.nbytes <= 4_096 * HISTORY_WIDTH * 8


def test_rewinds_without_end_are_not_remembered_without_end() -> None:
    series = Series()
    series.append(rows([7.0] * 5_000))
    assert len(series) == 1
    assert len(series.rewinds) == MAX_REWINDS
    assert series.rewinds[-1] == Rewind(7.0, 1)


def test_a_series_that_has_to_shrink_keeps_its_newest_rows_and_its_spike() -> None:
    series = Series(4_096)
    losses = [1.0] * 4_000
    losses[100] = 50.0
    series.append(rows([float(step) for step in range(4_000)], losses))
    series.limit(128)
    assert len(series) <= 128
    assert series.nbytes <= 128 * HISTORY_WIDTH * 8
    assert series.column(Column.STEP)[-64:].tolist() == list(range(3_936, 4_000))
    assert series.column(Column.LOSS).max() == 50.0
    series.append(rows([4_000.0]))
    assert series.column(Column.STEP)[-1] == 4_000


def test_an_empty_append_changes_nothing() -> None:
    series = Series()
    series.append(np.empty((0, WIDTH)))
    assert len(series) == 0
    assert series.rows.shape == (0, HISTORY_WIDTH)
