"""The columns of the rank table: titles, widths, and how a cell reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.numbers import UNKNOWN, age, compact, count, gibibytes, plain
from ugro_tui.core.snapshot import RankColumns
from ugro_tui.core.states import RankState
from ugro_tui.ui.marks import RANK_GLYPHS
from ugro_tui.ui.spark import sparkline


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column. `need`: the smaller, the longer it stays when the screen gets narrow."""

    title: str
    width: int
    need: int
    cell: Callable[[RankColumns, int], str]
    left: bool = False

    def text(self, ranks: RankColumns, row: int) -> str:
        """The cell, exactly `width` wide."""
        return self.fit(self.cell(ranks, row))

    def fit(self, text: str) -> str:
        """`text`, exactly `width` wide."""
        if len(text) > self.width:
            text = text[: self.width - 1] + "…"
        return text.ljust(self.width) if self.left else text.rjust(self.width)


def _number(column: Column, shown: Callable[[float], str]) -> Callable[[RankColumns, int], str]:
    return lambda ranks, row: shown(float(ranks.latest[row, column]))


def _state(ranks: RankColumns, row: int) -> str:
    state = RankState(int(ranks.state[row]))
    return f"{RANK_GLYPHS[state]} {state.word}"


def _loss(ranks: RankColumns, row: int) -> str:
    if ranks.latest[row, Column.BAD] > 0:
        return "NaN!"
    return plain(float(ranks.latest[row, Column.LOSS]))


def _memory(ranks: RankColumns, row: int) -> str:
    used, total = ranks.latest[row, Column.GPU_MEM_USED], ranks.latest[row, Column.GPU_MEM_TOTAL]
    if math.isnan(used):
        return UNKNOWN
    return f"{gibibytes(float(used))}/{gibibytes(float(total))}".replace("G/", "/")


COLUMNS: Final = (
    TableColumn("Rank", 5, 0, lambda ranks, row: str(ranks.rank[row])),
    TableColumn("Node", 12, 2, lambda ranks, row: ranks.node[row] or UNKNOWN, left=True),
    TableColumn("State", 13, 1, _state, left=True),
    TableColumn("Step", 9, 0, _number(Column.STEP, count)),
    TableColumn("Age", 4, 3, lambda ranks, row: age(float(ranks.step_age[row]))),
    TableColumn("Loss", 8, 1, _loss),
    TableColumn("Trend", 16, 6, lambda ranks, row: sparkline(ranks.spark[row]), left=True),
    TableColumn("LR", 8, 8, _number(Column.LR, plain)),
    TableColumn("Grad", 7, 7, _number(Column.GRAD_NORM, lambda value: plain(value, 3))),
    TableColumn("Tok/s", 6, 3, _number(Column.THROUGHPUT, compact)),
    TableColumn("GPU%", 4, 4, _number(Column.GPU_UTIL, count)),
    TableColumn("Memory", 11, 5, _memory),
)

GAP: Final = " "

_GPU_TITLES = ("GPU%", "Memory")


def fitting(width: int, ranks: RankColumns | None) -> tuple[TableColumn, ...]:
    """The columns that fit into `width` cells: the least needed ones are left out first.

    Those of the GPU are left out where no rank has one.
    """
    gpu = ranks is None or bool(np.isfinite(ranks.column(Column.GPU_UTIL)).any())
    kept = [column for column in COLUMNS if gpu or column.title not in _GPU_TITLES]
    while len(kept) > 1 and sum(column.width + len(GAP) for column in kept) > width:
        kept.remove(max(kept, key=lambda column: column.need))
    return tuple(kept)
