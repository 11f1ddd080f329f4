"""Pending, firing, resolved: for many rows at once, each with a threshold to fire and another one to clear."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Latch:
    """Rows that fire. A row begins to when its breach has lasted `wait` seconds, and ends when it holds no longer.

    Rows may be added at the end from one update to the next; times are in seconds of one clock. A row of which nothing
    is known for a while keeps its state: whoever judges has it in `hold`.
    """

    def __init__(self) -> None:
        self.firing: Mask = np.zeros(0, bool)
        self.fired_at: Floats = np.empty(0)
        """When each row began to fire; NaN where it does not."""
        self._breached_at: Floats = np.empty(0)
        self._samples: Floats = np.empty(0)
        self._sample: Floats = np.empty(0)

    def update(self, breach: Mask, hold: Mask, now: float, wait: float = 0.0) -> Mask:
        """Take in what is so now; which rows fire. `hold`: rows that go on firing if they do."""
        self._breached_at = np.where(breach, np.fmin(_grown(self._breached_at, len(breach), np.nan), now), np.nan)
        return self._decide(breach & (now - self._breached_at >= wait), hold, now)

    def count(self, breach: Mask, sample: Floats, now: float, samples: float) -> Mask:
        """The same by samples in a row: `sample` changes where a row was sampled anew (NaN: never was)."""
        before, samples_before = _grown(self._sample, len(breach), np.nan), _grown(self._samples, len(breach), 0.0)
        fresh = (sample != before) & ~np.isnan(sample)
        self._sample = np.where(fresh, sample, before)
        self._samples = np.where(fresh, np.where(breach, samples_before + 1, 0.0), samples_before)
        return self._decide(breach & (self._samples >= samples), breach, now)

    def _decide(self, begins: Mask, hold: Mask, now: float) -> Mask:
        more = len(begins) - len(self.firing)
        self.firing = (np.append(self.firing, np.zeros(more, bool)) & hold) | begins
        self.fired_at = np.where(self.firing, np.fmin(_grown(self.fired_at, len(begins), np.nan), now), np.nan)
        return self.firing


def _grown(values: Floats, rows: int, empty: float) -> Floats:
    """The values of so many rows: those that were added are `empty`."""
    return values if len(values) == rows else np.append(values, np.full(rows - len(values), empty))


class LastKnown:
    """The newest value of each row that is known. Rows may be added at the end."""

    def __init__(self) -> None:
        self._values: Floats = np.empty(0)

    def take(self, values: Floats) -> Floats:
        """Take in what is known now (NaN: nothing); what was known last, of each row."""
        before = np.append(self._values, np.full(len(values) - len(self._values), np.nan))
        self._values = np.where(np.isnan(values), before, values)
        return self._values
