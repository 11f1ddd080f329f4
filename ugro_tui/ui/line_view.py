"""`LineView`: paints the lines of a table that are visible, so 8,192 lines cost what 8 do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Generic

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ugro_tui.core.filter_fields import Field
from ugro_tui.ui.arrangement import Arrangement
from ugro_tui.ui.columns import GAP, R, TableColumn, fitting, scrolled, taken
from ugro_tui.ui.marks import FALLING, MARK, MORE, RISING

_BASES = ("plain", "cursor")
_TONES = ("good", "warn", "bad", "quiet", "trend", "mark")
_BOLD = ("good", "warn", "bad")
_MARK_WIDTH = 2

MAX_GROWN = 40
"""Cells that a column of names grows to at the most."""


class LineView(ScrollView, Generic[R], can_focus=True):
    """Titles on top, and the visible ones of the arranged lines. `LineTable` adds keys and messages."""

    DEFAULT_CSS = """
    LineView { background: $surface; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    LineView > .title { color: $text-muted; text-style: bold; background: $surface; }
    LineView > .plain { color: $foreground; background: $surface; }
    LineView > .cursor { background: $primary 30%; color: $foreground; }
    LineView > .good { color: $success; }
    LineView > .warn { color: $warning; }
    LineView > .bad { color: $error; text-style: bold; }
    LineView > .quiet { color: $text-muted; }
    LineView > .trend { color: $accent 70%; }
    LineView > .mark { color: $accent; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"title", *_BASES, *_TONES}

    def __init__(
        self,
        columns: Sequence[TableColumn[R]],
        fields: Sequence[Field],
        *,
        noun: str = "line",
        id: str | None = None,  # noqa: A002 - Textual's own name for it
    ) -> None:
        super().__init__(id=id)
        self._arrangement: Arrangement[R] = Arrangement(fields)
        self._all: Sequence[TableColumn[R]] = columns
        self._noun = noun
        self._columns: tuple[TableColumn[R], ...] = ()
        self._fitted = 0
        self._wide = False
        self._left = 0
        self._palette: dict[str, Style] = {}

    def on_resize(self, event: Resize) -> None:
        """Choose the columns again, and let the scrollbar know."""
        self._anew(event.size.width)

    def _anew(self, width: int | None = None) -> None:
        """Paint all of it again: the lines, their number or the columns are others."""
        self._columns = ()
        lines = self._arrangement.lines
        hidden = lines is not None and len(lines) > 0 and len(self._arrangement) == 0
        size = Size(self.size.width if width is None else width, len(self._arrangement) + 1 + hidden)
        if size != self.virtual_size:
            self.virtual_size = size
        self.refresh()

    @property
    def counts(self) -> tuple[int, int]:
        """How many lines are shown, and how many there are."""
        lines = self._arrangement.lines
        return len(self._arrangement), 0 if lines is None else len(lines)

    def render_line(self, y: int) -> Strip:
        """The line at `y` of the visible part: the titles stay on top."""
        width = self.size.width
        if not self._columns or width != self._fitted:
            self._columns, self._fitted = self._fitting(width), width
        palette = self._palette = self._palette or self._mixed()
        if y == 0:
            return Strip([Segment(self._titles(), palette["title"])]).adjust_cell_length(width, palette["plain"])
        arrangement, position = self._arrangement, y - 1 + self.scroll_offset.y
        if arrangement.lines is None or position >= len(arrangement):
            return self._beyond(position, width)
        base = "cursor" if position == arrangement.cursor and self.lit else "plain"
        index = int(arrangement.order[position])
        segments = self._segments(arrangement.lines.row(index), base)
        if arrangement.marks:
            sign = MARK if arrangement.lines.key(index) in arrangement.marks else " "
            segments.insert(0, Segment(f"{sign} ", palette[f"{base} mark"]))
        return Strip(segments).adjust_cell_length(width, palette[base])

    @property
    def lit(self) -> bool:
        """Whether the line under the cursor stands out."""
        return self.has_focus

    def _beyond(self, position: int, width: int) -> Strip:
        """A line without a row: why there is none, where the filter hides all."""
        hidden = position == 0 and self.counts[1] > 0
        text = f"no {self._noun} passes the filter: esc takes it away" if hidden else ""
        return Strip([Segment(text, self._palette["plain quiet"])]).adjust_cell_length(width, self._palette["plain"])

    def notify_style_update(self) -> None:
        """The theme or the focus changed: mix the styles again."""
        super().notify_style_update()
        self._palette = {}

    def _mixed(self) -> dict[str, Style]:
        """Every style a line can need: mixing them for each cell would cost as much as the rest of the line."""
        styles = {name: self.get_component_rich_style(name) for name in self.COMPONENT_CLASSES}
        bold = {name: Style(color=styles[name].color, bold=name in _BOLD) for name in _TONES}
        return styles | {f"{base} {name}": styles[base] + bold[name] for base in _BASES for name in _TONES}

    @property
    def line_text(self) -> str:
        """The line under the cursor, all its columns, with tabs between them; empty where no line is shown."""
        arrangement = self._arrangement
        if arrangement.lines is None or not len(arrangement):
            return ""
        row = arrangement.lines.row(int(arrangement.order[arrangement.cursor]))
        return "\t".join(column.cell(row).strip() for column in self._all)

    def _segments(self, row: R, base: str) -> list[Segment]:
        """The cells of a line, those of the same style in one segment: Textual's work grows with the segments."""
        segments: list[Segment] = []
        run, run_style = "", base
        for column in self._columns:
            text = column.text(row)
            name = column.tone(row, text) if column.tone is not None else ""
            style = f"{base} {name}" if name else base
            if style != run_style:
                segments.append(Segment(run, self._palette[run_style]))
                run, run_style = "", style
            run += text + GAP
        return [*segments, Segment(run, self._palette[run_style])]

    # --- columns

    @property
    def _margin(self) -> int:
        """Cells that marks take: none while nothing is marked."""
        return _MARK_WIDTH if self._arrangement.marks else 0

    def _fitting(self, width: int) -> tuple[TableColumn[R], ...]:
        room = width - self._margin
        kept = scrolled(self._all, room, self._left) if self._wide else fitting(self._all, room)
        grown = {column.title: column for column in kept}
        spare = room - taken(kept)
        for column in sorted(kept, key=lambda column: column.need):
            if column.grows:
                grown[column.title] = self._grown(column, spare)
                spare -= grown[column.title].width - column.width
        return tuple(grown.values())

    def _grown(self, column: TableColumn[R], spare: int) -> TableColumn[R]:
        """As wide as the longest text where there is room: names of nodes differ at their ends."""
        lines = self._arrangement.lines
        values = lines.values(column.field) if lines is not None and spare > 0 else ()
        longest = 0 if isinstance(values, np.ndarray) else max(map(cell_len, set(values)), default=0)
        most = min(longest, MAX_GROWN) if column.names else longest
        return replace(column, width=max(column.width, min(most, column.width + spare)))

    def _titles(self) -> str:
        sort = self._arrangement.sort
        sign = "" if sort is None else FALLING if sort.falling else RISING
        name = "" if sort is None else sort.field.name
        titles = [column.heading(sign if name and column.field == name else "") for column in self._columns]
        line = " " * self._margin + GAP.join(titles)
        more = self._wide and self._columns and self._columns[-1].title != self._all[-1].title
        room = self.size.width - 1
        return line.ljust(room)[:room] + MORE if more else line

    def _column_at(self, x: int) -> TableColumn[R] | None:
        """The column under the cell `x`."""
        end = self._margin
        for column in self._columns:
            end += column.width + len(GAP)
            if x < end:
                return column if x >= self._margin else None
        return None
