"""The columns of the rank table, and how a cell reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.filter_fields import Values
from ugro_tui.core.numbers import UNKNOWN, age, compact, count, gibibytes, plain
from ugro_tui.core.rank_fields import Numbers, lag, rank_values, trouble
from ugro_tui.core.snapshot import RankColumns
from ugro_tui.core.states import RankState
from ugro_tui.ui.columns import TableColumn
from ugro_tui.ui.lines import Key
from ugro_tui.ui.marks import RANK_GLYPHS, RANK_TONES
from ugro_tui.ui.spark import sparkline


class Row(NamedTuple):
    """One rank's line, as plain Python values: a cell is formatted in a microsecond from these."""

    rank: int
    node: str
    state: RankState
    age: float
    lag: float
    spark: list[float]
    latest: list[float]


class RankLines:
    """The ranks of a job as the lines of a table; `accused`: those that alerts name."""

    def __init__(self, ranks: RankColumns, accused: Collection[int] = ()) -> None:
        self.ranks = ranks
        self._accused = accused

    def __len__(self) -> int:
        return len(self.ranks)

    @cached_property
    def _lag(self) -> Numbers:
        return lag(self.ranks)

    def row(self, index: int) -> Row:
        """The line at `index`."""
        ranks = self.ranks
        return Row(
            int(ranks.rank[index]),
            ranks.node[index],
            RankState(int(ranks.state[index])),
            float(ranks.age[index]),
            float(self._lag[index]),
            ranks.spark[index].tolist(),
            ranks.latest[index].tolist(),
        )

    def key(self, index: int) -> int:
        """The number of the rank at `index`."""
        return int(self.ranks.rank[index])

    def place(self, key: Key) -> int | None:
        """The index of the rank of that number."""
        found = np.flatnonzero(self.ranks.rank == key)
        return int(found[0]) if len(found) else None

    def values(self, field: str) -> Values:
        """One value a rank, by the name of a field."""
        return rank_values(self.ranks, field)

    def trouble(self) -> Numbers:
        """How bad each rank is; 0 where all is well."""
        return trouble(self.ranks, self._accused)


def _number(column: Column, shown: Callable[[float], str]) -> Callable[[Row], str]:
    return lambda row: shown(row.latest[column])


def _milliseconds(seconds: float) -> str:
    return plain(seconds * 1000, 3)


def _loss(row: Row) -> str:
    return "NaN!" if row.latest[Column.BAD] > 0 else plain(row.latest[Column.LOSS])


def _memory(row: Row) -> str:
    used, total = row.latest[Column.GPU_MEM_USED], row.latest[Column.GPU_MEM_TOTAL]
    return UNKNOWN if math.isnan(used) else f"{gibibytes(used)}/{gibibytes(total)}".replace("G/", "/")


def _state(row: Row, _text: str) -> str:
    return RANK_TONES[row.state]


def _broken(_row: Row, text: str) -> str:
    return "bad" if "!" in text else ""


def _trend(_row: Row, text: str) -> str:
    return "bad" if "!" in text else "trend"


def _phase(title: str, need: int, column: Column, field: str) -> TableColumn[Row]:
    return TableColumn(title, 7, need, _number(column, _milliseconds), field, falling=True)


COLUMNS: Final[tuple[TableColumn[Row], ...]] = (
    TableColumn("Rank", 5, 0, lambda row: str(row.rank), "rank", tone=_state),
    TableColumn("Node", 11, 2, lambda row: row.node or UNKNOWN, "node", left=True, grows=True, names=True),
    TableColumn(
        "State", 13, 1, lambda row: f"{RANK_GLYPHS[row.state]} {row.state.word}", "state", left=True, tone=_state
    ),
    TableColumn("Step", 9, 0, _number(Column.STEP, count), "step"),
    TableColumn("Lag", 5, 1, lambda row: compact(row.lag), "lag", falling=True),
    TableColumn("Age", 4, 5, lambda row: age(row.age), "age", falling=True),
    TableColumn("Loss", 8, 4, _loss, "loss", falling=True, tone=_broken),
    TableColumn("Trend", 16, 8, lambda row: sparkline(row.spark), left=True, tone=_trend),
    TableColumn("LR", 8, 10, _number(Column.LR, plain), "lr", falling=True),
    TableColumn("Grad", 7, 9, _number(Column.GRAD_NORM, lambda value: plain(value, 3)), "grad", falling=True),
    TableColumn("Tok/s", 6, 6, _number(Column.THROUGHPUT, compact), "tok"),
    TableColumn("GPU%", 4, 3, _number(Column.GPU_UTIL, count), "gpu"),
    TableColumn("Mem", 11, 7, _memory, "mem", falling=True),
    TableColumn("°C", 4, 11, _number(Column.GPU_TEMP, count), "temp", falling=True),
    _phase("Wait", 2, Column.SYNC_WAIT, "wait"),
    TableColumn("Step ms", 8, 12, _number(Column.STEP_TIME, _milliseconds), "time", falling=True),
    _phase("Data", 13, Column.DATA, "data"),
    TableColumn("Watt", 5, 14, _number(Column.GPU_POWER, count), "power", falling=True),
    _phase("Forw", 15, Column.FORWARD, "forward"),
    _phase("Back", 16, Column.BACKWARD, "backward"),
    _phase("Optim", 17, Column.OPTIMIZER, "optimizer"),
    TableColumn("Epoch", 5, 18, _number(Column.EPOCH, compact), "epoch"),
)

_GPU_TITLES: Final = ("GPU%", "Mem", "°C", "Watt")


def columns_for(ranks: RankColumns | None) -> tuple[TableColumn[Row], ...]:
    """The columns that say something: those of the GPU are left out where no rank has one."""
    if ranks is None or bool(np.isfinite(ranks.column(Column.GPU_UTIL)).any()):
        return COLUMNS
    return tuple(column for column in COLUMNS if column.title not in _GPU_TITLES)
