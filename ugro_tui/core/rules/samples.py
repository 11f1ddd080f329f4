"""A few samples of a column, taken now and then: what a mean over a minute and a trend over hours need."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from ugro_tui.core.rules.latch import Floats


class Samples:
    """The values of all rows at the last `most` times, `every` seconds apart at the least."""

    def __init__(self, every: float, most: int) -> None:
        self._every = every
        self._times: deque[float] = deque(maxlen=most)
        self._values: deque[npt.NDArray[np.float32]] = deque(maxlen=most)

    def add(self, now: float, values: Floats) -> bool:
        """Take `values` (one a row; rows may be added at the end) if it is time to; whether it was."""
        if self._times and now - self._times[-1] < self._every:
            return False
        self._times.append(now)
        with np.errstate(over="ignore"):
            self._values.append(values.astype(np.float32))  # seven digits tell a trend
        return True

    def since(self, start: float) -> tuple[Floats, Floats]:
        """The samples from `start` on: times, shape `[n]`, and values, `[n, rows]`, NaN where a row was not there."""
        kept = [(time, values) for time, values in zip(self._times, self._values, strict=True) if time >= start]
        rows = max((len(values) for _, values in kept), default=0)
        table = np.full((len(kept), rows), np.nan)
        for place, (_, values) in enumerate(kept):
            table[place, : len(values)] = values
        return np.array([time for time, _ in kept]), table

    @property
    def begun(self) -> float:
        """The time of the oldest sample; infinite before the first."""
        return self._times[0] if self._times else np.inf


def share_of(part: Floats, whole: Floats) -> Floats:
    """`part` / `whole`; NaN where `whole` is nothing, or one of the two is not known or no finite number."""
    known = np.isfinite(part) & (whole > 0) & np.isfinite(whole)
    found: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=known)
    return found
