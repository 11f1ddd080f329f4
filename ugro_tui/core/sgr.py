"""Colours and weights that a program wrote into its log (SGR), kept apart from the text; no other escape survives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from ugro_tui.core.text import visible

Colour: TypeAlias = int | tuple[int, int, int]
"""A place of the 256-colour palette, or red, green and blue from 0 to 255."""

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")

_SWITCHES = {
    1: ("bold", True), 2: ("dim", True), 3: ("italic", True), 4: ("underline", True), 7: ("reverse", True),
    9: ("strike", True), 22: ("bold", False), 23: ("italic", False), 24: ("underline", False),
    27: ("reverse", False), 29: ("strike", False),
}  # fmt: skip


class Ink(NamedTuple):
    """How a piece of text is written; None where the colour is the terminal's own."""

    fore: Colour | None = None
    back: Colour | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False
    strike: bool = False


class Span(NamedTuple):
    """The characters from `start` to before `end` are written with `ink`."""

    start: int
    end: int
    ink: Ink


PLAIN = Ink()


def parted(line: str, limit: int) -> tuple[str, tuple[Span, ...]]:
    """A line of a log as visible text of at most `limit` characters, and where it is not plain.

    Whatever is no SGR, an SGR of other commands included, is made visible as `core.text` does.
    """
    if "\x1b[" not in line:
        return visible(line, limit), ()
    texts: list[str] = []
    spans: list[Span] = []
    length = 0
    for piece, ink in _pieces(line):
        texts.append(visible(piece, limit + 1))
        begin, length = length, length + len(texts[-1])
        if ink != PLAIN and begin < limit and length > begin:
            spans.append(Span(begin, min(length, limit), ink))
    return visible("".join(texts), limit), tuple(spans)


def _pieces(line: str) -> Iterator[tuple[str, Ink]]:
    """The text between the SGRs, and how each piece is written."""
    place, ink = 0, PLAIN
    for found in _SGR.finditer(line):
        yield line[place : found.start()], ink
        place, ink = found.end(), _after(ink, found.group(1))
    yield line[place:], ink


def _after(ink: Ink, codes: str) -> Ink:
    """What an SGR makes of `ink`; what it does not know it passes over."""
    numbers = [int(code) if code and len(code) < 6 else 0 for code in codes.replace(":", ";").split(";")[:64]]
    rest = iter(numbers)
    for code in rest:
        ink = PLAIN if code == 0 else _switched(ink, code, rest)
    return ink


def _switched(ink: Ink, code: int, rest: Iterator[int]) -> Ink:
    if code in _SWITCHES:
        name, on = _SWITCHES[code]
        ink = ink._replace(**{name: on})
        return ink._replace(dim=False) if code == 22 else ink
    if code in (38, 48):
        colour = _extended(rest)
        if colour is None:
            return ink
        return ink._replace(fore=colour) if code == 38 else ink._replace(back=colour)
    if 30 <= code <= 37 or 90 <= code <= 97:
        return ink._replace(fore=code - 30 if code < 90 else code - 82)
    if 40 <= code <= 47 or 100 <= code <= 107:
        return ink._replace(back=code - 40 if code < 100 else code - 92)
    return ink._replace(fore=None) if code == 39 else ink._replace(back=None) if code == 49 else ink


def _extended(rest: Iterator[int]) -> Colour | None:
    """The colour behind a 38 or 48; None where it is none."""
    kind = next(rest, 0)
    if kind == 5:
        number = next(rest, 256)
        return number if number < 256 else None
    if kind == 2:
        red, green, blue = (next(rest, 256) for _ in range(3))
        return (red, green, blue) if max(red, green, blue) < 256 else None
    return None


def written(text: str, spans: tuple[Span, ...]) -> str:
    """The text with its inks as SGRs again, for a terminal; each ends before the next begins."""
    parts: list[str] = []
    place = 0
    for span in spans:
        parts += [text[place : span.start], _code(span.ink), text[span.start : span.end], "\x1b[0m"]
        place = span.end
    return "".join([*parts, text[place:]])


def _code(ink: Ink) -> str:
    switches = [str(code) for code, (name, on) in _SWITCHES.items() if on and getattr(ink, name)]
    return f"\x1b[{';'.join([*switches, *_colour(ink.fore, 38), *_colour(ink.back, 48)])}m"


def _colour(colour: Colour | None, code: int) -> list[str]:
    if colour is None:
        return []
    return [f"{code};5;{colour}"] if isinstance(colour, int) else [f"{code};2;{';'.join(map(str, colour))}"]
