"""Text for terminals that speak no UTF-8: every glyph that is painted has an ASCII character of the same width."""

from __future__ import annotations

import unicodedata
from typing import Final

_FIRST_BRAILLE: Final = 0x2800
_BRAILLE: Final = 256

_ROWS: Final = {
    "─━═╌╍┄┅┈┉╴╶╸╺╼╾–—‐‑‒―−": "-",
    "│┃║╎╏┆┇┊┋╵╷╹╻╽╿▏▎▍▌▐▕▊▋▉": "|",
    "┌┐└┘├┤┬┴┼╭╮╯╰┏┓┗┛┣┫┳┻╋╔╗╚╝╠╣╦╩╬╪╫┷┯┠┨┝┥": "+",
    "▁": "_",
    "▂": ".",
    "▃": ",",
    "▄": "-",
    "▅▆": "=",
    "▇▀▔": "^",
    "█▓▒░▙▛▜▟▞▚▖▗▘▝": "#",
    "●◉⬤": "*",
    "◐◑◒◓◍": "%",
    "○◦◯⊙": "o",
    "◌": ".",
    "⊘∅": "0",
    "‖": "=",
    "✖✗✘×╳": "x",
    "✔✓": "v",
    "⌁": "~",
    "⚠": "!",
    "■□▪▫": "#",
    "◆◇•": "*",
    "·∙⋅": "-",
    "▲△↑▴⇧": "^",
    "▼▽↓▾⇩": "v",
    "→▶▷›»⇒▸": ">",
    "←◀◁‹«⇐◂": "<",
    "↔": "-",
    "…": ".",
    "°": "'",
    "±": "~",
    "≤": "<",
    "★": "*",
    "≈": "~",
    "µμ": "u",
    "σ": "s",
    "‘’′": "'",
    "“”″": '"',
    "␡�": "?",
    "\u00a0\u2007\u202f": " ",
}
"""Of each glyph on the left, the character on the right. Blocks keep their order as well as ASCII can."""

_DOTS: Final = (" ", ".", ".", ":", ":", ":", "#", "#", "#")
"""A braille cell by the number of its dots."""


def _table() -> dict[int, str]:
    table = {ord(glyph): sign for glyphs, sign in _ROWS.items() for glyph in glyphs}
    table |= {0x2400 + code: "?" for code in range(0x20)}  # pictures of control characters: never those themselves
    table |= {_FIRST_BRAILLE + dots: _DOTS[dots.bit_count()] for dots in range(_BRAILLE)}
    return table


_TABLE: Final = _table()


def in_ascii(text: str) -> str:
    """`text` in ASCII, one character for each one that is seen; wide ones count twice. What has no likeness is `?`."""
    return text if text.isascii() else "".join(map(_sign, text))


def _sign(character: str) -> str:
    if character.isascii():
        return character
    known = _TABLE.get(ord(character))
    if known is not None:
        return known
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return ""
    letter = unicodedata.normalize("NFKD", character)[0]
    wide = unicodedata.east_asian_width(character) in "WF"
    sign = letter if letter.isascii() and letter.isprintable() else "?"
    return sign * (2 if wide else 1)
