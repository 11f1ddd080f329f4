"""A filled band as braille characters, made with arrays: dot by dot it would take longer than all the rest. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from ugro_tui.core.archive import Floats
from ugro_tui.ui.plane import Field
from ugro_tui.ui.strokes import Band

_WIDE, _HIGH = 2, 4
"""Dots of a braille character."""

_DOTS: Final = np.array([[0x40, 0x80], [0x04, 0x20], [0x02, 0x10], [0x01, 0x08]])
"""The bits of a braille character, from its lowest row of dots up."""


NO_DOTS: Final = chr(0x2800)
"""A cell that the band does not touch."""


def shade(band: Band, field: Field) -> list[str]:
    """The rows of `field` from below, a braille character a column, with dots where the band is."""
    columns, rows = field.columns * _WIDE, field.rows * _HIGH
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    for x, below, above in band.pieces:
        _spread(x, below, above, low, high, field)
    height = field.plane.top - field.plane.bottom
    with np.errstate(invalid="ignore"):
        first, last = (np.floor((end - field.plane.bottom) / height * (rows - 1) + 0.5) for end in (low, high))
    every = np.arange(rows)[:, None]
    dots = (every >= first) & (every <= last)
    cells = dots.reshape(field.rows, _HIGH, field.columns, _WIDE).transpose(0, 2, 1, 3)
    codes = (cells * _DOTS).sum(axis=(2, 3))
    return ["".join(map(chr, row)) for row in (codes + 0x2800).tolist()]


def _spread(x: Floats, below: Floats, above: Floats, low: Floats, high: Floats, field: Field) -> None:
    """Widen `low` and `high` (a value a dot column) by one piece: what lies in a column, and between two of them."""
    plane = field.plane
    span = plane.right - plane.left
    inside = plane.holds(x)
    at = np.floor((x[inside] - plane.left) / span * (len(low) - 1) + 0.5).astype(np.intp)
    np.minimum.at(low, at, below[inside])
    np.maximum.at(high, at, above[inside])
    places = plane.left + np.arange(len(low)) / max(1, len(low) - 1) * span
    between = (places >= x[0]) & (places <= x[-1])
    low[between] = np.minimum(low[between], np.interp(places[between], x, below))
    high[between] = np.maximum(high[between], np.interp(places[between], x, above))
