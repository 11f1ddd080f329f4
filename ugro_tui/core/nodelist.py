"""Slurm's way to write many nodes: `rack[01-02]n[1-3,7],login`."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from ugro_tui.core.errors import BadInput
from ugro_tui.core.text import visible

MAX_NODES = 4096
"""More nodes than these are a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of a list, at `start` (from 0) of the whole text."""

    text: str
    start: int
    whole: str


def split(text: str, origin: str) -> list[Piece]:
    """The entries of a list, divided at the commas outside brackets; empty ones are left out.

    Raises:
        BadInput: a bracket is not closed, not opened, or within another; says where.
    """
    pieces = []
    start, opened = 0, -1
    for place, sign in enumerate(text + ","):
        if sign == "[":
            if opened >= 0:
                raise _bad(text, place, "a bracket within a bracket: close the first one before", origin)
            opened = place
        elif sign == "]":
            if opened < 0:
                raise _bad(text, place, "a bracket is closed that was not opened: remove it", origin)
            opened = -1
        elif sign == "," and opened < 0:
            pieces.append(_stripped(text[start:place], start, text))
            start = place + 1
    if opened >= 0:
        raise _bad(text, opened, "the bracket is not closed: write n[1-3]", origin)
    return [piece for piece in pieces if piece.text]


def _stripped(text: str, start: int, whole: str) -> Piece:
    return Piece(text.strip(), start + len(text) - len(text.lstrip()), whole)


def expand(piece: Piece, origin: str) -> list[str]:
    """The names that a piece stands for; brackets around an IPv6 address stay.

    Raises:
        BadInput: what is in brackets is no list of numbers, or they are more than `MAX_NODES`.
    """
    choices: list[list[str]] = []
    count = 1
    for found in re.finditer(r"\[([^\]]*)\]|[^\[]+", piece.text):
        inner = found.group(1)
        plain = inner is None or ":" in inner
        choice = [found.group()] if plain else _numbers(piece, inner, piece.start + found.start(1), origin)
        choices.append(choice)
        count *= len(choice)
        if count > MAX_NODES:
            raise _bad(piece.whole, piece.start, f"more than {MAX_NODES} nodes: name fewer", origin)
    return ["".join(parts) for parts in itertools.product(*choices)]


def _numbers(piece: Piece, inner: str, place: int, origin: str) -> list[str]:
    """`1-3,7` as numbers, `place` being where it stands in the whole text; leading zeros are kept."""
    numbers: list[str] = []
    for part in inner.split(","):
        span = re.fullmatch(r"\s*([0-9]{1,15})(?:-([0-9]{1,15}))?\s*", part)
        if span is None:
            raise _bad(piece.whole, place, f"{visible(part, 40)!r} is neither a number nor a range such as 1-3", origin)
        first, last = span.group(1), span.group(2) or span.group(1)
        if int(last) < int(first):
            raise _bad(piece.whole, place, f"the range {part} runs backwards: write {last}-{first}", origin)
        if int(last) - int(first) + len(numbers) >= MAX_NODES:
            raise _bad(piece.whole, place, f"more than {MAX_NODES} nodes: name fewer", origin)
        numbers += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        place += len(part) + 1
    return numbers


def _bad(text: str, place: int, problem: str, origin: str) -> BadInput:
    return BadInput(f"{origin}: {visible(text, 120)!r}, position {place + 1}: {problem}")
