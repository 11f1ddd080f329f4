"""Detectors over one series, fed point by point: they remember, do not look ahead, and end by their own threshold."""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

import numpy as np

from ugro_tui.core.sorting import median

WINDOW, FEWEST = 128, 64
"""Points that a median is taken of, and the fewest for it (alerts.md)."""

RENEWED: Final = 8
"""Points after which the median of the window is taken anew: exact enough, at an eighth of the cost."""

SIGMA: Final = 1.4826
"""MAD times this is the standard deviation of a normal distribution."""


class Episode(NamedTuple):
    """Something that began at `step` (`ts`: Unix seconds): `value` against `threshold`, `usual` before it."""

    step: float
    ts: float
    value: float
    threshold: float
    usual: float


class Baseline:
    """Median and MAD of the last points. What is added while something is wrong is up to the caller."""

    def __init__(self) -> None:
        self._window: deque[float] = deque(maxlen=WINDOW)
        self._added = 0
        self.median = math.nan
        self.mad = math.nan

    def add(self, value: float) -> None:
        """Take one more point in."""
        self._window.append(value)
        self._added += 1
        size = len(self._window)
        if size >= FEWEST and (self._added % RENEWED == 0 or size == FEWEST):
            values = np.array(self._window)
            self.median = median(values)
            self.mad = median(np.abs(values - self.median))

    @property
    def known(self) -> bool:
        """Whether there were points enough."""
        return not math.isnan(self.median)


class Spikes:
    """2 of 3 points far above the median, or one `factor` times the highest so far; over after `records` calm ones.

    While it lasts the baseline stays as it was: what is judged must not move the measure. The least excess is a share
    of the median, for a MAD may be 0.
    """

    def __init__(self) -> None:
        self.baseline = Baseline()
        self.episode: Episode | None = None
        self._recent: deque[tuple[bool, Episode]] = deque(maxlen=3)
        self._calm = 0
        self._highest = math.nan

    def feed(
        self, step: float, ts: float, value: float, *, sigmas: float, least: float, records: float,
        factor: float = math.inf,
    ) -> None:  # fmt: skip
        """Judge one finite point."""
        if self.episode is not None:
            self._follow(value, records)
            return
        base = self.baseline
        margin = max(sigmas * SIGMA * base.mad, least * abs(base.median)) if base.known else math.inf
        peak = value > factor * self._highest > 0
        limit = factor * self._highest if peak else base.median + margin
        above = value > limit
        self._recent.append((above, Episode(step, ts, value, limit, base.median)))
        if above and (peak or sum(one for one, _ in self._recent) >= 2):
            self._begin(peak=peak)
            return
        base.add(value)
        self._highest = value if math.isnan(self._highest) else max(self._highest, value)

    def _begin(self, *, peak: bool) -> None:
        first = next(episode for above, episode in self._recent if above)
        last = self._recent[-1][1]
        usual = first.usual if not math.isnan(first.usual) else self._highest
        begun = last if peak else first
        self.episode = Episode(begun.step, begun.ts, max(first.value, last.value), begun.threshold, usual)
        self._recent.clear()
        self._calm = 0

    def _follow(self, value: float, records: float) -> None:
        assert self.episode is not None
        usual, limit = self.episode.usual, self.episode.threshold
        self._calm = self._calm + 1 if value < usual + (limit - usual) / 2 else 0
        if self._calm >= records:
            self.episode = None
            self._recent.clear()


class Divergence:
    """A spike from which the loss has not come back after some steps. `recent` is judged by its median."""

    def __init__(self) -> None:
        self.episode: Episode | None = None
        self._open: Episode | None = None
        self._seen: Episode | None = None
        self._recent: deque[float] = deque(maxlen=25)

    def feed(self, step: float, ts: float, value: float, spike: Episode | None, *, steps: float, factor: float) -> None:
        """Judge one finite point, after the spikes have."""
        if self._open is None:
            if spike is None or not math.isfinite(spike.usual):
                return
            # It came back once since this spike, which is not over yet: if it rises again, its steps count from here.
            self._open = spike._replace(step=step, ts=ts) if spike is self._seen else spike
            self._seen = spike
            self._recent.clear()
        self._recent.append(value)
        usual = self._open.usual
        limit = usual + (factor - 1.0) * abs(usual)
        level = median(np.array(self._recent))
        if level <= limit and (self.episode is None or len(self._recent) == self._recent.maxlen):
            self._open = self.episode = None
        elif self.episode is None and step - self._open.step >= steps:
            self.episode = Episode(self._open.step, ts, level, limit, usual)


class Drop:
    """Below a share of the median for some steps (and 3 points); over above another share, twice in a row."""

    def __init__(self) -> None:
        self.baseline = Baseline()
        self.episode: Episode | None = None
        self._low: Episode | None = None
        self._lows = 0
        self._highs = 0

    def feed(self, step: float, ts: float, value: float, *, share: float, clear: float, steps: float) -> None:
        """Judge one finite point."""
        usual = self.baseline.median
        if self.episode is not None:
            self._highs = self._highs + 1 if value > clear * self.episode.usual else 0
            if self._highs >= 2:
                self.episode = self._low = None
            return
        if not (self.baseline.known and value < share * usual):
            self._low = None
            self.baseline.add(value)
            return
        if self._low is None:
            self._low, self._lows = Episode(step, ts, value, share * usual, usual), 0
        self._lows += 1
        if step - self._low.step >= steps and self._lows >= 3:
            self.episode = Episode(self._low.step, ts, value, share * usual, usual)
            self._highs = 0
