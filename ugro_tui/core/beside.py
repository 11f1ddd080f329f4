"""The numbers of one rank beside those of the others: which of them stands out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ugro_tui.core.archive import Floats
from ugro_tui.core.columns import Column
from ugro_tui.core.job import Rows
from ugro_tui.core.numbers import plain
from ugro_tui.core.ranks import RankTable
from ugro_tui.core.recent import ROUNDS, mean_times
from ugro_tui.core.records import Matrix

PHASES: Final = ("data", "forward", "backward", "sync_wait", "optimizer")
REST: Final = "rest of the step"
STEP: Final = "step"
WAIT: Final = "sync_wait"

_NUMBERS: Final = (
    Column.STEP, Column.LOSS, Column.GRAD_NORM, Column.LR, Column.THROUGHPUT, Column.TOKENS, Column.EPOCH,
    Column.GPU_UTIL, Column.GPU_MEM_USED, Column.GPU_MEM_TOTAL, Column.GPU_TEMP, Column.GPU_POWER,
    Column.GPU_POWER_LIMIT, Column.GPU_ECC,
)  # fmt: skip

MEAN_OF: Final = f"mean of {ROUNDS}"
"""Whose numbers those of phases are: the newest so many records, by which stragglers are judged too."""

OUTSTANDING: Final = 1.5
"""Times the median from which on a phase stands out."""

LEAST_SHARE: Final = 0.05
"""Of a step, that a phase must cost more than the median of the others: ten times a microsecond explains nothing."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A number of one rank, the median of the same over the others, and the least of all with its rank; NaN: unknown.

    Phases are in seconds a step, the mean of the newest `ROUNDS` records; other numbers in the unit of their `Column`.
    """

    name: str
    own: float
    median: float
    least: float
    least_rank: int | None

    @property
    def ratio(self) -> float:
        """How many times the others' median it is; NaN where that is not known, or 0."""
        return self.own / self.median if self.median > 0 else math.nan

    @property
    def excess(self) -> float:
        """By how much it is more than the others' median; NaN where that is not known."""
        return self.own - self.median


def numbers_beside(table: RankTable, newest: Matrix, rows: Rows, row: int) -> tuple[Beside, ...]:
    """The `newest` numbers of the rank of `row`, beside those of the ranks of `rows`."""
    values = newest[np.append(rows[rows != row], row)]
    ranks = _ranks(table, rows, row)
    return tuple(_beside(column.name.lower(), values[:, column], ranks) for column in _NUMBERS)


def phases_beside(table: RankTable, rows: Rows, row: int) -> tuple[Beside, ...]:
    """The phases of its step, what is left of it, and the whole; empty where none was timed."""
    ranks = _ranks(table, rows, row)
    means = mean_times(table.rounds[np.append(rows[rows != row], row)])
    step, phases = means[:, 0], means[:, 1:]
    if np.isnan(phases[-1]).all() and np.isnan(step[-1]):
        return ()
    timed = ~np.isnan(phases).all(axis=1)
    rest = np.where(timed, np.maximum(step - np.nansum(phases, axis=1), 0.0), np.nan)
    found = [_beside(name, phases[:, place], ranks) for place, name in enumerate(PHASES)]
    return (*found, _beside(REST, rest, ranks), _beside(STEP, step, ranks))


def outstanding(phases: Iterable[Beside]) -> Beside | None:
    """The phase that costs the rank the most beyond the others' median, where that is much; waiting is no work."""
    by_name = {phase.name: phase for phase in phases}
    step = by_name.pop(STEP, None)
    by_name.pop(WAIT, None)
    size = math.nan if step is None else step.own if math.isnan(step.median) else step.median
    far = [
        phase
        for phase in by_name.values()
        if phase.excess > 0 and not phase.ratio < OUTSTANDING and not phase.excess < LEAST_SHARE * size
    ]
    return max(far, key=lambda phase: phase.excess, default=None)


def outstanding_words(phase: Beside) -> str:
    """What stands out, for people."""
    times = "" if math.isnan(phase.ratio) else f": {plain(phase.ratio, 2)} times as long"
    return f"{phase.name} {milliseconds(phase.own)}, others {milliseconds(phase.median)}{times}"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds, for people."""
    return "–" if math.isnan(seconds) else f"{plain(seconds * 1000, 3)} ms"


def _ranks(table: RankTable, rows: Rows, row: int) -> list[int]:
    return [table.by_row[other].rank for other in (*rows[rows != row].tolist(), row)]


def _beside(name: str, values: Floats, ranks: list[int]) -> Beside:
    """`values` of the others, then of the rank itself."""
    known = np.flatnonzero(np.isfinite(values))
    others = values[known[known < len(values) - 1]]
    median = float(np.median(others)) if len(others) else math.nan
    least = int(known[values[known].argmin()]) if len(known) else None
    lowest = math.nan if least is None else float(values[least])
    return Beside(name, float(values[-1]), median, lowest, None if least is None else ranks[least])
