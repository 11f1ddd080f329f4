"""What happens to each painted line on its way out: without UTF-8 it becomes ASCII, without colour it loses all colour.

Textual hands every strip that a widget paints, borders and scrollbars too, to the application's line filters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

from ugro_tui.core.ascii import in_ascii

STANDS_OUT: Final = 0.05
"""How much the brightness of a part's ground differs (0 to 1) from its widget's for it to be shown reversed."""

_REVERSED: Final = Style(reverse=True, dim=False)
_UPRIGHT: Final = Style(reverse=False, dim=False)


class Ascii(LineFilter):
    """Every character that is sent is ASCII, and takes the cells that it took."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments in ASCII."""
        del background
        return [
            segment if segment.text.isascii() else Segment(spelled(segment.text), segment.style, segment.control)
            for segment in segments
        ]


@lru_cache(4096)
def spelled(text: str) -> str:
    """`text` in ASCII, as wide as it was: lines are cut and joined by cells."""
    shown, cells = in_ascii(text), cell_len(text)
    return shown if len(shown) == cells else shown[:cells].ljust(cells)


class Uncoloured(LineFilter):
    """No colour is sent, not even grey: what stood out by its ground is reversed, and bold stays bold."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments without colour."""
        return [
            Segment(text, None if style is None else uncoloured(style, background), control)
            for text, style, control in segments
        ]


@lru_cache(4096)
def uncoloured(style: Style, background: Color) -> Style:
    """`style` without its colours; `background`: that of the widget around it."""
    ground = style.bgcolor
    lies_on = background if ground is None or ground.is_default else Color.from_rich_color(ground)
    reverse = bool(style.reverse) != (abs(lies_on.brightness - background.brightness) > STANDS_OUT)
    return style.without_color + (_REVERSED if reverse else _UPRIGHT)
