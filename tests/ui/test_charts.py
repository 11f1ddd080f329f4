"""Charts: every key and the mouse, titles that say what is seen, and curves that no run should have."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from textual.app import App, RenderResult
from textual.events import MouseScrollUp
from textual.pilot import Pilot

from tests.ui.charting import ChartApp, fuzz, lines_of, trace_of
from ugro_tui.core.archive import Lines
from ugro_tui.core.binning import cut
from ugro_tui.core.chart_view import ChartView
from ugro_tui.core.curve import EMPTY, Axis, Curve, curve_of
from ugro_tui.ui.chart_title import metric_title
from ugro_tui.ui.help import Group, help_text
from ugro_tui.ui.metric_chart import MetricChart
from ugro_tui.ui.plane import Field, Plane
from ugro_tui.ui.shade import NO_DOTS, shade
from ugro_tui.ui.strokes import DOT, Band, Trace, drawing, sign_places

STEPS = np.arange(1_000.0)
RANKS = [4 - STEPS / 500 + rank * 0.01 * np.sin(STEPS / 3) for rank in range(8)]
LOSS = trace_of([*RANKS, RANKS[0] + 3])


@asynccontextmanager
async def charted(*traces: Trace, size: tuple[int, int] = (100, 30)) -> AsyncIterator[tuple[ChartApp, Pilot[None]]]:
    app = ChartApp()
    async with app.run_test(size=size) as pilot:
        app.chart.show(traces)
        await pilot.pause()
        yield app, pilot


def seen(app: App[None]) -> str:
    """All that is on the screen, as plain text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def test_every_key_does_what_the_help_says() -> None:
    async with charted(LOSS) as (app, pilot):
        chart = app.chart
        for key, cursor in (("left", 999.0), ("left", 992.0), ("right", 999.0), ("escape", None)):
            await pilot.press(key)
            assert chart.view == ChartView(cursor=cursor), key
        await pilot.press("plus")
        assert chart.view.window == pytest.approx((251.25, 749.75))
        left, right = 251.25, 749.75
        await pilot.press("shift+right")
        assert chart.view.window == pytest.approx((left + (right - left) / 4, right + (right - left) / 4))
        await pilot.press("shift+left", "minus")
        assert chart.view.window is None
        await pilot.press("full_stop", "full_stop", "comma")
        assert chart.view.weight == 0.3
        await pilot.press("x")
        assert chart.view.axis is Axis.TIME
        await pilot.press("x", "x", "y", "o")
        assert (chart.view.axis, chart.view.log, chart.view.outliers) == (Axis.STEP, True, False)
        await pilot.press("m")
        await pilot.pause()
        assert app.chosen == ["loss"]
        assert app.changes == 16


async def test_a_key_that_has_nothing_to_show_says_so() -> None:
    lines = lines_of(RANKS)
    bare = Lines("loss", tuple(replace(line, tokens=line.tokens * np.nan) for line in lines.lines), lines.ranks)
    async with charted(Trace("loss", curve_of(bare))) as (app, pilot):
        await pilot.press("x")
        assert (app.chart.view.axis, app.said) == (Axis.TIME, [])
        await pilot.press("x", "o")
        assert app.chart.view.axis is Axis.STEP
        assert app.said[0] == "loss tells no tokens: over steps"
        assert app.said[1].startswith("no rank is far outside the others")


def test_the_help_names_the_keys_as_they_are_printed() -> None:
    text = help_text(Group("Chart", MetricChart.BINDINGS)).plain
    for keys, what in (("+ = -", "Zoom in"), (", .", "Smooth less"), ("shift+← shift+→", "Pan")):
        assert re.search(rf"^  {re.escape(keys)} +{what}", text, re.MULTILINE), keys


async def test_the_mouse_puts_the_cursor_and_zooms() -> None:
    async with charted(LOSS) as (app, pilot):
        await pilot.click(MetricChart, offset=(99, 10))
        assert app.chart.view.cursor == pytest.approx(LOSS.curve.steps[-1])
        await pilot.click(MetricChart, offset=(0, 10))
        assert app.chart.view.cursor == pytest.approx(LOSS.curve.steps[0])
        await pilot._post_mouse_events([MouseScrollUp], MetricChart, (99, 5))
        assert app.chart.view.window is not None
        assert app.chart.view.window[1] == pytest.approx(LOSS.curve.steps[-1])


async def test_the_title_keeps_what_was_set_last() -> None:
    async with charted(trace_of(RANKS), size=(50, 12)) as (app, pilot):
        app.chart.look(ChartView(level=4, log=True))
        await pilot.press("plus")
        assert re.search(r" zoom [\d,]+–[\d,]+$", app.chart.title(width=50).plain)
        await pilot.press("full_stop")
        assert "smooth 0.9" in app.chart.title(width=50).plain


async def test_a_zoom_shows_more_than_the_whole_did() -> None:
    spiky = np.full(40_000, 2.0)
    spiky[20_000:20_200:2] = 3.0
    async with charted(trace_of([spiky])) as (app, pilot):
        chart = app.chart
        before = drawing(chart._traces, chart.view, 100)
        chart.look(ChartView(window=(19_990.0, 20_090.0)))
        made = chart.made()
        assert before is not None
        assert made is not None
        ((x, y),) = made.strokes[0].pieces
        assert (x[0], x[-1]) == (19_990.0, 20_090.0)
        assert set(np.round(y, 6)) == {2.0, 3.0}
        assert set(np.diff(x)) == {1.0}
        for _ in range(2):
            await pilot.press("right")
        assert chart.view.cursor == 20_091.0, "one column on, beyond the window"
        assert chart.view.window == (20_041.0, 20_141.0)
        await pilot.press("minus")


async def test_a_zoom_over_time_shows_that_time_although_the_lines_begin_later() -> None:
    whole, lines = LOSS.curve, LOSS.lines
    assert lines is not None
    later = Lines("loss", tuple(cut(line, 500, 999) for line in lines.lines), lines.ranks)
    async with charted(Trace("loss", whole, later)) as (app, _):
        app.chart.look(ChartView(axis=Axis.TIME, window=(300.0, 350.0), cursor=325.0))
        made = app.chart.made()
        assert made is not None
        x = made.strokes[-1].pieces[0][0]
        assert (x[0], x[-1]) == (300.0, 350.0)
        assert len(x) == 101
        assert "step 650 at 5m25s" in app.chart.title().plain


async def test_the_title_tells_what_is_seen() -> None:
    bad = [row.copy() for row in RANKS] + [RANKS[0] + 3]
    bad[2][400] = np.nan
    async with charted(trace_of(bad), size=(140, 30)) as (app, _):
        text = app.chart.title().plain
        assert "loss  last 2.335 (mean)  min 1.942 (rank 7)  ── median of 9 ranks  ░ min–max  a rank 8" in text
        assert "✖ NaN at step 400 (rank 2)" in text
        app.chart.look(ChartView(cursor=401.0, level=4, window=(300.0, 500.0)))
        text = app.chart.title().plain
        assert "step 401: median 3.2" in text
        assert ", 3.1" in text
        assert "a rank 8 6.198" in text
        assert "smooth 0.9 · zoom 300–500" in text
        app.chart.look(ChartView(axis=Axis.TIME, outliers=False))
        assert "1 outlier hidden" in app.chart.title().plain
        assert "over time" in app.chart.title().plain
        assert seen(app).count("✖") == 1


def test_a_narrow_title_says_less_and_cuts_no_word() -> None:
    bad = [row.copy() for row in RANKS] + [RANKS[0] + 3]
    bad[2][400] = np.nan
    traces, view = [trace_of(bad)], ChartView(axis=Axis.TIME, level=4, log=True, window=(75.0, 125.0))
    whole = metric_title(traces, view, None).plain
    found = [metric_title(traces, view, None, room=room).plain for room in range(len(whole) + 1)]
    assert all(len(text) <= room for room, text in enumerate(found) if room >= 53)
    assert found[-1] == whole
    assert found[81] == "loss  last 2.335 (mean)  min 1.942  ✖ NaN at step 400  time · smooth · log · zoom"
    assert found[53] == "loss  last 2.335  ✖ NaN  time · smooth · log · zoom"
    last = {name: metric_title(traces, view, None, room=62, newest=name).plain for name in ("axis", "level", "window")}
    assert {name: text.partition("  ✖ NaN  ")[2] for name, text in last.items()} == {
        "axis": "over time · smooth · log · zoom",
        "level": "time · smooth 0.9 · log · zoom",
        "window": "time · smooth · log · zoom 1m15s–2m5s",
    }
    names = [trace_of([RANKS[0]], f"a-very-long-name-of-a-run-{number}") for number in range(4)]
    brief = metric_title(names, ChartView(), None, room=70).plain
    assert len(brief) <= 70
    assert [part for part in "0123" if f"run-{part}" in brief] == []


def test_a_log_scale_says_what_it_leaves_out() -> None:
    trace = trace_of([np.array([1.0, 10.0, -1.0, 0.0, 100.0])])
    made = drawing([trace], ChartView(log=True), 80)
    assert made is not None
    assert made.hidden == 2
    assert [y.tolist() for stroke in made.strokes for _, y in stroke.pieces] == [[0.0, 1.0, 2.0]]
    assert "log y (2 points ≤ 0 left out)" in metric_title([trace], ChartView(log=True), made).plain
    assert metric_title([trace], ChartView(log=True), made, room=40).plain.endswith("  log (2 ≤ 0 out)")
    assert drawing([trace_of([np.array([-1.0, 0.0])])], ChartView(log=True), 80) is None


def test_a_restart_and_a_hole_break_the_line() -> None:
    steps = np.concatenate([np.arange(100.0), np.arange(150.0, 250.0)])
    flat = np.ones(len(steps))
    made = drawing([Trace("loss", Curve(steps, flat, flat, flat, restarts=(200.0,)))], ChartView(), 80)
    assert made is not None
    assert [(x[0], x[-1]) for x, _ in made.strokes[0].pieces] == [(0.0, 99.0), (150.0, 199.0), (200.0, 249.0)]
    assert made.restarts.tolist() == [200.0]


def test_at_most_two_points_a_column_and_every_spike_stays() -> None:
    noise = np.random.default_rng(1).normal(2, 0.1, 400)
    noise[[37, 211]] = 3.0, 1.0
    made = drawing([Trace("loss", Curve(np.arange(400.0), noise, noise, noise))], ChartView(), 40)
    assert made is not None
    ((x, y),) = made.strokes[0].pieces
    column = np.round(x / 399 * 39).astype(int)
    assert np.bincount(column)[1:-1].max() == 2
    assert {37.0, 211.0, 0.0, 399.0} <= set(x)
    assert (y.max(), y.min()) == (made.plane.top, made.plane.bottom)


async def test_curves_that_end_at_one_place_keep_both_their_letters() -> None:
    one = trace_of([RANKS[0]])
    made = drawing([one, replace(one, name="eval_loss")], ChartView(), 80)
    assert made is not None
    field = Field(made.plane, 6, 80, 20)
    (first, x, _), (second, before, _) = sign_places(made.strokes, field)
    assert (first.glyph, second.glyph, x.tolist()) == ("A", "B", [1.0])
    assert 0.95 < before[0] < 1.0
    async with charted(one, replace(one, name="eval_loss")) as (app, _):
        plot = "\n".join(line.replace("eval_loss", "") for line in seen(app).splitlines()[1:])
        assert plot.count("A") == plot.count("B") == 1


def test_several_curves_are_told_apart_by_numbers() -> None:
    one, two = trace_of([RANKS[0]]), trace_of([RANKS[0] + 1], "eval_loss")
    made = drawing([one, two], ChartView(), 80)
    assert made is not None
    assert [stroke.glyph for stroke in made.strokes] == ["A", "B"]
    assert made.band is None
    assert metric_title([one, two], ChartView(), made, room=40).plain == "last  A loss 2.002  B eval_loss 3.002"
    lows = metric_title([one, two], ChartView(), made, room=60).plain
    assert re.fullmatch(r"last  A loss 2.002 min \S+  B eval_loss 3.002 min \S+", lows)
    read = metric_title([one, two], ChartView(cursor=500.0), made).plain
    assert read == "step 500: A loss 3.002  B eval_loss 4.002"


def test_the_band_fills_the_cells_between_low_and_high() -> None:
    x = np.array([0.0, 1.0])
    field = Field(Plane(0.0, 1.0, 0.0, 4.0), 0, 3, 4)
    rows = shade(Band(((x, np.array([0.0, 0.0]), np.array([4.0, 4.0])),)), field)
    assert rows == [chr(0x28FF) * 3] * 4
    rows = shade(Band(((x, np.array([0.0, 0.0]), np.array([0.0, 4.0])),)), field)
    assert rows[3][0] == NO_DOTS
    assert rows[3][2] != NO_DOTS


async def test_one_point_is_seen_and_what_is_no_number_is_not_called_nothing() -> None:
    async with charted(trace_of([[2.5], [2.6]])) as (app, pilot):
        assert seen(app).count(DOT) == 1
        app.chart.show([trace_of([[np.nan] * 9, [np.nan, np.inf]])])
        await pilot.pause()
        assert "no number among its values: NaN or infinite since step 0" in seen(app)


async def test_a_chart_without_room_still_says_the_newest_value() -> None:
    async with charted(LOSS, size=(20, 2)) as (app, pilot):
        assert "loss 2.0" in seen(app)
        assert "▁" in seen(app)
        app.chart.show([Trace("loss", EMPTY)])
        await pilot.pause()
        assert "nothing recorded" in seen(app)


async def test_what_is_the_same_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with charted(LOSS) as (app, _):
        drawn: list[int] = []
        real = MetricChart._draw

        def counting(chart: MetricChart, width: int, height: int) -> RenderResult:
            drawn.append(width)
            return real(chart, width, height)

        monkeypatch.setattr(MetricChart, "_draw", counting)
        app.chart.show([Trace("loss", LOSS.curve, LOSS.lines)])
        app.chart.render()
        assert not drawn
        app.chart.show([Trace("loss", curve_of(lines_of(RANKS)))])
        app.chart.render()
        assert drawn == [100]


async def test_no_chart_fails() -> None:
    assert await fuzz(200, seed=7) > 40
