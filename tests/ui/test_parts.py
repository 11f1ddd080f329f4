"""Sparklines, ticks, columns and charts by themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.content import Content

from tests.ui.scenes import Run, healthy, job, non_finite, snapshot, starting
from ugro_tui.core.curve import Axis
from ugro_tui.ui.columns import GAP, fitting
from ugro_tui.ui.job_columns import COLUMNS as JOB_COLUMNS
from ugro_tui.ui.job_columns import job_lines
from ugro_tui.ui.panels import job_bar
from ugro_tui.ui.plane import limits
from ugro_tui.ui.rank_columns import COLUMNS, RankLines
from ugro_tui.ui.spark import sparkline
from ugro_tui.ui.ticks import log_ticks, round_ticks, tick_label, time_label, time_ticks, x_ticks, y_ticks
from ugro_tui.ui.wording import Words, cut, phrased, shortened, title

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
    slack = max(1e-12, abs(high - low) * 1e-9) if math.isfinite(high - low) else 0
    assert all(low - slack <= tick <= high + slack for tick in ticks)


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.25, 0.05, "0.25"), (1500, 500, "1,500"), (2e7, 1e7, "2.0e+07"), (0.0, 0.05, "0.00"), (0.0, 5e-14, "0"),
        (1.05e12, 5e10, "1.05e+12"), (9.5e-13, 5e-14, "9.5e-13"), (1.005e6, 500, "1,005,000"), (3e-6, 1e-6, "0.000003"),
    ],
)  # fmt: skip
def test_tick_labels_have_the_decimals_they_need(value: float, step: float, text: str) -> None:
    assert tick_label(value, step) == text


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (-2.2, 0.1, 8, ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
        (-2.2, 0.1, 3, ["0.01", "0.1", "1"]),
        (0.3, 0.7, 4, ["2", "3", "4", "5"]),
        (-300.0, 300.0, 4, ["1e-200", "1", "1e+200"]),
    ],
)
def test_ticks_of_a_log_scale_are_round(low: float, high: float, most: int, expected: list[str]) -> None:
    found = y_ticks(low, high, most, log=True)
    assert [text for _, text in found] == expected
    assert all(low <= at <= high for at, _ in found)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 95.0, ["0", "30s", "1m", "1m30s"]),
        (100.0, 3_500.0, ["10m", "20m", "30m", "40m", "50m"]),
        (0.0, 90_000.0, ["0", "6h", "12h", "18h", "1d"]),
        (0.0, 40.0 * 86_400, ["0", "10d", "20d", "30d", "40d"]),
        (0.0, 0.5, ["0", "0.1s", "0.2s", "0.3s", "0.4s", "0.5s"]),
    ],
)
def test_ticks_of_time_stand_on_a_clock(low: float, high: float, expected: list[str]) -> None:
    assert [text for _, text in x_ticks(Axis.TIME, low, high, 6 if high < 1 else 5)] == expected


def test_large_counts_are_short() -> None:
    assert [text for _, text in x_ticks(Axis.TOKENS, 0, 2.1e9, 5)] == ["0", "500M", "1.0G", "1.5G", "2.0G"]
    assert [text for _, text in x_ticks(Axis.STEP, 1, 2, 5)] == ["1", "2"], "there is no half of a step"
    assert [text for _, text in x_ticks(Axis.STEP, 0, 2_500, 3)] == ["0", "1,000", "2,000"]
    assert [text for _, text in x_ticks(Axis.STEP, 0, 2.5e6, 3)] == ["0", "1M", "2M"]
    assert time_label(1e12) == "11.6Md"


@given(NUMBERS, NUMBERS, st.integers(-1, 50))
def test_ticks_of_every_scale_lie_inside_and_are_few(low: float, high: float, most: int) -> None:
    for ticks in (time_ticks(low, high, most), [math.log10(tick) for tick in log_ticks(low, high, most)]):
        assert len(ticks) <= max(0, most)
        slack = max(1e-12, abs(high - low) * 1e-9) if math.isfinite(high - low) else 0
        assert all(low - slack <= tick <= high + slack for tick in ticks)


@given(st.integers(0, 300))
def test_columns_never_exceed_the_width(width: int) -> None:
    columns = fitting(COLUMNS, width)
    assert len(columns) == 1 or sum(column.width + len(GAP) for column in columns) <= width
    assert [column for column in COLUMNS if column in columns] == list(columns)


def test_what_matters_most_stays_longest() -> None:
    assert {column.title for column in fitting(COLUMNS, 40)} >= {"Rank", "State", "Step"}


def test_almost_without_room_a_glyph_stands_beside_the_name() -> None:
    line = job_lines(healthy()).row(0)
    state, name = fitting(JOB_COLUMNS, 20)
    assert (state.text(line), state.heading(), name.text(line)) == ("●", "S", shortened(line.job_id, 8).ljust(8))
    assert [column.title for column in fitting(JOB_COLUMNS, 9)] == ["Job"]


def test_how_far_a_job_is_that_has_no_step_yet_is_not_known() -> None:
    assert math.isnan(job_lines(starting()).row(0).done)


def test_the_trend_of_a_job_ends_where_its_loss_is_no_number_and_begins_with_its_first_step() -> None:
    trend = sparkline(job_lines(non_finite()).row(0).spark)
    assert (len(trend), trend.index("!")) == (16, 15)
    assert job_lines(starting()).row(0).spark == ()


def test_cells_are_exactly_as_wide_as_their_column() -> None:
    for column in COLUMNS:
        for row in range(len(healthy_ranks)):
            assert len(column.text(RankLines(healthy_ranks).row(row))) == column.width


healthy_ranks = healthy().jobs[0].ranks


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_limits_are_finite_and_ordered(values: list[float]) -> None:
    losses = np.array(values) / 8  # a sum of two must stay finite
    frame = limits((0.0, len(losses) - 1.0), [losses], None, [losses[::-1]], log=False)
    assert frame.left < frame.right
    assert frame.bottom < frame.top
    assert math.isfinite(frame.bottom)
    assert math.isfinite(frame.top)


def test_labels_of_a_scale_differ() -> None:
    for low, high in ((9e-13, 1.1e-12), (9e11, 1.1e12), (1e6, 1.01e6), (-1e-7, 1e-7), (2.5, 2.5125), (1e15, 1e15 + 4)):
        labels = [text for _, text in y_ticks(low, high, 6, log=False)]
        assert len(set(labels)) == len(labels) > 1, labels


def test_a_chart_of_one_value_has_that_in_its_middle_and_the_usual_band_is_whole() -> None:
    x, zeros = (0.0, 9.0), np.zeros(10)
    for value in (0.0, 1e-12, -3.0, 1e12):
        plane = limits(x, [zeros + value], None, [], log=False)
        assert plane.up(np.array([value]))[0] == pytest.approx(0.5)
    assert plane.top - plane.bottom > 1e8
    around = limits(x, [zeros + 2.5], (zeros + 2.4, np.append(zeros[1:] + 2.6, 9.9)), [], log=False)
    assert around.bottom < 2.4 < 2.6 < around.top < 3


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("short", 5, "short"),
        ("gpt2-xl-owt-lr3e-4-bs512-seed17", 16, "gpt2-…512-seed17"),
        ("gpt2-xl-owt-lr3e-4-bs512-seed18", 16, "gpt2-…512-seed18"),
        ("漢字漢字漢字漢字漢字1", 10, "漢字…漢字1"),
        ("name", 1, "…"),
    ],
)
def test_names_keep_their_differing_end(name: str, width: int, expected: str) -> None:
    assert shortened(name, width) == expected
    assert cell_len(expected) <= width


def test_a_line_is_broken_between_phrases_and_within_one_only_where_it_is_too_long() -> None:
    said = "pid 14003, run 690c7c9e94e11270, attempt 1"
    assert phrased(said, 42) == [said]
    assert phrased(said, 41) == ["pid 14003, run 690c7c9e94e11270,", "attempt 1"]
    assert phrased(said, 25) == ["pid 14003,", "run 690c7c9e94e11270,", "attempt 1"]
    assert phrased("no: a phrase of many words, end", 16) == ["no:", "a phrase of many", "words, end"]
    assert phrased("", 10) == [""]


def test_a_title_loses_whole_words_the_least_needed_first() -> None:
    forms = [("Loss",), ("  last 2.31  min 2.30", "  last 2.31"), ("  median of 16 ranks", "")]
    parts = [Words(tuple(map(Content, words)), rank) for rank, words in enumerate(forms)]
    found = {title(parts, room).plain for room in range(60)}
    assert found == {"Loss  last 2.31", "Loss  last 2.31  min 2.30", "Loss  last 2.31  min 2.30  median of 16 ranks"}
    assert title(parts, None).plain == "Loss  last 2.31  min 2.30  median of 16 ranks"


def test_the_job_bar_marks_that_there_are_more_jobs_on_the_left() -> None:
    jobs = snapshot(*(job(Run(f"sweep-{number}", ranks=1, steps=2)) for number in range(6))).jobs
    assert job_bar(jobs, "sweep-0", 60).plain.startswith(" 1/6  ● ")
    assert job_bar(jobs, "sweep-5", 40).plain == " 6/6 ‹ ●  sweep-4  ●  sweep-5 "


def test_what_is_cut_says_so_at_its_end() -> None:
    text = Content("one two three four five six")
    assert cut(text, 13, 3) is text
    assert cut(text, 13, 1).plain == "one two thre…"
    assert cut(text, 17, 1, "(4: all)").plain == "one two… (4: all)"
    for width in range(5, 30):
        assert len(cut(text, width, 2, "(4: all)").wrap(width)) <= 2
