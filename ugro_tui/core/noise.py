"""Whether numbers of runs differ by more than they vary by themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from ugro_tui.core.archive import Floats

NEWEST: Final = 32
"""Records that tell how much a metric varies around its trend."""

FEWEST: Final = 5
"""With fewer of them it is not known."""

_USUAL: Final = 0.6745 * math.sqrt(6)
"""The median of such differences, where values vary by one standard deviation, independent of each other."""

SIGMAS: Final = 2.0
"""Two values are alike unless they are further apart than so many standard deviations of their difference."""

ALIKE: Final = 0.02
"""Or, where nothing tells how much they vary, than this part of them."""


def spread(ranks: Sequence[tuple[Floats, Floats]], at: float = math.inf) -> float:
    """How much the mean of the ranks varies around its trend up to the place `at`; NaN where too little is known.

    `ranks`: of each the places of its records, not descending, and the finite values there.
    """
    found = [_variance(y[x <= at][-NEWEST:]) for x, y in ranks]
    known = [variance for variance in found if not math.isnan(variance)]
    return math.sqrt(sum(known)) / len(known) if known else math.nan


def _variance(y: Floats) -> float:
    """Of the values around whatever smooth curve they follow: told from how each differs from its two neighbours."""
    if len(y) < FEWEST:
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.abs(np.diff(y, 2))
    return float((np.median(apart) / _USUAL) ** 2)


def best_of(
    values: Sequence[float | str], better: Callable[[Iterable[float]], float], spreads: Sequence[float] = ()
) -> tuple[int, ...]:
    """The places of the best value and of those that cannot be told from it; none where that is so of all.

    `spreads`: how much each varies by itself, NaN where that is not known.
    """
    known = {
        place: value for place, value in enumerate(values) if isinstance(value, float | int) and math.isfinite(value)
    }
    if len(known) < 2:
        return ()
    best = better(known.values())
    first = next(place for place, value in known.items() if value == best)
    varies = spreads or [math.nan] * len(values)
    good = tuple(
        place for place, value in known.items() if abs(value - best) <= _margin(best, varies[first], varies[place])
    )
    return good if len(good) < len(known) else ()


def _margin(best: float, some: float, other: float) -> float:
    apart = SIGMAS * math.hypot(some, other)
    return ALIKE * abs(best) if math.isnan(apart) else apart
