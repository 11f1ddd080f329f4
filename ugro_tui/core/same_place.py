"""A metric of several runs at the same place: at the last step, or number of tokens, that all of them have come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ugro_tui.core.archive import Floats, Line, Lines
from ugro_tui.core.curve import Axis
from ugro_tui.core.noise import best_of, spread
from ugro_tui.core.numbers import compact, count, plain

Points: TypeAlias = tuple[Floats, Floats]
"""Places on an axis, not descending, and the finite values there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of all runs at the same place of an axis: the last that all have come to. NaN where not known.

    `beyond`: by how much each is above the first. `spreads`: how much each varies by itself, NaN where not known.
    """

    axis: Axis
    at: float
    values: tuple[float, ...]
    spreads: tuple[float, ...] = ()

    @property
    def beyond(self) -> tuple[float, ...]:
        """Each value minus the first one."""
        return tuple(value - self.values[0] for value in self.values)

    @property
    def least(self) -> tuple[int, ...]:
        """Which have the lowest value, or one that cannot be told from it; empty where that is so of all."""
        return best_of(self.values, min, self.spreads)


def differences(shown: Sequence[Lines | None]) -> list[Difference]:
    """The values at the last step, and at the last number of tokens, that all of them have come to."""
    found = []
    for axis in (Axis.STEP, Axis.TOKENS):
        points = [_all_points(lines, axis) for lines in shown]
        at = _common_end(points)
        values = tuple(_value_at(one, at) for one in points)
        if sum(not math.isnan(value) for value in values) > 1:
            found.append(Difference(axis, at, values, tuple(spread(one, at) for one in points)))
    return found


def difference_texts(difference: Difference) -> tuple[str, ...]:
    """The values as people read them, each but the first with what it is beyond the first."""
    texts = []
    for place, (value, beyond) in enumerate(zip(difference.values, difference.beyond, strict=True)):
        known = place and not math.isnan(beyond)
        texts.append(f"{plain(value)} ({'+' if beyond >= 0 else ''}{plain(beyond, 3)})" if known else plain(value))
    return tuple(texts)


def place_text(metric: str, difference: Difference) -> str:
    """What is compared, and where: `loss at step 4,000`."""
    step = difference.axis is Axis.STEP
    return f"{metric} at {f'step {count(difference.at)}' if step else f'{compact(difference.at)} tokens'}"


def _common_end(points: Sequence[Sequence[Points]]) -> float:
    """The last place that all runs which have one have come to; NaN without one."""
    return min((float(np.median([x[-1] for x, _ in ranks])) for ranks in points if ranks), default=math.nan)


def _value_at(ranks: Sequence[Points], at: float) -> float:
    """The metric at this place, interpolated between two records: the mean of the ranks that have been there."""
    values = [float(np.interp(at, x, value)) for x, value in ranks if x[0] <= at <= x[-1]]
    return sum(values) / len(values) if values else math.nan


def _all_points(lines: Lines | None, axis: Axis) -> list[Points]:
    """The points of the ranks that have some on this axis."""
    found = [_points(line, axis) for line in (lines.lines if lines is not None else ())]
    return [points for points in found if len(points[0])]


def _points(line: Line, axis: Axis) -> Points:
    """Where the finite values of a line lie on the axis, and the values; a count of tokens that goes back stays."""
    along = line.step if axis is Axis.STEP else line.tokens
    good = np.isfinite(along) & np.isfinite(line.value)
    return np.maximum.accumulate(along[good]), line.value[good]
