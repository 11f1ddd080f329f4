"""Series that share a pool against series of their own: what they keep, and what becomes of the bits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.columns import HISTORY_WIDTH, WIDTH, Column
from ugro_tui.core.pool import Pool
from ugro_tui.core.records import Matrix
from ugro_tui.core.series import Series

CAPACITY = 24
NOT_KEPT = [Column.SEQ, Column.LR, Column.EPOCH]
EXACT = [Column.TS, Column.STEP, Column.LOSS]
MEASURED = [column for column in range(HISTORY_WIDTH) if column not in {*NOT_KEPT, *EXACT}]

numbers = st.floats(allow_nan=True, allow_infinity=True)
calls = st.tuples(
    st.integers(0, 3), st.lists(st.integers(0, 60), max_size=70), st.lists(numbers, min_size=7, max_size=7)
)


def rows(steps: list[int], values: list[float]) -> Matrix:
    """Records of these steps, whose other numbers are some of `values` in turn."""
    matrix = np.resize(np.array(values), (len(steps), WIDTH))
    matrix[:, Column.STEP] = steps
    matrix[:, Column.BAD] = [step % 30 == 1 for step in steps]
    return matrix


@given(st.lists(calls, max_size=20))
def test_a_pooled_series_answers_what_one_of_its_own_does(calls: list[tuple[int, list[int], list[float]]]) -> None:
    pool = Pool(CAPACITY)
    pooled, own = [pool.series() for _ in range(4)], [Series(CAPACITY) for _ in range(4)]
    for which, steps, values in calls:
        matrix = rows(steps, values)
        assert pooled[which].append(matrix) == own[which].append(matrix)
    for one, other in zip(pooled, own, strict=True):
        assert len(one) == len(other)
        assert (one.rewinds, one.has_bad) == (other.rewinds, other.has_bad)
        np.testing.assert_equal(one.last_step, other.last_step)
        np.testing.assert_array_equal(one.rows[:, EXACT], other.rows[:, EXACT])
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(one.rows[:, MEASURED], other.rows[:, MEASURED].astype(np.float32))
        assert np.isnan(one.rows[:, NOT_KEPT]).all()


@given(st.lists(st.lists(st.integers(0, 200), max_size=90), max_size=5), st.lists(st.integers(0, 60), max_size=30))
def test_a_series_goes_on_in_the_pool_as_it_was(before: list[list[int]], after: list[int]) -> None:
    own = Series(100)
    for steps in before:
        own.append(rows(steps, [1.0]))
    own.limit(CAPACITY)
    pooled = Pool(CAPACITY).adopted(own)
    assert (len(pooled), pooled.rewinds) == (len(own), own.rewinds)
    assert pooled.append(rows(after, [2.0])) == own.append(rows(after, [2.0]))
    np.testing.assert_array_equal(pooled.column(Column.STEP), own.column(Column.STEP))
    np.testing.assert_array_equal(pooled.column(Column.LOSS), own.column(Column.LOSS))
