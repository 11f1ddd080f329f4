"""Which lines of a table are shown, in which order, which are marked, and on which the cursor stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Generic

import numpy as np

from ugro_tui.core.filter_fields import Field, field_named
from ugro_tui.core.filters import Filter, FilterError, parse
from ugro_tui.core.ordering import Order, Sort, arranged
from ugro_tui.ui.columns import R
from ugro_tui.ui.lines import Key, Lines

USUAL: Final[Mapping[str, object]] = {"sort": ["", False], "filter": "", "wide": False}
"""How a table is arranged that nobody has arranged: unsorted, all lines, the columns that fit."""


class Arrangement(Generic[R]):
    """The state of a table without its screen. `cursor` and `order` count shown lines from 0."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = fields
        self.lines: Lines[R] | None = None
        self.order: Order = np.empty(0, np.intp)
        self.sort: Sort | None = None
        self.narrowed = Filter()
        self.text = ""
        self._entered = "", Filter()
        self.marks: set[Key] = set()
        self.cursor = 0
        self._anchor: Key | None = None
        self._jumped: Key | None = None

    def __len__(self) -> int:
        return len(self.order)

    def show(self, lines: Lines[R] | None) -> None:
        """Show these lines from now on."""
        self.lines = lines
        self.arrange()

    def arrange(self) -> None:
        """Filter and sort anew. The cursor stays on its line, however that moves; before it was moved, on top."""
        lines = self.lines
        if lines is None:
            self.order = np.empty(0, np.intp)
        else:
            self.order = arranged(len(lines), lines.values, self.narrowed, self.sort)
        position = self._position(self._anchor)
        self.cursor = self._clamped(self.cursor) if position is None else position

    @property
    def entered(self) -> str:
        """The filter that was entered last, whatever is typed by now."""
        return self._entered[0]

    def narrow(self, text: str) -> FilterError | None:
        """Show the lines that pass this filter; where it cannot be read, say why, and the one before stays."""
        error = self.preview(text)
        if error is None:
            self._entered = self.text, self.narrowed
        return error

    def preview(self, text: str) -> FilterError | None:
        """Show what this filter, half typed, lets pass; where it cannot be read, say why and show by the entered one.

        Not by the last text that could be read: that is the beginning of this one, which nobody meant.
        """
        found = parse(text, self.fields)
        error = found if isinstance(found, FilterError) else None
        self.text, self.narrowed = self._entered if isinstance(found, FilterError) else (text.strip(), found)
        self.arrange()
        return error

    def sort_by(self, name: str, *, falling: bool = False) -> None:
        """Sort by the field of that name; empty, or a name that is no field: as the lines came."""
        field = field_named(name, self.fields) if name else None
        self.sort = Sort(field, falling) if field is not None else None
        self.arrange()

    def restore(self, kept: Mapping[str, object]) -> None:
        """Sort and filter as it was kept: `sort`, a field's name and whether it falls, `filter`, as it was typed."""
        match kept:
            case {"sort": [str(field), bool(falling)]} if field:
                self.sort_by(field, falling=falling)
        match kept:
            case {"filter": str(text)}:
                self.narrow(text)

    def invert(self) -> None:
        """Turn the sort round; without one, sort by the first field from the end."""
        sort = self.sort or Sort(self.fields[0])
        self.sort = replace(sort, falling=not sort.falling)
        self.arrange()

    @property
    def key(self) -> Key | None:
        """The identity of the line under the cursor; None where no line is shown."""
        return self.key_at(self.cursor)

    def key_at(self, position: int) -> Key | None:
        """The identity of a shown line."""
        if self.lines is None or not 0 <= position < len(self.order):
            return None
        return self.lines.key(int(self.order[position]))

    def move(self, position: int) -> None:
        """Put the cursor on the shown line at `position`, or as near as there is one."""
        self.cursor = self._clamped(position)
        self._anchor = self.key

    def go(self, key: Key) -> bool:
        """Put the cursor on the line of that identity, if it is shown; tell whether it is."""
        position = self._position(key)
        if position is not None:
            self.move(position)
        return position is not None

    def toggle(self) -> None:
        """Mark the line under the cursor, or take its mark away."""
        if self.key is not None:
            self.marks ^= {self.key}

    def worst(self) -> bool:
        """Put the cursor on the worst of the shown lines, asked again on the next worst; False: none is in trouble."""
        if self.lines is None:
            return False
        trouble = self.lines.trouble()[self.order]
        places = np.argsort(-trouble, kind="stable")[: np.count_nonzero(trouble > 0)].tolist()
        if not places:
            return False
        again = self._jumped is not None and self._jumped == self.key and self.cursor in places
        self.move(places[(places.index(self.cursor) + 1) % len(places)] if again else places[0])
        self._jumped = self.key
        return True

    def _clamped(self, position: int) -> int:
        return max(0, min(position, len(self.order) - 1))

    def _position(self, key: Key | None) -> int | None:
        """Where the line of that identity is shown; None where it is not."""
        index = self.lines.place(key) if self.lines is not None and key is not None else None
        if index is None:
            return None
        found = np.flatnonzero(self.order == index)
        return int(found[0]) if len(found) else None
