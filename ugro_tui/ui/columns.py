"""The columns of a table: titles, widths, and which of them fit on the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from rich.cells import cell_len, set_cell_size

from ugro_tui.ui.wording import shortened

R = TypeVar("R")
"""What one line of a table is made from."""

GAP: Final = " "


def fit(text: str, width: int, *, left: bool = False) -> str:
    """`text`, exactly `width` cells wide, also where characters of it take two."""
    taken = len(text) if text.isascii() else cell_len(text)
    if taken > width:
        text, taken = set_cell_size(text, width - 1) + "…", width
    blank = " " * (width - taken)
    return text + blank if left else blank + text


@dataclass(frozen=True)  # with slots, TableColumn[Row](...) fails in Python 3.11
class TableColumn(Generic[R]):
    """One column. `need`: the smaller, the longer it stays when the screen gets narrow.

    `cell` is the text of a row; `tone` its style by name (`good`, `warn`, `bad`, `quiet`, `trend`; empty for none) from
    the row and that text. `field`: what the column sorts by, the name of a `Field`; empty where it cannot. `falling`:
    whether its greatest values come first when it is chosen to sort by. `left`: texts; numbers stand on the right.
    `grows`: a text that is as wide as the longest value of its field, where there is room. `names`: it holds names,
    which lose their middle where room is short. `least`: how narrow it may be made (1: for a glyph), 0: not at all.
    `identifies`: it says which line it is, so that it stays, and what is before it, while others are scrolled.
    """

    title: str
    width: int
    need: int
    cell: Callable[[R], str]
    field: str = ""
    falling: bool = False
    left: bool = False
    grows: bool = False
    names: bool = False
    least: int = 0
    identifies: bool = False
    tone: Callable[[R, str], str] | None = None

    def text(self, row: R) -> str:
        """The cell, exactly `width` wide."""
        cell = self.cell(row)
        if self.width == 1:
            return cell[:1]
        return fit(shortened(cell, self.width) if self.names else cell, self.width, left=self.left)

    def heading(self, mark: str = "") -> str:
        """The title, exactly `width` wide, with the mark of the sort behind it."""
        room = self.width - len(mark)
        return fit(self.title[:room] + mark, self.width, left=self.left)


def taken(columns: Sequence[TableColumn[R]]) -> int:
    """Cells that these columns take, a gap behind each."""
    return sum(column.width + len(GAP) for column in columns)


def fitting(columns: Sequence[TableColumn[R]], width: int) -> list[TableColumn[R]]:
    """The columns that fit into `width` cells: the least needed ones are left out first, one stays in any case.

    Before one is left out that may be narrow, all that may be are.
    """
    kept = list(columns)
    while len(kept) > 1 and taken(kept) > width:
        worst = max(kept, key=lambda column: column.need)
        small = [replace(column, width=column.least or column.width) for column in kept]
        if worst.least and taken(small) <= width:
            return small
        kept.remove(worst)
    return kept


def staying(columns: Sequence[TableColumn[R]]) -> int:
    """How many columns stay while the others are scrolled: up to the one that identifies the line; else the first."""
    return next((number for number, column in enumerate(columns, 1) if column.identifies), 1)


def scrolled(columns: Sequence[TableColumn[R]], width: int, first: int) -> list[TableColumn[R]]:
    """The columns that stay, and of the others the `first` one and those behind it that fit into `width` cells."""
    there = staying(columns)
    kept = [*columns[:there], *columns[there + first : there + 1 + first]]
    for column in columns[there + 1 + first :]:
        if taken([*kept, column]) > width:
            break
        kept.append(column)
    return kept
