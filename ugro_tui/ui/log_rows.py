"""Which row of the view shows which part of which line, and which lines hold what is searched for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from rich.cells import get_character_cell_size

from ugro_tui.core.log_lines import LogLine


class LogRows:
    """The rows of lines: one each, or where they are wrapped to `width` cells, as many as each needs."""

    def __init__(self, lines: Sequence[LogLine], width: int | None) -> None:
        self._count = len(lines)
        self._ends: npt.NDArray[np.int64] | None = None
        if width is not None:
            self._width = max(1, width)
            rows = (_rows(line.text, line.start, self._width) for line in lines)
            self._ends = np.cumsum(np.fromiter(rows, np.int64, len(lines)))

    @property
    def height(self) -> int:
        """All rows."""
        return self._count if self._ends is None else int(self._ends[-1]) if self._count else 0

    def at(self, row: int) -> tuple[int, int]:
        """The index of the line that a row shows, and which of that line's rows it is."""
        if self._ends is None:
            return row, 0
        line = int(np.searchsorted(self._ends, row, side="right"))
        return line, row - self.first(line)

    def first(self, line: int) -> int:
        """The first row of a line."""
        return line if self._ends is None else int(self._ends[line - 1]) if line else 0


@lru_cache(maxsize=1 << 16)
def _wide_rows(text: str, start: int, width: int) -> int:
    """How many rows a text needs that is not ASCII alone; kept, for pages share most of their lines."""
    return len(begins(text[start:], width))


def _rows(text: str, start: int, width: int) -> int:
    """How many rows of `width` cells the text needs from `start` on."""
    return max(1, -(-(len(text) - start) // width)) if text.isascii() else _wide_rows(text, start, width)


def begins(text: str, width: int) -> list[int]:
    """Where each row of `width` cells begins: a wide character is never cut, and what takes no room stays with the
    character before it."""
    if text.isascii():
        return list(range(0, max(1, len(text)), width))
    ends = list(accumulate(map(get_character_cell_size, text)))
    found, shown = [0], 0
    while (place := bisect_right(ends, shown + width)) < len(ends):
        found.append(max(place, found[-1] + 1))
        shown = ends[found[-1] - 1]
    return found


def part_of(text: str, row: int, width: int) -> slice:
    """Which characters the row of this number shows."""
    ends = (*begins(text, width), len(text))
    return slice(*ends[row : row + 2])


def _small(text: str) -> str:
    """In small letters, each at its place: a letter that would become two stays as it is."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(low if len(low := one.lower()) == 1 else one for one in text)


class LogMatches:
    """The lines that hold a piece of text, and the one that was gone to. Small letters find great ones too."""

    def __init__(self, needle: str = "") -> None:
        self.needle = needle
        self.exact = needle != needle.lower()
        self._places: list[int] = []
        self.current: int | None = None

    def look(self, lines: Sequence[LogLine], gone: int = 0) -> None:
        """Search these lines; `gone` of those before were let go at the beginning."""
        if self.current is not None:
            self.current = self.current - gone if self.current >= gone else None
        self._places = [place for place, line in enumerate(lines) if self._holds(line)] if self.needle else []

    def _holds(self, line: LogLine) -> bool:
        text = line.text if self.exact else _small(line.text)
        return text.find(self.needle, line.start) >= 0

    def step(self, direction: int, begin: int) -> int | None:
        """Go to the next place, or the one before; from the line `begin` where none was gone to. Round at the ends."""
        if not self._places:
            return None
        if self.current is None:
            index = bisect_left(self._places, begin) - (direction < 0)
        elif direction > 0:
            index = bisect_right(self._places, self.current)
        else:
            index = bisect_left(self._places, self.current) - 1
        self.current = self._places[index % len(self._places)]
        return self.current

    def spans(self, message: str) -> list[tuple[int, int]]:
        """Where a message holds it: from, to."""
        text = message if self.exact else _small(message)
        found: list[tuple[int, int]] = []
        place = text.find(self.needle) if self.needle else -1
        while place >= 0:
            found.append((place, place + len(self.needle)))
            place = text.find(self.needle, place + len(self.needle))
        return found

    @property
    def said(self) -> str:
        """What is searched for and how often it is there: `/oom 3/17`; empty where nothing is."""
        if not self.needle:
            return ""
        if not self._places:
            return f"/{self.needle} not found"
        number = "" if self.current is None else f"{bisect_left(self._places, self.current) + 1}/"
        return f"/{self.needle} {number}{len(self._places)}"
