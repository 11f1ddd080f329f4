"""A line in numbers: what it came to, and between what it went."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ugro_tui.core.archive import Line


@dataclass(frozen=True, slots=True)
class LineNumbers:
    """One metric of one rank in numbers. `last`, at the step `step`, may be anything; the others are of finite values.

    `points` are those that are kept, `non_finite` of them no number; `mean` is that of the others.
    """

    rank: int
    points: int
    non_finite: int
    step: float
    last: float
    low: float
    high: float
    mean: float


def line_numbers(line: Line) -> LineNumbers:
    """The numbers of a line that has a point; NaN where no value is finite."""
    finite = line.value[np.isfinite(line.value)]
    low, high, mean = (finite.min(), finite.max(), _mean(finite)) if len(finite) else (math.nan,) * 3
    last = float(line.value[-1])
    points, step = len(line.value), float(line.step[-1])
    return LineNumbers(line.rank, points, points - len(finite), step, last, float(low), float(high), float(mean))


def earlier_points(line: Line, begun: float) -> int:
    """How many of its points were told before an attempt that has `begun` then (Unix seconds; infinite: not yet)."""
    return int((line.time < begun).sum())


def _mean(values: np.ndarray) -> float:
    """Scaled first: the sum of many large numbers is not finite."""
    scale = max(1.0, float(np.abs(values).max()))
    return float((values / scale).mean() * scale)
