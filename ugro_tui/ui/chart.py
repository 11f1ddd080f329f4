"""The loss chart. The one file that knows plotext, fed with nothing that could hurt it.

Measured on plotext 5.3: infinity raises, and a spike far outside the limits costs seconds. So only finite points go
in, clipped to the limits; what is not finite is drawn as a mark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from textual.app import RenderResult
from textual.color import Color
from textual.content import Content
from textual_plotext import PlotextPlot

from ugro_tui.core.curve import EMPTY, Curve
from ugro_tui.core.numbers import loss_text, plain
from ugro_tui.core.records import Matrix
from ugro_tui.core.summary import JobSummary
from ugro_tui.ui.ticks import round_ticks, tick_label

SMALLEST = (24, 6)
"""Cells below which axes would leave no room for the data."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The part of the plane that is drawn."""

    left: float
    right: float
    bottom: float
    top: float


def limits(curve: Curve) -> Limits:
    """What to draw: all steps, and the losses without outliers so far out that they would flatten the rest."""
    low, high = np.percentile(curve.median, [1, 99])
    span = max(high - low, abs(high) * 1e-3, 1e-9)
    bottom = max(float(curve.low.min()), low - span / 2)
    top = min(float(curve.high.max()), high + span / 2)
    if not top - bottom > 1e-9 * max(abs(top), abs(bottom)):
        bottom, top = bottom - span / 2, top + span / 2
    margin = (top - bottom) / 20
    bottom, top = bottom - margin, top + margin
    left, right = float(curve.steps[0]), float(curve.steps[-1])
    return Limits(left, right if right > left else left + 1.0, bottom, top)


def title(curve: Curve, summary: JobSummary, *, brief: bool) -> Content:
    """The chart's title with its legend: never over the data. `brief` leaves out what explains itself."""
    ranks = summary.ranks_seen
    if not len(curve.steps):
        return Content("Loss")
    parts: list[Content | str | tuple[str, str]] = [
        ("Loss", "bold"),
        f"  last {loss_text(summary.final_loss, bad=summary.loss_bad)}  min {plain(summary.min_loss)}",
    ]
    if ranks > 1 and not brief:
        parts += [("  ── ", "$accent"), f"median of {ranks} ranks", ("  ·· ", "$text-muted"), "min–max"]
    if curve.restarts:
        parts += [("  │ ", "$warning"), "restart"]
    if curve.bad:
        rank, step = curve.bad[0]
        there = {other for other, at in curve.bad if at == step}
        who = f"{len(there)} ranks" if len(there) > 1 else f"rank {rank}"
        parts += [("  ✖ ", "bold $error"), f"NaN at step {step:,.0f} ({who})"]
    return Content.assemble(*parts)


class LossChart(PlotextPlot):
    """The loss of a run: median line, band of the ranks, marks where it was not a number and where it restarted."""

    DEFAULT_CSS = "LossChart { background: $surface; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._curve = EMPTY
        self._drawn: tuple[object, ...] = ()
        self._picture: RenderResult = ""

    def show(self, curve: Curve) -> None:
        """Show this curve from now on."""
        if curve is not self._curve:
            self._curve = curve
            self.refresh()

    def render(self) -> RenderResult:
        """The chart, drawn again only when curve, size or theme changed."""
        curve, (width, height) = self._curve, self.size
        key = (id(curve), width, height, self.app.theme)
        if key != self._drawn:
            self._drawn, self._picture = key, self._draw(curve, width, height)
        return self._picture

    def _draw(self, curve: Curve, width: int, height: int) -> RenderResult:
        if not len(curve.steps):
            return Content.styled("no loss recorded yet", "$text-muted")
        if width < SMALLEST[0] or height < SMALLEST[1]:
            return Content(f"loss {plain(float(curve.median[-1]))}")
        frame = limits(curve)
        self.plt.clear_figure()
        self._axes(frame, width, height)
        self._lines(curve, frame)
        self._marks(curve, frame)
        return super().render()

    def _axes(self, frame: Limits, width: int, height: int) -> None:
        plot = self.plt
        plot.xlim(frame.left, frame.right)
        plot.ylim(frame.bottom, frame.top)
        for low, high, most, put in (
            (frame.left, frame.right, max(2, width // 14), plot.xticks),
            (frame.bottom, frame.top, max(2, height // 3), plot.yticks),
        ):
            values = round_ticks(low, high, most)
            step = values[1] - values[0] if len(values) > 1 else 1.0
            put(values, [tick_label(value, step) for value in values])

    def _lines(self, curve: Curve, frame: Limits) -> None:
        quiet, bright = self._rgb("foreground", 0.35), self._rgb("accent", 1.0)
        banded = bool((curve.high > curve.low).any())
        for values in (curve.low, curve.high) if banded else ():
            self._line(curve.steps, values, frame, quiet, "braille")
        self._line(curve.steps, curve.median, frame, bright, "braille")
        for line in curve.outliers:
            known = np.isfinite(line.values)
            self._line(curve.steps[known], line.values[known], frame, self._rgb("error", 1.0), "braille")

    def _line(self, steps: Matrix, values: Matrix, frame: Limits, color: tuple[int, int, int], marker: str) -> None:
        clipped = np.clip(values, frame.bottom, frame.top)
        self.plt.plot(steps.tolist(), clipped.tolist(), color=color, marker=marker)

    def _marks(self, curve: Curve, frame: Limits) -> None:
        inside = sorted({step for _, step in curve.bad if frame.left <= step <= frame.right})
        if inside:
            heights = [frame.top] * len(inside)
            self.plt.scatter(inside, heights, color=self._rgb("error", 1.0), marker="✖")
        for step in curve.restarts:
            if frame.left <= step <= frame.right:
                self.plt.vline(step, color=self._rgb("warning", 1.0))

    def _rgb(self, name: str, strength: float) -> tuple[int, int, int]:
        variables = self.app.theme_variables
        color = Color.parse(variables[name])
        surface = Color.parse(variables["surface"])
        return surface.blend(color, strength).rgb if not math.isclose(strength, 1.0) else color.rgb
