"""A line of a log as a strip: level, ranks, time, and its text in its own colours."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import lru_cache

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from ugro_tui.core.log_lines import LogLine, ranks_text
from ugro_tui.core.sgr import Colour, Ink
from ugro_tui.ui.log_rows import LogMatches
from ugro_tui.ui.marks import LEVEL_GLYPHS, LEVEL_TONES

STAMP = 15
"""Cells of the time, with the gap behind it."""


class LogPainter:
    """Paints lines. `ranks`: cells of the column of ranks, 0 for none; `stamps`: whether there is one of times."""

    def __init__(self, styles: Mapping[str, Style], console: Console) -> None:
        self._styles = styles
        self._console = console
        self.ranks = 0
        self.stamps = True

    @property
    def margin(self) -> int:
        """Cells before the text of a line."""
        return 2 + self.ranks + (STAMP if self.stamps else 0)

    def text(self, line: LogLine, matches: LogMatches, part: slice, *, gone_to: bool) -> Strip:
        """These characters of the text of a line."""
        message = line.message
        text = Text(message, end="")
        for begin, end, ink in line.spans:
            text.stylize(_style(ink), max(0, begin - line.start), max(0, end - line.start))
        found = self._styles["found" if gone_to else "match"]
        for begin, end in matches.spans(message):
            text.stylize(found, begin, end)
        base = self._styles[LEVEL_TONES.get(line.level, "plain")]
        shown = text[part]
        shown.end = ""  # a part of a text would end a line
        return Strip(Segment.apply_style(shown.render(self._console), base))

    def head(self, line: LogLine, *, first: bool) -> list[Segment]:
        """What stands before the text; on a wrapped line's further rows nothing."""
        if not first:
            return [Segment(" " * self.margin, self._styles["plain"])]
        level = self._styles[LEVEL_TONES.get(line.level, "plain")]
        parts = [Segment(f"{LEVEL_GLYPHS.get(line.level, ' ')} ", level)]
        if self.ranks:
            parts.append(Segment(fitted(f"r{ranks_text(line.ranks)}", self.ranks - 1), self._styles["rank"]))
        if self.stamps:
            parts.append(Segment(stamp(line.time).ljust(STAMP), self._styles["quiet"]))
        return parts


def fitted(text: str, width: int) -> str:
    """`text` in exactly so many cells, and a gap."""
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width + 1)


def ranks_width(ranks: tuple[int, ...]) -> int:
    """Cells for the column of ranks: those of all in one run, and two for a list."""
    return 0 if len(ranks) < 2 else len(f"r{ranks[0]}-{ranks[-1]}") + 3


def stamp(at: float) -> str:
    """When, in the log's own time: `05-16 09:12:33`; empty where it is not known."""
    return "" if math.isnan(at) else _clock(int(at))


@lru_cache(maxsize=512)
def _clock(second: int) -> str:
    return time.strftime("%m-%d %H:%M:%S", time.gmtime(second))


@lru_cache(maxsize=512)
def _style(ink: Ink) -> Style:
    return Style(
        color=_colour(ink.fore), bgcolor=_colour(ink.back), bold=ink.bold or None, dim=ink.dim or None,
        italic=ink.italic or None, underline=ink.underline or None, reverse=ink.reverse or None,
        strike=ink.strike or None,
    )  # fmt: skip


def _colour(colour: Colour | None) -> Color | None:
    if colour is None:
        return None
    return Color.from_ansi(colour) if isinstance(colour, int) else Color.from_rgb(*colour)
