"""The loss curve, sparklines, histories of many ranks, and pictures that do not change."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.record_lines import RUNNING, heartbeat, job, start, step, steps
from ugro_tui.core.archive import Line, Lines
from ugro_tui.core.binning import median_of
from ugro_tui.core.chart_view import extent_of
from ugro_tui.core.columns import HISTORY_WIDTH, Column
from ugro_tui.core.curve import EMPTY, MAX_MARKS, Axis, curve_of, loss_curve
from ugro_tui.core.decode import decode
from ugro_tui.core.job import JobState
from ugro_tui.core.ranks import HISTORY_BUDGET, LONG_HISTORY, RankTable
from ugro_tui.core.series import Series
from ugro_tui.core.snapshot import Snapshot, view
from ugro_tui.core.snapshot import curve_of as loss_of
from ugro_tui.core.trends import SPARK_WIDTH

NAN = float("nan")


# --- curve and sparkline


def test_the_curve_is_the_median_of_the_ranks_with_their_band() -> None:
    state = job(*(start(world_size=3) + steps(0, 9, loss=loss) for loss in (1.0, 2.0, 6.0)))
    curve = loss_curve(state.ranks)
    assert curve.steps.tolist() == list(range(10))
    assert set(curve.median.tolist()) == {2.0}
    assert (set(curve.low.tolist()), set(curve.high.tolist())) == ({1.0}, {6.0})


def test_a_long_run_is_binned_and_keeps_its_spike() -> None:
    spiky = start() + steps(0, 1_999) + step(2_000, loss=99.0) + steps(2_001, 3_999)
    curve = loss_curve(job(spiky).ranks, bins=100)
    assert len(curve.steps) == 100
    assert curve.high.max() == 99.0
    assert curve.steps[-1] == 3_999
    assert (np.diff(curve.steps) > 0).all()


def test_bad_records_and_restarts_are_marked_and_no_point_is_not_finite() -> None:
    state = job(start() + steps(0, 9) + step(10, loss="NaN") + step(11, loss=1.7e308) + step(12, loss=1.7e308))
    state.apply(0, decode(start(attempt=2) + steps(13, 15) + steps(13, 15)), 1.0, "local")
    curve = loss_curve(state.ranks, bins=2)
    assert curve.bad == ((0, 10.0),)
    assert curve.restarts == (13.0,)
    assert all(np.isfinite(part).all() for part in (curve.steps, curve.median, curve.low, curve.high))


@pytest.mark.filterwarnings("error")
@given(
    st.lists(st.tuples(st.floats(-(2.0**53), 2.0**53), st.floats()), max_size=30),
    st.lists(st.tuples(st.integers(0, 50), st.floats()), max_size=30),
)
def test_no_losses_and_no_steps_break_the_curve(one: list[tuple[float, float]], two: list[tuple[int, float]]) -> None:
    state = JobState("job")
    runs: tuple[Sequence[tuple[float, float]], ...] = (one, two)
    for number, pairs in enumerate(runs):
        dumped = (json.dumps({"kind": "step", "step": at, "loss": loss}) for at, loss in pairs)
        state.apply(number, decode("".join(text + "\n" for text in dumped).encode()), 0.0, "local")
    curve = loss_curve(state.ranks, bins=7)
    assert len(curve.steps) <= 8
    assert all(np.isfinite(part).all() for part in (curve.steps, curve.median, curve.low, curve.high))
    assert (np.diff(curve.steps) > 0).all()
    assert not np.isinf(state.table.spark).any()


def test_marks_are_bounded_and_come_from_every_rank() -> None:
    state = job(*(start() + steps(0, 5) for _ in range(300)))
    state.apply(299, decode(step(6, loss="NaN")), 0.0, "local")
    assert loss_curve(state.ranks).bad == ((299, 6.0),)
    many = job(start() + b"".join(step(n, loss="NaN") for n in range(500)))
    marks = loss_curve(many.ranks).bad
    assert (len(marks), marks[0], marks[-1]) == (MAX_MARKS, (0, 0.0), (0, 499.0))


def test_the_axis_goes_on_to_the_newest_step_where_a_run_has_become_nan() -> None:
    told = start() + b"".join(step(n, loss=2.0 if n < 250 else "NaN") for n in range(0, 3_000, 5))
    curve = loss_curve(job(told, told).ranks)
    assert (extent_of((curve,), Axis.STEP) or ())[1:] == (2_995.0,)
    assert {rank for rank, at in curve.bad if at == 250.0} == {0, 1}, "all that begin with it are told"
    values = np.where(np.arange(3_000) < 250, 2.0, NAN)
    metric = curve_of(lines_of([values.tolist()]))
    assert (extent_of((metric,), Axis.STEP) or ())[1:] == (2_999.0,)


_lines_of_a_rank = st.one_of(
    st.builds(step, st.integers(0, 60), loss=st.sampled_from([1.0, 2.5, None, "NaN"])),
    st.builds(step, st.integers(60, 4_000), st.sampled_from([1.0, 2.0, 5.0, 11.0, None])),
    st.builds(start, st.floats(1e6, 2e6), run_id=st.sampled_from(["a", "b"])),
)


@pytest.mark.parametrize(
    ("count", "newest", "points"),
    [(0, NAN, 0), (1, 0.0, 1), (15, 14.0, 15), (16, 15.0, 16), (17, 16.0, 16), (32, 30.5, 16), (500, 497.5, 16)],
)
def test_a_sparkline_is_full_from_its_width_on(count: int, newest: float, points: int) -> None:
    state = job(start() + b"".join(step(n, loss=float(n)) for n in range(count)))
    spark = state.table.spark[0]
    assert spark.shape == (SPARK_WIDTH,)
    np.testing.assert_equal(float(spark[-1]), newest)
    assert np.isfinite(spark).sum() == points
    assert np.isfinite(spark[SPARK_WIDTH - points :]).all()


@pytest.mark.parametrize("piece", [1, 7, 200])
def test_a_sparkline_keeps_what_was_before_many_losses_that_are_no_number(piece: int) -> None:
    lines = [step(n, loss=float(n) if n < 64 else "NaN") for n in range(200)]
    state = job(start())
    for first in range(0, len(lines), piece):
        state.apply(0, decode(b"".join(lines[first : first + piece])), 0.0, "local")
    bad = ~np.isfinite(state.table.spark[0])
    assert bad.tolist() == [False] * (SPARK_WIDTH - 1) + [True]


def test_a_sparkline_skips_records_without_a_loss_and_has_a_hole_where_it_is_not_finite() -> None:
    content = (
        b"".join(step(n, loss=1.0 if n % 2 else None) for n in range(10)) + step(10, loss="NaN") + step(11, loss=3)
    )
    spark = job(start() + content).table.spark[0]
    np.testing.assert_equal(spark[-7:].tolist(), [1.0] * 5 + [NAN, 3.0])


@given(st.lists(st.lists(_lines_of_a_rank, max_size=90), min_size=1, max_size=4), st.data())
def test_sparklines_and_intervals_do_not_depend_on_how_records_were_cut(
    ranks: list[list[bytes]], data: st.DataObject
) -> None:
    whole, cut = job(*map(b"".join, ranks)), JobState("job")
    for number, lines in enumerate(ranks):
        cut.apply(number, decode(b""), 0.0, "local")
        place = 0
        while place < len(lines):
            count = data.draw(st.integers(1, 30))
            cut.apply(number, decode(b"".join(lines[place : place + count])), 0.0, "local")
            place += count
            if data.draw(st.booleans()):
                assert len(cut.table.interval) == len(cut.table.spark)
    size = len(ranks)
    np.testing.assert_equal(cut.table.interval[:size], whole.table.interval[:size])
    np.testing.assert_array_almost_equal(cut.table.spark[:size], whole.table.spark[:size])


# --- histories of many ranks, snapshots


def test_histories_of_many_ranks_share_a_budget() -> None:
    table = RankTable()
    for number in range(600):
        table.rank(number)
        table.apply(table.by_rank[number], decode(steps(1, 2)), 0.0)
    lengths = set()
    for rank in (table.by_rank[0], table.by_rank[599]):
        for first in range(0, 9_000, 500):
            table.apply(rank, decode(steps(first, first + 499)), 0.0)
        lengths.add(len(rank.series))
        assert isinstance(rank.series, Series)
        assert rank.series.nbytes <= HISTORY_BUDGET // 1_024 * HISTORY_WIDTH * 8
    assert min(lengths) >= LONG_HISTORY


def test_the_newest_values_of_the_gpu_come_from_whoever_told_last() -> None:
    state = job(start() + step(1, gpu={"util": 50, "temp": 60, "ecc": 1, "throttle": ["sync_boost"]}) + step(2))
    state.apply_heartbeat(0, heartbeat(gpu={"util": 90, "power_limit": 700, "throttle": []}), 0.0, "local")
    ranks = view(state, 0.0, loss_of(state)).ranks
    assert (ranks.column(Column.GPU_UTIL)[0], ranks.column(Column.GPU_TEMP)[0]) == (90, 60)
    assert [ranks.column(column)[0] for column in (Column.GPU_POWER_LIMIT, Column.GPU_ECC)] == [700, 1]
    assert ranks.column(Column.GPU_THROTTLE)[0] == 0


def test_a_view_does_not_change_with_the_state() -> None:
    state = job(RUNNING, RUNNING)
    picture = view(state, 51.0, loss_of(state))
    before = (picture.ranks.latest.copy(), picture.ranks.spark.copy(), picture.curve.median.copy())
    state.apply(0, decode(step(0, loss=77.0)), 52.0, "local")
    state.apply(5, decode(start() + step(0)), 52.0, "local")
    np.testing.assert_equal((picture.ranks.latest, picture.ranks.spark, picture.curve.median), before)
    assert picture.ranks.rank.tolist() == [0, 1]
    assert len(picture.ranks) == 2


def test_ranks_are_ordered_by_number_whatever_order_they_come_in() -> None:
    state = JobState("job")
    for number in (2, 0, 1):
        state.apply(number, decode(start(world_size=3) + steps(1, number + 1)), 0.0, f"n{number}")
    picture = view(state, 0.0, loss_of(state))
    assert picture.ranks.rank.tolist() == [0, 1, 2]
    assert picture.ranks.column(Column.STEP).tolist() == [1, 2, 3]
    assert [rank.rank for rank in picture.summary.per_rank_stats] == [0, 1, 2]


def test_a_snapshot_finds_its_jobs() -> None:
    state = job(RUNNING, RUNNING)
    picture = view(state, 51.0, loss_of(state))
    snapshot = Snapshot(jobs=(picture,))
    assert snapshot.job("job") is picture
    assert snapshot.job("other") is None


# --- axes, outliers, curves of any metric


def test_every_point_tells_its_time_and_its_tokens() -> None:
    told = b"".join(step(n, loss=1.0, ts=100.0 + 2 * n, tokens=n * 8) for n in range(10))
    untold = b"".join(step(n, loss=3.0, ts=99.0 + 2 * n, tokens=None) for n in range(10))
    curve = loss_curve(job(start() + told, start() + untold).ranks)
    assert curve.time.tolist() == [1.0 + 2 * n for n in range(10)]
    assert curve.tokens.tolist() == [n * 8 for n in range(10)]
    assert curve.ranks == 2
    assert (curve.has(Axis.TOKENS), EMPTY.has(Axis.STEP)) == (True, False)


def lines_of(values: Sequence[npt.ArrayLike], first: int = 0) -> Lines:
    made = []
    for rank, row in enumerate(np.array(one, float) for one in values):
        steps = np.arange(first, first + len(row), dtype=float)
        made.append(Line(rank, steps, 1e9 + steps, np.full(len(row), NAN), row))
    return Lines("metrics.acc", tuple(made), len(made))


def test_a_curve_of_any_metric_and_of_a_window_of_it_in_more_detail() -> None:
    saw = lines_of([np.arange(10_000.0) % 10, 1 + np.arange(10_000.0) % 10])
    curve = curve_of(saw, bins=100)
    assert (len(curve.steps), curve.low.min(), curve.high.max()) == (100, 0.0, 10.0)
    near = curve_of(saw, bins=100, window=(5_000, 5_049))
    assert near.steps.tolist() == list(range(4_999, 5_051))
    assert near.median.tolist() == [0.5 + step % 10 for step in range(4_999, 5_051)]
    assert near.time[0] == 4_999, "seconds since the first record of all"
    assert len(curve_of(saw, window=(20_000, 30_000)).steps) == 1


def test_what_a_metric_came_to_says_whose_numbers_these_are() -> None:
    assert curve_of(lines_of([[4.0, 1.5, 3.0], [4.0, 1.0, 2.0]])).ends.text == "last 2.500 (mean)  min 1.000 (rank 1)"
    assert curve_of(lines_of([[4.0, 1.5, 3.0]])).ends.text == "last 3.000  min 1.500"
    assert curve_of(lines_of([[4.0, NAN], [4.0, 2.0]])).ends.text == "last NaN  min 2.000 (rank 1)"
    assert curve_of(lines_of([[NAN], [math.inf]])).ends.text == "last NaN  min –"
    assert curve_of(lines_of([[], []])).ends.text == "last –  min –"


def test_what_is_no_number_in_a_metric_is_marked_and_left_out() -> None:
    curve = curve_of(lines_of([[1.0, NAN, 3.0], [math.inf, 2.0, 3.0]]))
    assert curve.bad == ((0, 1.0), (1, 0.0))
    assert curve.median.tolist() == [1.0, 2.0, 3.0]
    assert curve_of(Lines("x", (), 0)).steps.tolist() == []
    assert curve_of(lines_of([[NAN, NAN]])).bad == ((0, 0.0), (0, 1.0))


def test_ranks_with_other_steps_meet_in_the_same_points() -> None:
    early, late = lines_of([[1.0] * 10]), lines_of([[3.0] * 10], first=5)
    both = curve_of(Lines("x", early.lines + late.lines, 2))
    assert both.steps.tolist() == list(range(15))
    assert both.median.tolist() == [1.0] * 5 + [2.0] * 5 + [3.0] * 5


def test_a_rank_that_stays_far_from_the_others_is_an_outlier() -> None:
    noise = np.random.default_rng(3)
    values = [2 + noise.normal(0, 0.05, 1_000) for _ in range(16)]
    assert curve_of(lines_of(values)).outliers == ()
    values[11][500:] += 1.5
    values[4][950] += 99.0
    (found,) = curve_of(lines_of(values)).outliers
    assert found.rank == 11
    assert found.values[-1] == pytest.approx(3.5, abs=0.2)
    assert len(found.values) == len(curve_of(lines_of(values)).steps)


def test_outliers_are_few_and_the_farthest_come_first() -> None:
    values = [np.full(100, 2.0 + (rank if rank >= 24 else rank * 1e-4)) for rank in range(32)]
    assert [line.rank for line in curve_of(lines_of(values)).outliers] == [31, 30, 29, 28, 27]


@pytest.mark.parametrize(("ranks", "points"), [(3, 100), (8, 5)])
def test_few_ranks_or_points_make_no_outlier(ranks: int, points: int) -> None:
    values = [np.full(points, 9.0 if rank == 0 else 2.0) for rank in range(ranks)]
    assert curve_of(lines_of(values)).outliers == ()


@given(st.lists(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=9), min_size=1, max_size=9))
def test_the_median_is_numpys(rows: list[list[float]]) -> None:
    width = max(map(len, rows))
    columns = np.array([row + [NAN] * (width - len(row)) for row in rows]) / 4
    np.testing.assert_array_equal(median_of(columns), np.nanmedian(columns, axis=0))
