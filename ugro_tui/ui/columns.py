"""The columns of the rank table: titles, widths, and how a cell reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.numbers import UNKNOWN, age, compact, count, gibibytes, plain
from ugro_tui.core.snapshot import RankColumns
from ugro_tui.core.states import RankState
from ugro_tui.ui.marks import RANK_GLYPHS
from ugro_tui.ui.spark import sparkline


class Row(NamedTuple):
    """One rank's line, as plain Python values: a cell is formatted in a microsecond from these."""

    rank: int
    node: str
    state: RankState
    step_age: float
    spark: list[float]
    latest: list[float]


def row_of(ranks: RankColumns, index: int) -> Row:
    """The line at `index`."""
    return Row(
        int(ranks.rank[index]),
        ranks.node[index],
        RankState(int(ranks.state[index])),
        float(ranks.step_age[index]),
        ranks.spark[index].tolist(),
        ranks.latest[index].tolist(),
    )


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column. `need`: the smaller, the longer it stays when the screen gets narrow."""

    title: str
    width: int
    need: int
    cell: Callable[[Row], str]
    left: bool = False

    def text(self, row: Row) -> str:
        """The cell, exactly `width` wide."""
        return self.fit(self.cell(row))

    def fit(self, text: str) -> str:
        """`text`, exactly `width` wide."""
        if len(text) > self.width:
            text = text[: self.width - 1] + "…"
        return text.ljust(self.width) if self.left else text.rjust(self.width)


def _number(column: Column, shown: Callable[[float], str]) -> Callable[[Row], str]:
    return lambda row: shown(row.latest[column])


def _milliseconds(seconds: float) -> str:
    return plain(seconds * 1000, 3)


def _loss(row: Row) -> str:
    return "NaN!" if row.latest[Column.BAD] > 0 else plain(row.latest[Column.LOSS])


def _memory(row: Row) -> str:
    used, total = row.latest[Column.GPU_MEM_USED], row.latest[Column.GPU_MEM_TOTAL]
    return UNKNOWN if math.isnan(used) else f"{gibibytes(used)}/{gibibytes(total)}".replace("G/", "/")


COLUMNS: Final = (
    TableColumn("Rank", 5, 0, lambda row: str(row.rank)),
    TableColumn("Node", 11, 2, lambda row: row.node or UNKNOWN, left=True),
    TableColumn("State", 13, 1, lambda row: f"{RANK_GLYPHS[row.state]} {row.state.word}", left=True),
    TableColumn("Step", 9, 0, _number(Column.STEP, count)),
    TableColumn("Age", 4, 3, lambda row: age(row.step_age)),
    TableColumn("Loss", 8, 1, _loss),
    TableColumn("Trend", 16, 6, lambda row: sparkline(row.spark), left=True),
    TableColumn("LR", 8, 8, _number(Column.LR, plain)),
    TableColumn("Grad", 7, 7, _number(Column.GRAD_NORM, lambda value: plain(value, 3))),
    TableColumn("Tok/s", 6, 3, _number(Column.THROUGHPUT, compact)),
    TableColumn("GPU%", 4, 4, _number(Column.GPU_UTIL, count)),
    TableColumn("Memory", 11, 5, _memory),
    TableColumn("°C", 4, 9, _number(Column.GPU_TEMP, count)),
    TableColumn("Watt", 5, 12, _number(Column.GPU_POWER, count)),
    TableColumn("Step ms", 8, 10, _number(Column.STEP_TIME, _milliseconds)),
    TableColumn("Data", 7, 11, _number(Column.DATA, _milliseconds)),
    TableColumn("Forw", 7, 13, _number(Column.FORWARD, _milliseconds)),
    TableColumn("Back", 7, 14, _number(Column.BACKWARD, _milliseconds)),
    TableColumn("Wait", 7, 11, _number(Column.SYNC_WAIT, _milliseconds)),
)

GAP: Final = " "

MAX_NODE: Final = 40

_GPU_TITLES = ("GPU%", "Memory", "°C", "Watt")


def fitting(width: int, ranks: RankColumns | None) -> tuple[TableColumn, ...]:
    """The columns that fit into `width` cells: the least needed ones are left out first.

    Those of the GPU are left out where no rank has one.
    """
    gpu = ranks is None or bool(np.isfinite(ranks.column(Column.GPU_UTIL)).any())
    kept = [column for column in COLUMNS if gpu or column.title not in _GPU_TITLES]
    while len(kept) > 1 and sum(column.width + len(GAP) for column in kept) > width:
        kept.remove(max(kept, key=lambda column: column.need))
    spare = width - sum(column.width + len(GAP) for column in kept)
    longest = max(map(len, ranks.node), default=0) if ranks is not None else 0
    return tuple(_widened(column, longest, spare) if column.title == "Node" else column for column in kept)


def _widened(column: TableColumn, longest: int, spare: int) -> TableColumn:
    """Names of nodes differ at their ends: as wide as the longest where there is room."""
    return replace(column, width=max(column.width, min(longest, column.width + spare, MAX_NODE)))
