"""The points of one metric of one rank over a run, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ugro_tui.core.archive import Line
from ugro_tui.core.records import Matrix
from ugro_tui.core.thinning import Mask, thinning

STEP, TIME, TOKENS, VALUE = range(4)
"""Columns of a matrix of points, shape `[points, 4]`; TIME and TOKENS are NaN where not told, VALUE may be anything."""

LEAST: Final = 256


class Points:
    """Points with strictly ascending steps, from one file.

    As in `Series`, a step that is not beyond the last supersedes all from there on (a restart, or a rollback: the last
    word wins), also where it comes without a value; and when full, the older half is thinned where it is densest: lows,
    highs and values that are not finite stay.
    """

    def __init__(self, capacity: int) -> None:
        self.lowest = np.inf
        """The lowest step seen: where this file is a later one of its rank, it supersedes the earlier from there on."""
        self.rows: Matrix = np.empty((0, 4))
        """What is kept, shape `[points, 4]`; never changed in place."""
        self._capacity = max(LEAST, capacity)

    def limit(self, capacity: int) -> None:
        """Keep at most `capacity` points from now on (`LEAST` at the least)."""
        self._capacity = max(LEAST, capacity)
        self._make_room()

    def append(self, rows: Matrix, told: Mask | None = None) -> None:
        """Add points in file order, shape `[n, 4]`; those without a value, by `told` of shape `[n]`, only supersede."""
        if not len(rows):
            return
        steps = rows[:, STEP]
        later = np.minimum.accumulate(steps[::-1])[::-1]  # the lowest step from each row on
        self.lowest = min(self.lowest, float(later[0]))
        stays = np.append(steps[:-1] < later[1:], True)
        if told is not None:
            stays &= told
        before = self.rows[: np.searchsorted(self.rows[:, STEP], later[0])]
        self.rows = np.concatenate([before, rows[stays]])
        self._make_room()

    def _make_room(self) -> None:
        while len(self.rows) > self._capacity:
            old = (len(self.rows) - self._capacity // 2) // 4 * 4
            part = self.rows[:old]
            kept = part[thinning(part[:, STEP], part[:, VALUE], ~np.isfinite(part[:, VALUE]))]
            self.rows = np.concatenate([kept, self.rows[old:]])


def line_of(rank: int, parts: Sequence[Points]) -> Line | None:
    """The line of a rank from the files of its starts, the earlier ones first; None where none has a point."""
    found, limit = list[Matrix](), np.inf
    for part in reversed(parts):
        found.append(part.rows[: np.searchsorted(part.rows[:, STEP], limit)])
        limit = min(limit, part.lowest)
    step, time, tokens, value = np.ascontiguousarray(np.concatenate([*reversed(found), np.empty((0, 4))]).T)
    return Line(rank, step, time, tokens, value) if len(step) else None
