"""The loss of a whole run as one chart: median and band over the ranks, binned by step."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.rank import Rank
from ugro_tui.core.records import Matrix

BINS: Final = 400
"""Points of a curve: two per column of the widest chart that a terminal shows."""

MAX_RANKS: Final = 256
"""Ranks that enter a curve: evenly spread over more of them, the median does not move visibly."""

MAX_MARKS: Final = 100

_LARGEST: Final = 1e290
"""Losses are clipped to this, so that a sum over a million rows stays finite."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Loss over steps. `steps`, `median`, `low`, `high` have shape `[points]`, steps ascending, values finite.

    `bad` are (rank, step) of non-finite records, `restarts` the steps to which the run went back.
    """

    steps: Matrix
    median: Matrix
    low: Matrix
    high: Matrix
    bad: tuple[tuple[int, float], ...] = ()
    restarts: tuple[float, ...] = ()


EMPTY = Curve(np.empty(0), np.empty(0), np.empty(0), np.empty(0))


def loss_curve(ranks: Sequence[Rank], bins: int = BINS) -> Curve:
    """The loss curve over `ranks` in at most `bins` points."""
    chosen = ranks[:: max(1, -(-len(ranks) // MAX_RANKS))]
    histories = [rank.series.rows for rank in chosen if len(rank.series)]
    if not histories:
        return EMPTY
    marks = tuple(islice((mark for rank in ranks for mark in _bad_steps(rank)), MAX_MARKS))
    restarts = tuple(sorted({rewind.step for rank in chosen for rewind in rank.series.rewinds}))[:MAX_MARKS]
    return Curve(*_binned(histories, bins), bad=marks, restarts=restarts)


def _bad_steps(rank: Rank) -> list[tuple[int, float]]:
    rows = rank.series.rows
    return [(rank.rank, float(step)) for step in rows[rows[:, Column.BAD] > 0, Column.STEP][:MAX_MARKS]]


def _binned(histories: Sequence[Matrix], bins: int) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    owner = np.repeat(np.arange(len(histories)), [len(rows) for rows in histories])
    steps = np.concatenate([rows[:, Column.STEP] for rows in histories])
    loss = np.concatenate([rows[:, Column.LOSS] for rows in histories])
    finite = np.isfinite(loss)
    if not finite.any():
        return EMPTY.steps, EMPTY.median, EMPTY.low, EMPTY.high
    owner, steps, loss = owner[finite], steps[finite], np.clip(loss[finite], -_LARGEST, _LARGEST)
    width = max(1.0, np.ceil((steps.max() - steps.min() + 1) / bins))
    at = ((steps - steps.min()) // width).astype(np.intp)
    count = int(at.max()) + 1
    means = _means(owner * count + at, loss, (len(histories), count))
    last_step = np.full(count, -np.inf)
    np.maximum.at(last_step, at, steps)
    used = np.isfinite(last_step)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, at, loss)
    np.maximum.at(high, at, loss)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a bin without points is dropped below
        median = np.nanmedian(means, axis=0)
    return last_step[used], median[used], low[used], high[used]


def _means(cell: np.ndarray, values: Matrix, shape: tuple[int, int]) -> Matrix:
    size = shape[0] * shape[1]
    counts = np.bincount(cell, minlength=size)
    sums = np.bincount(cell, weights=values, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums / counts).reshape(shape)
