"""What the keys of a chart make of how it is looked at."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.chart_view import PAN, ZOOM, ChartView, bad_x, extent_of, next_axis, reading, reading_before
from ugro_tui.core.curve import EMPTY, Axis, Curve, OutlierLine
from ugro_tui.core.smoothing import WEIGHTS

ALL = (0.0, 100.0)
STEPS = np.arange(0.0, 101.0, 10.0)
CURVE = Curve(
    STEPS, STEPS / 100, STEPS / 100 - 1, STEPS / 100 + 1, bad=((3, 40.0), (1, 40.0), (1, 120.0)), time=STEPS * 2,
    outliers=(OutlierLine(7, np.where(STEPS == 50, np.nan, 9.0)),),
)  # fmt: skip


def test_zoom_keeps_the_cursor_where_it_is_on_the_screen() -> None:
    view = ChartView(cursor=20.0).zoomed(ALL, ZOOM)
    assert view.window == (10.0, 60.0)
    assert view.zoomed(ALL, ZOOM).window == (15.0, 40.0)
    assert view.zoomed(ALL, 1 / ZOOM).window is None


def test_zoom_without_a_cursor_goes_to_the_middle_and_the_mouse_comes_first() -> None:
    assert ChartView().zoomed(ALL, ZOOM).window == (25.0, 75.0)
    assert ChartView(cursor=20.0).zoomed(ALL, ZOOM, at=100.0).window == (50.0, 100.0)
    assert ChartView(window=(25.0, 75.0), cursor=90.0).zoomed(ALL, ZOOM).window == (37.5, 62.5)


def test_a_window_has_a_least_size() -> None:
    view = ChartView()
    for _ in range(100):
        view = view.zoomed(ALL, ZOOM)
    assert view.window is not None
    assert view.window[1] - view.window[0] == pytest.approx(0.01)
    assert ChartView().zoomed((5.0, 5.0), ZOOM).window is None


def test_panning_stops_at_the_ends_and_does_nothing_where_all_is_shown() -> None:
    view = ChartView(window=(40.0, 60.0))
    assert view.panned(ALL, PAN).window == (45.0, 65.0)
    assert view.panned(ALL, -9).window == (0.0, 20.0)
    assert view.panned(ALL, 9).window == (80.0, 100.0)
    assert ChartView().panned(ALL, PAN).window is None


def test_the_cursor_begins_at_the_newest_point_that_is_shown_and_moves_by_points() -> None:
    assert ChartView().moved(STEPS, -1, ALL).cursor == 100.0
    assert ChartView(window=(20.0, 55.0)).moved(STEPS, 1, ALL).cursor == 50.0
    assert ChartView(cursor=50.0).moved(STEPS, -2, ALL).cursor == 30.0
    assert ChartView(cursor=0.0).moved(STEPS, -1, ALL).cursor == 0.0
    assert ChartView().moved(np.empty(0), -1, ALL).cursor is None


def test_the_window_goes_along_with_the_cursor() -> None:
    view = ChartView(window=(20.0, 50.0), cursor=50.0).moved(STEPS, 1, ALL)
    assert (view.cursor, view.window) == (60.0, (45.0, 75.0))


def test_escape_takes_away_one_thing_at_a_time() -> None:
    view = ChartView(window=(20.0, 50.0), cursor=30.0, level=2)
    assert view.peeled() == ChartView(window=(20.0, 50.0), level=2)
    assert view.peeled().peeled() == ChartView(level=2)
    assert view.peeled().peeled().peeled() == ChartView(level=2)


def test_smoothing_stays_within_its_levels() -> None:
    assert ChartView().smoother(-1).weight == 0
    assert ChartView().smoother(2).weight == WEIGHTS[2]
    assert ChartView().smoother(99).weight == 0.99


def test_another_axis_shows_the_same_points() -> None:
    view = ChartView(window=(20.0, 50.0), cursor=30.0).over(Axis.TIME, CURVE)
    assert (view.axis, view.window, view.cursor) == (Axis.TIME, (40.0, 100.0), 60.0)
    assert view.over(Axis.STEP, CURVE) == ChartView(window=(20.0, 50.0), cursor=30.0)


def test_an_axis_that_the_curve_does_not_have_is_passed_over() -> None:
    assert next_axis(Axis.STEP, CURVE) is Axis.TIME
    assert next_axis(Axis.TIME, CURVE) is Axis.STEP
    assert next_axis(Axis.STEP, EMPTY) is Axis.STEP
    assert ChartView(window=(0.0, 1.0)).over(Axis.TOKENS, CURVE).window is None


def test_the_axis_reaches_to_records_that_were_no_number() -> None:
    assert extent_of((CURVE,), Axis.STEP) == (0.0, 120.0)
    assert extent_of((CURVE,), Axis.TIME) == (0.0, 200.0)
    assert bad_x(CURVE, Axis.TIME).tolist() == [80.0, 200.0]
    assert extent_of((EMPTY,), Axis.STEP) is None


def test_a_reading_is_of_the_nearest_point() -> None:
    read = reading(CURVE, Axis.TIME, 83.0)
    assert read is not None
    assert (read.x, read.step, read.median, read.low, read.high) == pytest.approx((80.0, 40.0, 0.4, -0.6, 1.4))
    assert read.outliers == ((7, 9.0),)
    hole = reading(CURVE, Axis.STEP, 51.0)
    assert hole is not None
    assert hole.outliers == ()
    assert reading(CURVE, Axis.TOKENS, 1.0) is None


def test_what_was_known_at_a_place_is_the_last_point_before_it() -> None:
    known = reading_before(CURVE, Axis.TIME, 99.0)
    assert known is not None
    assert (known.x, known.step) == (80.0, 40.0)
    assert reading_before(CURVE, Axis.STEP, -1.0) is None
    assert reading_before(CURVE, Axis.TOKENS, 1.0) is None


_XS = st.floats(-1e12, 1e12)


@given(_XS, st.floats(1e-3, 1e12), st.lists(st.tuples(st.sampled_from(["zoom", "out", "pan", "move", "point"]), _XS)))
def test_no_keys_lead_out_of_the_data(left: float, width: float, keys: list[tuple[str, float]]) -> None:
    extent, points = (left, left + width), np.linspace(left, left + width, 50)
    view = ChartView()
    for key, x in keys:
        match key:
            case "zoom":
                view = view.zoomed(extent, ZOOM)
            case "out":
                view = view.zoomed(extent, 1 / ZOOM)
            case "pan":
                view = view.panned(extent, math.copysign(PAN, x))
            case "move":
                view = view.moved(points, int(math.copysign(3, x)), extent)
            case _:
                view = view.pointed(max(extent[0], min(extent[1], x)))
        if view.window is not None:
            assert extent[0] <= view.window[0] < view.window[1]
            assert view.window[1] <= extent[1] + 1e-9 * max(abs(extent[0]), abs(extent[1]))
