"""Smoothing: TensorBoard's numbers, constants, and what is no number."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.smoothing import WEIGHTS, smoothed

NAN = math.nan


def test_each_value_weighs_less_the_older_it_is_and_the_weights_add_up_to_one() -> None:
    found = smoothed(np.array([4.0, 2.0, 6.0]), 0.5)
    assert found.tolist() == pytest.approx([4.0, (0.5 * 4 + 2) / 1.5, (0.25 * 4 + 0.5 * 2 + 6) / 1.75])


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("value", [0.0, -3.5, 1e290])
def test_a_constant_stays_what_it_is(weight: float, value: float) -> None:
    assert smoothed(np.full(50, value), weight).tolist() == pytest.approx([value] * 50)


def test_what_is_no_number_is_passed_on_and_changes_nothing() -> None:
    with_holes = smoothed(np.array([1.0, NAN, 3.0, math.inf, 2.0]), 0.8)
    np.testing.assert_equal(with_holes[[1, 3]], [NAN, math.inf])
    assert with_holes[[0, 2, 4]].tolist() == smoothed(np.array([1.0, 3.0, 2.0]), 0.8).tolist()


@given(st.lists(st.floats(-1e290, 1e290), min_size=1), st.sampled_from(WEIGHTS))
def test_no_smoothed_value_leaves_the_range_of_the_values(values: list[float], weight: float) -> None:
    found = smoothed(np.array(values), weight)
    slack = 1e-9 * max(map(abs, values)) + sys.float_info.min  # below that, floats are too coarse for a mean
    assert min(values) - slack <= found.min()
    assert found.max() <= max(values) + slack
