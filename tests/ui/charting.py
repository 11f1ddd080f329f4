"""Charts by themselves: a small application around one, and curves that no run should have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from textual.app import App, ComposeResult

from ugro_tui.core.archive import Line, Lines
from ugro_tui.core.chart_view import ChartView
from ugro_tui.core.curve import Axis, Curve, OutlierLine, curve_of
from ugro_tui.core.smoothing import WEIGHTS
from ugro_tui.ui.metric_chart import MetricChart
from ugro_tui.ui.strokes import Trace

SIZES = ((100, 30), (24, 6), (60, 12), (200, 50), (23, 5), (8, 1), (1, 1), (37, 7))
"""Sizes that fuzzed charts are drawn in, below the smallest included."""


class ChartApp(App[None]):
    """One chart, and what it said."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[str] = []
        self.said: list[str] = []
        self.changes = 0

    def compose(self) -> ComposeResult:
        """The chart alone."""
        yield MetricChart()

    @property
    def chart(self) -> MetricChart:
        """The chart."""
        return self.query_one(MetricChart)

    def on_mount(self) -> None:
        """Keys go to the chart."""
        self.chart.focus()

    def on_metric_chart_choose_metric(self, message: MetricChart.ChooseMetric) -> None:
        """Keep what was asked for."""
        self.chosen.append(message.name)

    def on_metric_chart_said(self, message: MetricChart.Said) -> None:
        """Keep what was said."""
        self.said.append(message.text)

    def on_metric_chart_changed(self) -> None:
        """Count."""
        self.changes += 1


def lines_of(values: Sequence[npt.ArrayLike], metric: str = "loss") -> Lines:
    """One line a rank: a step every half second and 8 tokens."""
    made = []
    for rank, row in enumerate(np.array(one, float) for one in values):
        steps = np.arange(len(row), dtype=float)
        made.append(Line(rank, steps, 1e9 + steps / 2, steps * 8, row))
    return Lines(metric, tuple(made), len(made))


def trace_of(values: Sequence[npt.ArrayLike], name: str = "loss") -> Trace:
    """These values a rank as what a chart shows."""
    lines = lines_of(values, name)
    return Trace(name, curve_of(lines), lines)


def strange(random: np.random.Generator) -> tuple[list[Trace], ChartView]:
    """A chart that no run should make, looked at in any way."""
    make = random.choice(np.array([_from_lines, _from_values], object))
    traces = [make(random) for _ in range(random.integers(0, 6))]
    starts = [float(random.choice(trace.curve.steps)) for trace in traces if len(trace.curve.steps)] or [0.0]
    left = float(random.choice([starts[0], starts[0] - 1e3, random.normal() * 1e6]))
    width = float(random.choice([1e-9, 1.0, 50.0, 1e9]))
    window = (left, left + width) if random.random() < 0.4 and left + width > left else None
    view = ChartView(
        axis=list(Axis)[random.integers(3)], log=bool(random.random() < 0.4), level=int(random.integers(len(WEIGHTS))),
        outliers=bool(random.random() < 0.7), window=window, cursor=starts[-1] if random.random() < 0.5 else None,
    )  # fmt: skip
    return traces, view


def _values(random: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    scale = float(random.choice([1.0, 1e-300, 1e-12, 1e6, 1e150, 1e290]))
    values: npt.NDArray[np.float64] = random.normal(random.choice([0.0, 3.0, -3.0]), random.choice([0.0, 1.0]), count)
    values *= scale
    if count and random.random() < 0.5:
        values[random.integers(count)] = random.choice([1e300, -1e300, 0.0, 1e308])
    return values


def _from_lines(random: np.random.Generator) -> Trace:
    """Through the same door as real records: with NaN, infinities and nothing at all."""
    rows = []
    for _ in range(random.integers(0, 9)):
        values = _values(random, int(random.choice([0, 1, 2, 3, 50, 2_000])))
        odd = random.random(len(values)) < random.choice([0.0, 0.3, 1.0])
        values[odd] = random.choice([math.nan, math.inf, -math.inf], int(odd.sum()))
        rows.append(values)
    return trace_of(rows, str(random.choice(["loss", "[red]x[/]", "\x1b]52;c;aGk=\x07", ""])))


def _from_values(random: np.random.Generator) -> Trace:
    """Straight into the chart, with what a curve must not hold."""
    count = int(random.choice([0, 1, 2, 3, 50, 400]))
    steps = np.sort(random.choice(10_000_000, count, replace=False)).astype(float)
    median, spread = _values(random, count), np.abs(_values(random, count))
    median[random.random(count) < 0.05] = math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = median - spread, median + spread
    marks = tuple((0, float(step)) for step in steps[:3])
    time = np.where(random.random(count) < 0.2, np.nan, steps * 2)
    outer = tuple(OutlierLine(rank, _values(random, count)) for rank in range(random.integers(0, 6)))
    restarts = tuple(map(float, steps[-1:])) if random.random() < 0.5 else tuple(map(float, steps[::7]))
    return Trace("x", Curve(steps, median, low, high, marks, restarts, time, outliers=outer))


async def fuzz(charts: int, seed: int) -> int:
    """Draw so many strange charts, in all sizes; how many of them were pictures with axes."""
    random, pictures = np.random.default_rng(seed), 0
    app = ChartApp()
    async with app.run_test(size=SIZES[0]) as pilot:
        for number in range(charts):
            if number % (charts // len(SIZES)) == 0:
                await pilot.resize_terminal(*SIZES[number * len(SIZES) // charts % len(SIZES)])
                await pilot.pause()
            traces, view = strange(random)
            app.chart.show(traces)
            app.chart.look(view)
            app.chart.render()
            assert "\x1b" not in app.chart.title().plain
            pictures += app.chart.columns > 0
    return pictures
