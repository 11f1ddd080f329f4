"""How fast a run steps, and when it will be done."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ugro_tui.core.archive import Floats
from ugro_tui.core.columns import MAX_COUNT, Column
from ugro_tui.core.records import Matrix
from ugro_tui.core.sorting import median, medians

WARM_UP_STEPS: Final = 5
"""Iterations left out: compilation, autotuning and cold caches make the first ones many times longer (alerts.md)."""

NOW_ROWS: Final = 20
"""Records that tell the pace of now. Their median: fewer than half of them, slowed by an evaluation or a checkpoint, do
not move it (running medians: Tukey, Exploratory Data Analysis, 1977)."""

PLANNED_ROWS: Final = 200
"""Records that tell how much of the time goes into evaluations, checkpoints and other pauses: they are rare."""

AROUND: Final = 9
"""Records around each, whose median is what it would have taken without a pause: a change of pace is none."""


def mean_seconds_per_step(rows: Matrix) -> float:
    """Mean wall time per step without the warm-up; evaluations and checkpoints included.

    `rows`, here and below, are one rank's rows of one attempt, shape `[n, WIDTH]`. NaN where there are too few that
    carry a time.
    """
    step, ts = _settled(rows)
    if len(step) < 2:
        return math.nan
    steps, seconds = step[-1] - step[0], ts[-1] - ts[0]
    return float(seconds / steps) if steps > 0 and seconds > 0 else math.nan


def paces(rows: Matrix) -> tuple[float, float]:
    """Seconds per step of now, and those to plan with: with the share of pauses that there were lately."""
    with np.errstate(over="ignore"):  # times may be anything
        steps, seconds = (np.diff(column[-PLANNED_ROWS - 1 :]) for column in _settled(rows))
    sane = (steps > 0) & (seconds > 0) & (seconds < MAX_COUNT)
    steps, each = steps[sane], seconds[sane] / steps[sane]
    if not len(each):
        return math.nan, math.nan
    now = median(each[-NOW_ROWS:])
    pauses = float(((each - _usual(each)) * steps).sum() / steps.sum())
    return now, now + max(0.0, pauses)


def _settled(rows: Matrix) -> tuple[Floats, Floats]:
    """The steps and times of the rows that have a time, beyond the warm-up."""
    step, ts = rows[:, Column.STEP], rows[:, Column.TS]
    timed = np.isfinite(ts)
    step, ts = step[timed], ts[timed]
    settled = step >= (step[0] if len(step) else math.nan) + WARM_UP_STEPS
    return step[settled], ts[settled]


def _usual(each: Floats) -> Floats:
    """For each value the median of those around it."""
    width = min(AROUND, len(each))
    starts = np.clip(np.arange(len(each)) - width // 2, 0, len(each) - width)
    return medians(each[starts + np.arange(width)[:, None]])


def remaining_seconds(step: float, total_steps: int | None, per_step: float) -> float:
    """Seconds until `total_steps` at `per_step` seconds a step; NaN where either is unknown."""
    if total_steps is None or math.isnan(per_step) or math.isnan(step):
        return math.nan
    return max(0.0, (total_steps - step) * per_step)
