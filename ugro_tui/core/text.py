"""Text that comes from a node, made safe to show: the one place where it is cleaned."""

from __future__ import annotations

import re

MAX_TEXT = 2_000
"""Characters kept of one line. Measured: a 10 MB line takes a text widget 20 s."""

# C0 and C1 controls (ESC, BEL, CSI ...), the bidirectional overrides and isolates and every other character that takes
# no room, line and paragraph separators, and lone surrogates, which cannot be encoded for a terminal at all.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]"
)

# Of these last two, how a sign before them looks: as a picture, or of which skin. Terminals do not agree how wide that
# makes it, and what stands behind it would be out of its column.
_LOOKS = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")


def visible(text: str, limit: int = MAX_TEXT) -> str:
    """`text` with every control character replaced by a glyph that shows it; at most `limit` characters.

    What says how the sign before it is to look is left out.

    Markup characters such as `[` are left as they are: screens show text as content, never as markup.
    """
    if text.isascii() and text.isprintable() and len(text) <= limit:  # as a rule, at a tenth of the cost
        return text
    shown = _UNSAFE.sub(_glyph, text[: limit + 1])
    return shown if len(text) <= limit else shown[: limit - 1] + "…"


def _glyph(match: re.Match[str]) -> str:
    if _LOOKS.match(match.group()):
        return ""
    code = ord(match.group())
    if code == 0x09:
        return " "
    if code < 0x20:
        return chr(0x2400 + code)  # the Unicode "control pictures" block mirrors C0
    return "␡" if code == 0x7F else "�"
