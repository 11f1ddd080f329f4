"""`LineTable`: a table that paints only the lines that are visible, so 8,192 lines cost what 8 do.

A table of one's own is `LineTable(columns, fields)`: `columns` say how cells read, `fields` by what lines are filtered
and sorted. `show_lines` takes the lines (`Listed` makes them of objects), `narrow` a filter, `preview` one half typed;
`title_parts`, `sort_by`, `wide` are for the screen around it. It posts `Opened` (enter, double click), `Arranged`
(sort, filter, marks or columns changed), `Moved` (the cursor is elsewhere) and `Noted` (something to say). The cursor
stays on its line when lines, sort or filter change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message
from textual.widget import Widget

from ugro_tui.core.filters import FilterError
from ugro_tui.core.text import visible
from ugro_tui.ui.columns import R, TableColumn, staying
from ugro_tui.ui.line_view import LineView
from ugro_tui.ui.lines import Key, Lines
from ugro_tui.ui.marks import FALLING, RISING


class LineTable(LineView[R]):
    """One line a row. Keys move a cursor; the view follows it."""

    HELP_NAME = "Tables"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Next, previous line", show=False),
        Binding("k,up", "move(-1)", "Next, previous line", show=False),
        Binding("ctrl+d,pagedown", "half_page(1)", "Half a page down, up", show=False),
        Binding("ctrl+u,pageup", "half_page(-1)", "Half a page down, up", show=False),
        Binding("g,home", "move_to(0)", "First, last line", show=False),
        Binding("G,end", "move_to(-1)", "First, last line", show=False),
        Binding("enter", "open", "Open the line", show=False),
        Binding("exclamation_mark", "worst", "The worst line; again: the next", show=False),
        Binding("less_than_sign", "sort_column(-1)", "Sort by the column before, after", show=False),
        Binding("greater_than_sign", "sort_column(1)", "Sort by the column before, after", show=False),
        Binding("i", "invert", "Sort the other way round", show=False),
        Binding("space", "mark", "Mark the line", show=False),
        Binding("W", "wide", "Wide: all columns; or those that fit", show=False),
        Binding("left", "columns(-1)", "Wide: scroll the columns", show=False),
        Binding("right", "columns(1)", "Wide: scroll the columns", show=False),
    ]

    class Opened(Message):
        """A line was opened: `key` is its identity."""

        def __init__(self, table: Widget, key: Key) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Widget:
            """The table, for `on(LineTable.Opened, "#id")`."""
            return self.table

    class Arranged(Message):
        """The sort, the filter, the marks or the columns changed: what a title says of them is old."""

        def __init__(self, table: Widget) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> Widget:
            """The table."""
            return self.table

    class Moved(Message):
        """The cursor is on another line, or the line under it says something else."""

    class Noted(Message):
        """Something to tell the user in one line."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def show_lines(self, lines: Lines[R] | None, columns: Sequence[TableColumn[R]] | None = None) -> None:
        """Show these lines from now on, None where nothing is known; with other columns than so far, if given."""
        before = self._offset()
        self._all = self._all if columns is None else columns
        self._arrangement.show(lines)
        self._settle(before)

    def narrow(self, text: str) -> FilterError | None:
        """Show the lines that pass this filter; where it cannot be read, say why, and the one before stays."""
        before, error = self._offset(), self._arrangement.narrow(text)
        self._rearranged(before)
        return error

    def preview(self, text: str) -> FilterError | None:
        """Show the lines that this filter, half typed, lets pass; those of the entered one where it cannot be read."""
        before, error = self._offset(), self._arrangement.preview(text)
        self._rearranged(before)
        return error

    def sort_by(self, field: str, *, falling: bool = False) -> None:
        """Sort by the field of that name; empty: as the lines came."""
        before = self._offset()
        self._arrangement.sort_by(field, falling=falling)
        self._rearranged(before)

    def restore(self, kept: Mapping[str, object]) -> None:
        """Sort, filter and columns as they were kept."""
        before = self._offset()
        self._arrangement.restore(kept)
        self.wide = kept.get("wide") is True
        self._rearranged(before)

    @property
    def cursor(self) -> int:
        """Which of the shown lines the cursor is on, from 0."""
        return self._arrangement.cursor

    @property
    def key(self) -> Key | None:
        """The identity of the line under the cursor; None where no line is shown."""
        return self._arrangement.key

    @property
    def marked(self) -> frozenset[Key]:
        """The identities of the marked lines, also of those that the filter hides or that are gone."""
        return frozenset(self._arrangement.marks)

    @property
    def filter_text(self) -> str:
        """The filter as it was typed, by which lines are shown; empty where there is none."""
        return self._arrangement.text

    @property
    def entered(self) -> str:
        """The filter that was entered: what is typed now may be none, or half of one."""
        return self._arrangement.entered

    @property
    def sorted_by(self) -> tuple[str, bool]:
        """The name of the field that lines are sorted by, and whether the greatest come first; empty: as they came."""
        sort = self._arrangement.sort
        return ("", False) if sort is None else (sort.field.name, sort.falling)

    @property
    def title_parts(self) -> tuple[str, ...]:
        """What a title is to say: `12/8,192`, `lag ▼`, `filter node~gpu`, `2 marked`; nothing of what is as usual."""
        shown, there = self.counts
        field, falling = self.sorted_by
        parts = (
            f"{shown:,}/{there:,}" if self.filter_text else "",
            f"{field} {FALLING if falling else RISING}" if field else "",
            f"filter {visible(self.filter_text)}" if self.filter_text else "",
            f"{len(self.marked):,} marked" if self.marked else "",
        )
        return tuple(filter(None, parts))

    @property
    def wide(self) -> bool:
        """Whether all columns are shown, to be scrolled sideways, or those that fit."""
        return self._wide

    @wide.setter
    def wide(self, wide: bool) -> None:
        self._wide, self._left = wide, 0
        self._anew()

    def go(self, key: Key) -> bool:
        """Put the cursor on the line of that identity, if it is shown; tell whether it is."""
        found = self._arrangement.go(key)
        self._follow()
        return found

    def clear_marks(self) -> None:
        """Mark nothing any more."""
        self._arrangement.marks.clear()
        self._anew()

    # --- keys and mouse

    def action_move(self, lines: int) -> None:
        """Move the cursor by so many lines."""
        self._move(self.cursor + lines)

    def action_half_page(self, direction: int) -> None:
        """Move the cursor by half of what is visible."""
        self._move(self.cursor + direction * max(1, (self.size.height - 1) // 2))

    def action_move_to(self, line: int) -> None:
        """Move the cursor to `line`; -1 is the last."""
        self._move(self.counts[0] - 1 if line < 0 else line)

    def action_open(self) -> None:
        """Tell that the line under the cursor is to be opened."""
        if self.key is not None:
            self.post_message(self.Opened(self, self.key))

    def action_worst(self) -> None:
        """Move the cursor to the worst line, asked again to the next worst."""
        if not self._arrangement.worst():
            which = " that passes the filter" if self.filter_text else ""
            self.post_message(self.Noted(f"no {self._noun}{which} is in trouble"))
        self._follow()

    def action_sort_column(self, direction: int) -> None:
        """Sort by the next column, or the one before; between the last and the first: as the lines came."""
        columns = [column for column in (self._all if self._wide else self._fitting(self.size.width)) if column.field]
        names = ["", *(column.field for column in columns)]
        field = self.sorted_by[0]
        place = (names.index(field) if field in names else 0) + direction
        name = names[place % len(names)]
        self.sort_by(name, falling=any(column.falling for column in columns if column.field == name))
        self._bring(name)

    def action_invert(self) -> None:
        """Sort the other way round."""
        before = self._offset()
        self._arrangement.invert()
        self._rearranged(before)

    def action_mark(self) -> None:
        """Mark the line, or take its mark away; go to the next one."""
        self._arrangement.toggle()
        self._anew()
        self._move(self.cursor + 1)
        self.post_message(self.Arranged(self))

    def action_wide(self) -> None:
        """Show all columns, or those that fit."""
        self.wide = not self.wide
        self.post_message(self.Arranged(self))

    def action_columns(self, direction: int) -> None:
        """Where all columns are shown, scroll them by one."""
        if self._wide:
            self._left = max(0, min(self._left + direction, len(self._all) - staying(self._all) - 1))
            self._anew()

    def on_click(self, event: Click) -> None:
        """Move the cursor to the line under the mouse, twice: open it; on a title: sort by it, again: the other way."""
        if event.y == 0:
            self._sort_at(event.x)
        elif event.y - 1 + self.scroll_offset.y < self.counts[0]:
            self._move(event.y - 1 + self.scroll_offset.y)
            if event.chain == 2:
                self.action_open()

    def _sort_at(self, x: int) -> None:
        column = self._column_at(x)
        if column is None or not column.field:
            return
        if column.field == self.sorted_by[0]:
            self.action_invert()
        else:
            self.sort_by(column.field, falling=column.falling)

    def _bring(self, field: str) -> None:
        """Scroll sideways until the column of that field is shown, where all columns can be."""
        place = next((index for index, column in enumerate(self._all) if column.field == field), 0)
        if self._wide and (most := place - staying(self._all)) >= 0:
            self._left = min(self._left, most)
            while self._left < most and field not in [one.field for one in self._fitting(self.size.width)]:
                self._left += 1
        self._anew()

    def _move(self, position: int) -> None:
        self._arrangement.move(position)
        self._follow()

    # --- keeping the line under the eyes

    def _offset(self) -> int | None:
        """How far below the titles the line of the cursor is painted; None where it is not visible."""
        offset = self.cursor - self.scroll_offset.y
        return offset if 0 <= offset < self.size.height - 1 else None

    def _settle(self, before: int | None) -> None:
        """After lines were arranged anew, let the cursor's line stand where it stood, if it could be seen."""
        self._anew()
        if before is not None and self.cursor - self.scroll_offset.y != before:
            self.scroll_to(y=max(0, self.cursor - before), animate=False)

    def _rearranged(self, before: int | None) -> None:
        self._settle(before)
        self.post_message(self.Arranged(self))

    def _follow(self) -> None:
        visible = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + visible:
            self.scroll_to(y=self.cursor - visible + 1, animate=False)
        self.refresh()
        self.post_message(self.Moved())
