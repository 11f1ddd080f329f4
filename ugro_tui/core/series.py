"""The step rows of one rank over a run, in bounded memory, with step rewind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ugro_tui.core.columns import HISTORY_WIDTH, Column
from ugro_tui.core.records import Matrix
from ugro_tui.core.thinning import thinning

CAPACITY: Final = 4_096
"""Rows kept per rank by default: the newest half exact, the older half thinned again and again."""

FEWEST_THINNED: Final = 64
"""Rows below which a series is too short to be thinned: it keeps the newest, two thirds of them at the least."""

MAX_REWINDS: Final = 100
"""Rewinds remembered: a script that gives every record the same step would make one each time."""

_GROWTH: Final = 1.2  # at most 9.6 bytes a point while growing, 8.0 when full


@dataclass(frozen=True, slots=True)
class Rewind:
    """The run went back to `step` (a restart, or a rollback); `superseded` kept rows from there on were dropped."""

    step: float
    superseded: int


class Series:
    """Step rows with strictly increasing steps.

    A row whose step is not beyond the last one rewinds the series: the old tail from that step on is superseded (the
    last word wins) and a `Rewind` is noted (the newest `MAX_REWINDS` are kept). When full, the older half is thinned
    where it is densest, so that it covers the whole run evenly: of four rows the lowest loss and the highest stay (or
    one that is not finite instead of the highest), and with them spikes and alarms.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._store: Matrix = np.empty((0, HISTORY_WIDTH))
        self._length = 0
        self.rewinds: list[Rewind] = []

    def __len__(self) -> int:
        return self._length

    @property
    def rows(self) -> Matrix:
        """The live rows, shape `[len(self), HISTORY_WIDTH]`: a view that the next `append` may change."""
        return self._store[: self._length]

    @property
    def last_step(self) -> float:
        """The newest step; NaN where there is none."""
        return self._store.item(self._length - 1, Column.STEP) if self._length else np.nan

    @property
    def has_bad(self) -> bool:
        """Whether a live row has a loss or a gradient norm that is no number."""
        return bool(self.column(Column.BAD).any())

    @property
    def nbytes(self) -> int:
        """Bytes allocated for rows."""
        return self._store.nbytes

    def column(self, column: Column) -> Matrix:
        """One column of the live rows, shape `[len(self)]` (a view)."""
        return self.rows[:, column]

    def limit(self, capacity: int) -> None:
        """Keep at most `capacity` rows from now on."""
        self._capacity = capacity
        if len(self._store) > self._capacity:
            self._make_room(0)
            self._store = self.rows.copy()

    def append(self, rows: Matrix) -> bool:
        """Add decoded rows in file order, shape `[n, WIDTH]`; whether that has superseded rows."""
        return sum([self._extend(part) for part in rising(rows)]) > 0

    def _extend(self, rows: Matrix) -> bool:
        first = rows.item(0, Column.STEP)
        rewinds = first <= self.last_step
        if rewinds:
            self._rewind(first)
        while len(rows):
            taken = rows[: self._capacity // 2]
            rows = rows[len(taken) :]
            self._make_room(len(taken))
            self._reserve(self._length + len(taken))
            self._store[self._length : self._length + len(taken)] = taken[:, :HISTORY_WIDTH]
            self._length += len(taken)
        return rewinds

    def _rewind(self, step: float) -> None:
        keep = int(np.searchsorted(self.column(Column.STEP), step))
        self.rewinds.append(Rewind(step, self._length - keep))
        del self.rewinds[:-MAX_REWINDS]
        self._length = keep

    def _reserve(self, rows: int) -> None:
        if rows > len(self._store):
            grown = np.empty((min(max(int(rows * _GROWTH), 32), max(self._capacity, rows)), HISTORY_WIDTH))
            grown[: self._length] = self.rows
            self._store = grown

    def _make_room(self, rows: int) -> None:
        """Thin no more often than `rows` more need: each time, the newest half has to stay as it is."""
        over = self._length + rows - self._capacity
        if self._capacity < FEWEST_THINNED and over > 0:
            self._keep_newest(self._length - max(self._capacity // 3, over))
        while self._length + rows > self._capacity:
            old = max(self._capacity // 2, self._length + rows - self._capacity) // 4 * 4
            kept = _thinned(self._store[:old])
            rest = self._store[old : self._length].copy()
            self._store[: len(kept)] = kept
            self._store[len(kept) : len(kept) + len(rest)] = rest
            self._length = len(kept) + len(rest)

    def _keep_newest(self, rows: int) -> None:
        self._store[:rows] = self._store[self._length - rows : self._length].copy()
        self._length = rows


def rising(rows: Matrix) -> Sequence[Matrix]:
    """The rows, shape `[n, WIDTH]`, in parts of strictly increasing steps."""
    if len(rows) < 2:
        return [rows] if len(rows) else []
    cuts = np.flatnonzero(np.diff(rows[:, Column.STEP]) <= 0) + 1
    return np.split(rows, cuts) if len(cuts) else [rows]


def _thinned(rows: Matrix) -> Matrix:
    return rows[thinning(rows[:, Column.STEP], rows[:, Column.LOSS], rows[:, Column.BAD] > 0)]
