"""Lines that belong together, such as those of a traceback: nothing that another rank said comes between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from ugro_tui.core.log_level import Level
from ugro_tui.core.log_lines import LogLine

MOST_LINES: Final = 400
"""Lines of a block at most: of a rank that indents all that it prints, others must be heard in between."""

_RANK = re.compile(r"(?i)\b(?:local[_ ]?|global[_ ]?)?rank(?:[ _:=#]| = |: )?(\d{1,6})\b")


class Block(NamedTuple):
    """What ranks said in several lines. `ends`: where only their last lines differ, one of each; else empty."""

    body: tuple[LogLine, ...]
    ends: tuple[LogLine, ...] = ()

    @property
    def ranks(self) -> tuple[int, ...]:
        """Who said it, ascending."""
        return self.body[0].ranks

    @property
    def level(self) -> Level:
        """How grave its first line is."""
        return self.body[0].level

    @property
    def time(self) -> float:
        """When its first line was said, as `LogLine.time`."""
        return self.body[0].time


Said: TypeAlias = LogLine | Block


def folded(lines: Sequence[LogLine]) -> list[Said]:
    """The lines of one rank, those that belong together as one."""
    if not any(line.goes_on for line in lines):
        return list(lines)
    found: list[Said] = []
    begin = 0
    for place in range(1, len(lines) + 1):
        if place == len(lines) or not lines[place].goes_on or place - begin >= MOST_LINES:
            found.append(_block(lines[begin:place]))
            begin = place
    return found


def unfolded(said: Iterable[Said]) -> Iterator[LogLine]:
    """All lines again."""
    for one in said:
        if isinstance(one, Block):
            yield from one.body
            yield from one.ends
        else:
            yield one


def grown(said: Said, lines: Sequence[LogLine]) -> list[Said]:
    """`said` with the lines of the same rank that go on with it."""
    return folded([*unfolded([said]), *lines])


def _block(lines: Sequence[LogLine]) -> Said:
    if len(lines) == 1:
        return lines[0]
    return Block(tuple(lines)) if len(lines) == 2 else Block(tuple(lines[:-1]), (lines[-1],))


def what_is_said(said: Said) -> str:
    """What two ranks must have in common to have said the same: all but their own numbers, the time, and of a block
    the last line: tracebacks that end with other words are told once, and each of the words."""
    if isinstance(said, Block):
        return "\n".join(map(what_is_said, said.body)) + ("\n" if said.ends else "")
    message = said.message
    return _masked(message) if "ank" in message or "ANK" in message else message


def joined(said: Said, others: Sequence[Said]) -> Said:
    """All of them as one. Where they name their own ranks, `*` stands for the numbers."""
    if not isinstance(said, Block):
        return _line(said, [other for other in others if not isinstance(other, Block)])
    blocks = [other for other in others if isinstance(other, Block)]
    body = [_line(line, same) for line, *same in zip(said.body, *(block.body for block in blocks), strict=True)]
    ends: dict[str, list[LogLine]] = {}
    for end in (*said.ends, *(end for block in blocks for end in block.ends)):
        ends.setdefault(what_is_said(end), []).append(end)
    return Block(tuple(body), tuple(_line(first, same) for first, *same in ends.values()))


def _line(line: LogLine, others: Sequence[LogLine]) -> LogLine:
    ranks = tuple(sorted({*line.ranks, *(rank for other in others for rank in other.ranks)}))
    text, message = line.text, line.message
    if any(other.message != message for other in others):
        text = text[: line.start] + _RANK.sub(_stars, message)
    return line._replace(ranks=ranks, text=text)


def _masked(text: str) -> str:
    return _RANK.sub(lambda found: found.group().replace(found.group(1), "*"), text)


def _stars(found: re.Match[str]) -> str:
    """As many stars as there were digits: what is written in colour stays in its place."""
    digits = found.group(1)
    return found.group()[: -len(digits)] + "*" * len(digits)
