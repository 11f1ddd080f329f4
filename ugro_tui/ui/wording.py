"""Words for as much room as there is: names lose their middle, titles whole words, the least needed first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import wrap
from typing import Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from textual.content import Content


def shortened(name: str, width: int) -> str:
    """A name in at most `width` cells: what is left out is its middle, as names of one kind differ at their ends."""
    if (len(name) if name.isascii() else cell_len(name)) <= width:
        return name
    behind = min(width // 2 + width // 8, width - 1)
    end, room = "", behind
    for letter in reversed(name):
        room -= cell_len(letter)
        if room < 0:
            break
        end = letter + end
    return set_cell_size(name, max(0, width - 1 - cell_len(end))) + "…" + end


_PHRASE_ENDS: Final = re.compile(r"(?<=[,;:]) ")


def phrased(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` characters: broken where a phrase ends, within a phrase only where one is
    longer than a line."""
    lines = [""]
    for phrase in _PHRASE_ENDS.split(text):
        first, *others = [phrase] if len(phrase) <= width else wrap(phrase, width, break_on_hyphens=False)
        if not lines[-1] or len(lines[-1]) + 1 + len(first) <= width:
            lines[-1] = f"{lines[-1]} {first}".lstrip()
        else:
            lines.append(first)
        lines += others
    return lines


def cut(content: Content, width: int, most: int, more: str = "") -> Content:
    """`content` in at most `most` lines of `width` cells; where that is not all, `…` and `more` stand at its end."""
    lines = content.wrap(max(1, width))
    if len(lines) <= most:
        return content
    end = f"… {more}" if more and 2 * cell_len(more) < width else "…"
    last = lines[most - 1].truncate(max(0, width - cell_len(end))).rstrip()
    return Content("\n").join([*lines[: most - 1], Content.assemble(last, (end, "$text-muted"))])


class Words(NamedTuple):
    """A part of a title, its `forms` from the longest to the shortest: the higher its `rank`, the sooner it is cut."""

    forms: tuple[Content, ...]
    rank: int = 0


def title(parts: Sequence[Words], room: int | None) -> Content:
    """The parts in at most `room` cells, if their shortest forms take no more; None: as long as they are."""
    chosen = [0] * len(parts)
    while room is not None and sum(part.forms[at].cell_length for part, at in zip(parts, chosen, strict=True)) > room:
        shorter = [place for place, part in enumerate(parts) if chosen[place] + 1 < len(part.forms)]
        if not shorter:
            break
        chosen[max(shorter, key=lambda place: parts[place].rank)] += 1
    return Content("").join([part.forms[at] for part, at in zip(parts, chosen, strict=True)])
