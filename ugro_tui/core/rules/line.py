"""The run as one line over steps: what its ranks recorded for the same step, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.eta import WARM_UP_STEPS
from ugro_tui.core.rank import Rank
from ugro_tui.core.records import Matrix
from ugro_tui.core.rules.latch import Floats
from ugro_tui.core.rules.look import Look
from ugro_tui.core.sample import sample

MOST_RANKS: Final = 64
"""Ranks whose records make the line: evenly spread over more of them, their mean is the run's, and costs little."""


@dataclass(frozen=True, slots=True)
class Points:
    """Steps that every rank has made, ascending; all of one shape, NaN where no rank told.

    `loss` is the mean over the ranks, `grad_norm` the highest, `throughput` the mean (tokens/s of one rank), `skipped`
    the highest. `ts`: when the first of them recorded it, Unix seconds.
    """

    step: Floats
    ts: Floats
    loss: Floats
    grad_norm: Floats
    throughput: Floats
    skipped: Floats

    def __len__(self) -> int:
        return len(self.step)


class RunLine:
    """Gives each step of the run once, when all ranks that live have made it."""

    def __init__(self) -> None:
        self._told = -np.inf
        self._mark: object = None

    def advance(self, look: Look) -> tuple[Points, bool]:
        """The steps that are complete since the last time; True where the run began anew before them."""
        ranks = sample(look.job.current(), MOST_RANKS)
        mark = (look.job.attempt, [rank.series.rewinds[-1:] for rank in ranks[:1]])
        anew = mark != self._mark
        if anew:
            self._mark, self._told = mark, -np.inf
        limit = _horizon(look)
        if not limit > self._told:
            return _EMPTY, anew
        parts = [_between(rank, self._told, limit) for rank in ranks]
        self._told = limit
        return _merged([part for part in parts if len(part)]), anew


def _horizon(look: Look) -> float:
    """The step that all ranks that live have recorded; of those that ended, where none lives."""
    steps = look.job.table.latest[: len(look.states), Column.STEP]
    stepped = ~np.isnan(steps)
    told = steps[look.living & stepped if (look.living & stepped).any() else look.current & stepped]
    return float(told.min()) if len(told) else -np.inf


def _between(rank: Rank, after: float, upto: float) -> Matrix:
    """The rank's rows of this attempt with `after` < step <= `upto`, without the warm-up."""
    rows = rank.attempt_rows
    first = max(after, rank.first_step + WARM_UP_STEPS - 1) if len(rows) else after
    steps = rows[:, Column.STEP]
    return rows[np.searchsorted(steps, first, "right") : np.searchsorted(steps, upto, "right")]


_EMPTY: Final = Points(*(np.empty(0) for _ in range(6)))


def _merged(parts: Sequence[Matrix]) -> Points:
    if not parts:
        return _EMPTY
    rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
    step, place = np.unique(rows[:, Column.STEP], return_inverse=True)
    size = len(step)
    return Points(
        step=step,
        ts=-_highest(place, -rows[:, Column.TS], size),
        loss=_mean(place, rows[:, Column.LOSS], size),
        grad_norm=_highest(place, rows[:, Column.GRAD_NORM], size),
        throughput=_mean(place, rows[:, Column.THROUGHPUT], size),
        skipped=_highest(place, rows[:, Column.SKIPPED], size),
    )


def _mean(place: np.ndarray, values: Floats, size: int) -> Floats:
    known = np.isfinite(values)
    counts = np.bincount(place[known], minlength=size)
    sums = np.bincount(place[known], weights=np.clip(values[known], -1e290, 1e290), minlength=size)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _highest(place: np.ndarray, values: Floats, size: int) -> Floats:
    known = np.isfinite(values)
    found = np.full(size, -np.inf)
    np.maximum.at(found, place[known], values[known])
    return np.where(np.isinf(found), np.nan, found)
