"""What sorted values tell: the same as numpy's own ways, without what those bring along."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ugro_tui.core.sorting import distinct, median, medians

VALUES = st.floats(-1e6, 1e6)


@given(arrays(np.float64, st.integers(1, 40), elements=VALUES))
def test_one_row_as_numpy_tells_it(values: npt.NDArray[np.float64]) -> None:
    before = values.copy()
    assert distinct(values).tolist() == np.unique(values).tolist()
    assert median(values) == float(np.median(values))
    assert np.array_equal(values, before)


def test_no_values_are_no_different_values() -> None:
    assert distinct(np.empty(0)).tolist() == []


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=VALUES | st.just(float("nan"))))
def test_columns_as_numpy_tells_them(values: npt.NDArray[np.float64]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a column that is all NaN
        expected = np.nanmedian(values, axis=0)
    assert np.array_equal(medians(values), expected, equal_nan=True)
