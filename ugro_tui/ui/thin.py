"""Writes to the terminal only what differs from what stands there: links are thin.

Textual writes every line of a widget that was refreshed, whole. A chart of which one column is new, or a table of which
one number is, would send some 20 kB each time over SSH. This stands between Textual's compositor and its driver, in the
one place where all partial updates pass, and is the only file that knows of either; full updates pass as they are.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TypeAlias, cast

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.control import Control
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.strip import Strip

Row: TypeAlias = dict[int, tuple[int, Strip]]
"""What stands on a line of the terminal, by the cell where a piece of it begins: where it ends, and what it is."""


class Painted:
    """What the terminal shows, as far as partial updates have told."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._screen: object = None

    def over(self, screen: object, renderable: RenderableType | None) -> RenderableType | None:
        """The update that has the same effect as `renderable` on a terminal that shows what it does."""
        if isinstance(renderable, ChopsUpdate) and screen is self._screen:
            return cast(RenderableType, _ThinUpdate(renderable, self))  # Textual's own updates are none to mypy either
        if renderable is not None:
            self._rows.clear()
            self._screen = screen
        return renderable

    def changed(self, y: int, x: int, strip: Strip) -> list[tuple[int, Strip]]:
        """The parts of `strip`, which is to stand at (`x`, `y`), that do not stand there yet: where, and what."""
        row = self._rows.setdefault(y, {})
        end = x + strip.cell_length
        before = row.get(x)
        for begin, (stop, _) in list(row.items()):
            if begin < end and stop > x:
                del row[begin]
        row[x] = (end, strip)
        if before is None or before[0] != end:
            return [(x, strip)]
        first, last = differing(before[1], strip)
        return [(x + first, strip.crop(first, last))] if last > first else []


class _ThinUpdate(CompositorUpdate):
    """A partial update without what stands there already."""

    def __init__(self, update: ChopsUpdate, painted: Painted) -> None:
        self._update = update
        self._painted = painted

    def render_segments(self, console: Console) -> str:
        """What is to be written to the terminal."""
        written: list[str] = []
        for y, x, strip in pieces(self._update):
            for at, part in self._painted.changed(y, x, strip):
                written += [Control.move_to(at, y).segment.text, joined(part).render(console)]
        return "".join(written)


def pieces(update: ChopsUpdate) -> list[tuple[int, int, Strip]]:
    """Line, first cell and content of all that an update paints, as Textual would write it."""
    found: list[tuple[int, int, Strip]] = []
    for y, left, right in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x <= right and end > left:
                found.append((y, x, strip if end <= right else strip.crop(0, right - x)))
    return found


def joined(strip: Strip) -> Strip:
    """The same to the eye in fewer pieces: blanks have no colour of their own, so they take that of their neighbour.

    Each piece begins and ends with some 20 bytes, and the dots of a chart lie apart.
    """
    parts: list[Segment] = []
    for segment in strip:
        before = parts[-1] if parts else None
        if before is None or not _alike(before.style, segment.style):
            parts.append(segment)
        elif before.style == segment.style or not segment.text.strip(" "):
            parts[-1] = Segment(before.text + segment.text, before.style)
        elif not before.text.strip(" "):
            parts[-1] = Segment(before.text + segment.text, segment.style)
        else:
            parts.append(segment)
    return Strip(parts, strip.cell_length)


def _alike(one: Style | None, other: Style | None) -> bool:
    """Whether blanks look the same in both."""
    if one is None or other is None or one == other:
        return one == other
    lines = [(style.underline, style.underline2, style.overline, style.strike) for style in (one, other)]
    return one.bgcolor == other.bgcolor and not any(map(any, lines)) and not (one.reverse or other.reverse)


def differing(before: Strip, after: Strip) -> tuple[int, int]:
    """The first cell in which two strips of one length differ, and the one behind the last; equal where none does."""
    old, new = before._segments, after._segments
    if old == new:
        return 0, 0
    first = _common(old, new)
    last = _common([*_reversed(old)], [*_reversed(new)])
    return first, max(first, after.cell_length - last)


def _reversed(segments: list[Segment]) -> list[Segment]:
    return [Segment(text[::-1], style) for text, style, _ in reversed(segments)]


def _common(old: list[Segment], new: list[Segment]) -> int:
    """Cells that are the same from the beginning on."""
    cells = 0
    for before, after in zip(old, new, strict=False):
        if before == after:
            cells += cell_len(after.text)
            continue
        if before.style == after.style:
            same = takewhile(lambda pair: pair[0] == pair[1], zip(before.text, after.text, strict=False))
            cells += cell_len("".join(sign for sign, _ in same))
        break
    return cells
