"""Short histories of many ranks in two arrays: an array for each would take a quarter more than it holds."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.columns import HISTORY_WIDTH, Column
from ugro_tui.core.records import Matrix
from ugro_tui.core.series import MAX_REWINDS, Rewind, Series, rising

_EXACT: Final = slice(Column.TS, Column.LOSS + 1)
"""Columns that are kept as they are."""

_MEASURED: Final = slice(Column.GRAD_NORM, Column.STEP_TIME + 1), slice(Column.TOKENS, Column.SKIPPED + 1)
"""Columns of which seven digits are kept: what is measured is not known to more."""

_BAD: Final = _MEASURED[0].stop - _MEASURED[0].start + Column.BAD - _MEASURED[1].start
_STEP: Final = Column.STEP - _EXACT.start
_EXACT_WIDTH: Final = _EXACT.stop - _EXACT.start
_FIRST_WIDTH: Final = _MEASURED[0].stop - _MEASURED[0].start
_WIDTH: Final = _FIRST_WIDTH + _MEASURED[1].stop - _MEASURED[1].start
_GROWTH: Final = 8  # by an eighth


class Pool:
    """Room for series of at most `capacity` rows each, which is too few to thin them: the newest stay."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.lengths: list[int] = []
        self.rewinds: dict[int, list[Rewind]] = {}
        self.exact: Matrix = np.empty((0, capacity, _EXACT_WIDTH))
        self.measured: npt.NDArray[np.float32] = np.empty((0, capacity, _WIDTH), np.float32)

    def series(self) -> PooledSeries:
        """A new series, empty."""
        slot = len(self.lengths)
        if slot == len(self.exact):
            more = max(64, slot // _GROWTH)
            self.exact = np.concatenate([self.exact, np.empty((more, *self.exact.shape[1:]))])
            self.measured = np.concatenate([self.measured, np.empty((more, *self.measured.shape[1:]), np.float32)])
        self.lengths.append(0)
        return PooledSeries(self, slot)

    def adopted(self, series: Series) -> PooledSeries:
        """The newest rows of `series`, and its rewinds, as one that lies here."""
        pooled = self.series()
        pooled.append(series.rows)
        if series.rewinds:
            self.rewinds[len(self.lengths) - 1] = series.rewinds
        return pooled


class PooledSeries:
    """A series of few rows that lie in a pool. It is a `Series` in what it answers; `SEQ`, `LR` and `EPOCH` are NaN.

    Times, steps and losses are as they were recorded, other columns to seven digits.
    """

    __slots__ = ("_pool", "_slot")

    def __init__(self, pool: Pool, slot: int) -> None:
        self._pool = pool
        self._slot = slot

    def __len__(self) -> int:
        return self._pool.lengths[self._slot]

    @property
    def rewinds(self) -> list[Rewind]:
        """The newest rewinds; to read."""
        return self._pool.rewinds.get(self._slot, [])

    @property
    def last_step(self) -> float:
        """The newest step; NaN where there is none."""
        length = len(self)
        return self._pool.exact.item(self._slot, length - 1, _STEP) if length else np.nan

    @property
    def rows(self) -> Matrix:
        """The live rows, shape `[len(self), HISTORY_WIDTH]`: a copy."""
        pool, length = self._pool, len(self)
        exact, measured = pool.exact[self._slot, :length], pool.measured[self._slot, :length]
        rows: Matrix = np.full((length, HISTORY_WIDTH), np.nan)
        rows[:, _EXACT] = exact
        rows[:, _MEASURED[0]] = measured[:, :_FIRST_WIDTH]
        rows[:, _MEASURED[1]] = measured[:, _FIRST_WIDTH:]
        return rows

    def column(self, column: Column) -> Matrix:
        """One column of the live rows, shape `[len(self)]` (a copy)."""
        return self.rows[:, column]

    @property
    def has_bad(self) -> bool:
        """Whether a live row has a loss or a gradient norm that is no number."""
        return bool(self._pool.measured[self._slot, : len(self), _BAD].any())

    def append(self, rows: Matrix) -> bool:
        """Add decoded rows in file order, shape `[n, WIDTH]`; whether that has superseded rows."""
        return sum([self._extend(part) for part in rising(rows)]) > 0

    def _extend(self, rows: Matrix) -> bool:
        first = rows.item(0, Column.STEP)
        rewinds = first <= self.last_step
        if rewinds:
            self._rewind(first)
        most = self._pool.capacity // 2
        for begin in range(0, len(rows), most):
            self._put(rows[begin : begin + most])
        return rewinds

    def _rewind(self, step: float) -> None:
        pool, length = self._pool, len(self)
        keep = int(np.searchsorted(pool.exact[self._slot, :length, _STEP], step))
        noted = pool.rewinds.setdefault(self._slot, [])
        noted.append(Rewind(step, length - keep))
        del noted[:-MAX_REWINDS]
        pool.lengths[self._slot] = keep

    def _put(self, rows: Matrix) -> None:
        pool, length = self._pool, len(self)
        over = length + len(rows) - pool.capacity
        if over > 0:
            length = self._keep_newest(length - max(pool.capacity // 3, over))
        end = length + len(rows)
        exact, measured = pool.exact[self._slot, length:end], pool.measured[self._slot, length:end]
        exact[:] = rows[:, _EXACT]
        with np.errstate(over="ignore"):
            measured[:, :_FIRST_WIDTH] = rows[:, _MEASURED[0]]
            measured[:, _FIRST_WIDTH:] = rows[:, _MEASURED[1]]
        pool.lengths[self._slot] = end

    def _keep_newest(self, rows: int) -> int:
        length = len(self)
        for store in (self._pool.exact[self._slot], self._pool.measured[self._slot]):
            store[:rows] = store[length - rows : length].copy()
        return rows
