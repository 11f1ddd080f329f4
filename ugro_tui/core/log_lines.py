"""Lines of logs: what each says, when, how gravely, and which ranks said it."""

from __future__ import annotations

import math
import re
from calendar import timegm
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ugro_tui.core.log_level import TRACEBACK, Level, level_of
from ugro_tui.core.sgr import Span, parted

MOST_SHOWN = 4_000
"""Characters of a line that are kept."""

_PREFIX = re.compile(r"\[(?:rank|default|Rank )(\d{1,6})\]:? ?")
_STAMP = re.compile(
    r"[\[(]?(?:(\d{4})[-/](\d\d)[-/](\d\d)|(\d\d)/(\d\d)/(\d{4}))[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"(?: ?(Z|UTC|[+-]\d\d:?\d\d))?[\])]?(?![\w.])(?: - |: | )?"
)
_GLOG = re.compile(r"\[?[IWEF](\d{1,2})(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?")
_EPOCH = re.compile(r"\[?(1[4-9]\d{8}|2[01]\d{8})(?:\.(\d{1,9}))?\]?(?![\w.])(?:: | )?")


_GLOG_LEVELS = frozenset("IWEF")


class LogLine(NamedTuple):
    """A line that `ranks` (ascending) printed; a tuple, for hundreds of thousands of them are made.

    `text` is safe to show, and written as `spans` say. `time`: Unix seconds that the line tells of itself, read as UTC
    where it names no zone; NaN where it tells none. What it says begins at `start`,
    behind a rank's prefix and the time.
    """

    ranks: tuple[int, ...]
    level: Level
    time: float
    text: str
    start: int
    spans: tuple[Span, ...]
    goes_on: bool = False
    """It belongs to the line that the rank printed before it, as those of a traceback do."""

    @property
    def message(self) -> str:
        """What the line says, without who and when."""
        return self.text[self.start :]


def without_rank(line: LogLine) -> tuple[str, tuple[Span, ...]]:
    """The text of a line without the prefix of a rank, `[rank3]:`, and how it is written."""
    prefix = _PREFIX.match(line.text)
    if prefix is None:
        return line.text, line.spans
    cut = prefix.end()
    moved = (Span(max(0, begin - cut), end - cut, ink) for begin, end, ink in line.spans if end > cut)
    return line.text[cut:], tuple(moved)


_INDENTS = (" ", "\t")
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")


class _Raised(Enum):
    """Whether a traceback has just ended, and whether another one is announced that belongs to it."""

    NO = 0
    ONCE = 1
    AGAIN = 2

    def __bool__(self) -> bool:
        return self is not _Raised.NO


class LineReader:
    """Reads the lines of one rank in order: those of a traceback belong together, and are errors."""

    def __init__(self, rank: int) -> None:
        self._ranks = (rank,)
        self._in_traceback = False
        self._raised = _Raised.NO
        self._time = math.nan

    def read(self, lines: Iterable[str]) -> list[LogLine]:
        """The meaning of these lines, which follow on those before."""
        return [self._line(line) for line in lines]

    def peek(self, line: str) -> LogLine:
        """The meaning of a line that has no end yet."""
        before = self._in_traceback, self._raised, self._time
        found = self._line(line)
        self._in_traceback, self._raised, self._time = before
        return found

    def _line(self, line: str) -> LogLine:
        text, spans = parted(line, MOST_SHOWN)
        time, start = _told(text)
        if time != time and text[start : start + 2].lstrip("[")[:1] in _GLOG_LEVELS:
            time = self._glog_time(text, start)
        if time == time:
            self._time = time
        message = text[start:] if start else text
        goes_on = time != time and self._goes_on(message)
        return LogLine(self._ranks, self._level(message), time, text, start, spans, goes_on)

    def _goes_on(self, message: str) -> bool:
        """Whether a line that tells no time belongs to the one before it."""
        if self._in_traceback or message[:1] in _INDENTS:
            return not message.startswith(TRACEBACK)
        if self._raised is _Raised.NO:
            return False
        if message.startswith(_CHAINED):
            self._raised = _Raised.AGAIN
            return True
        return not message or (self._raised is _Raised.AGAIN and message.startswith(TRACEBACK))

    def _glog_time(self, text: str, start: int) -> float:
        """The time of a line of glog, which does not tell the year: that of the last line that did."""
        found = _GLOG.match(text, start)
        if found is None or math.isnan(self._time):
            return math.nan
        *date, fraction = found.groups()
        return _unix(_year(self._time), *map(int, date)) + _fraction(fraction)

    def _level(self, message: str) -> Level:
        if self._raised and message and not message.startswith(_CHAINED):
            self._raised = _Raised.NO
        if message.lstrip().startswith(TRACEBACK):
            self._in_traceback = True
            return Level.ERROR
        if self._in_traceback:
            self._in_traceback = not message or message[0] in " |+"
            self._raised = _Raised.NO if self._in_traceback else _Raised.ONCE
            return Level.ERROR if self._in_traceback else max(Level.ERROR, level_of(message))
        return level_of(message)


def _year(at: float) -> int:
    """The year of Unix seconds, in UTC."""
    return 1970 + int(np.datetime64(int(at), "s").astype("datetime64[Y]").astype(int))


def _told(text: str) -> tuple[float, int]:
    """The time that a line tells, and where what it says begins."""
    place = 0
    if text.startswith("["):
        prefix = _PREFIX.match(text)
        place = prefix.end() if prefix else 0
    first = text[place : place + 2]
    if not (first[:1].isdigit() or first[1:].isdigit()):
        return math.nan, place
    stamp = _STAMP.match(text, place)
    if stamp:
        return _seconds(stamp), stamp.end()
    epoch = _EPOCH.match(text, place)
    if epoch:
        return float(epoch.group(1)) + _fraction(epoch.group(2)), epoch.end()
    return math.nan, place


def _seconds(stamp: re.Match[str]) -> float:
    year, month, day, other_month, other_day, other_year, *clock, fraction, zone = stamp.groups()
    date = (int(year or other_year), int(month or other_month), int(day or other_day))
    return _unix(*date, *map(int, clock)) - _offset(zone) + _fraction(fraction)


def _fraction(digits: str | None) -> float:
    return int(digits) / 10 ** len(digits) if digits else 0.0


@lru_cache(maxsize=256)
def _unix(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float:
    """Unix seconds of a time in UTC; NaN where there is no such time."""
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return math.nan
    return float(timegm((year, month, day, hour, minute, second)))


def _offset(zone: str | None) -> float:
    """Seconds that a zone is before UTC."""
    if not zone or zone in ("Z", "UTC"):
        return 0.0
    digits = zone[1:].replace(":", "")
    return (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1.0 if zone[0] == "-" else 1.0)


def errors(lines: Sequence[LogLine]) -> Iterator[LogLine]:
    """The lines that are errors, tracebacks as a whole."""
    return (line for line in lines if line.level >= Level.ERROR)


def cause_first(lines: Sequence[LogLine], rank: int, said: str) -> list[LogLine]:
    """The lines with the block before all that this rank prints, and in which it says so; the others as they are."""
    place = next((at for at, line in enumerate(lines) if rank in line.ranks and line.message == said), None)
    if place is None:
        return list(lines)
    begin = end = place
    while begin and lines[begin - 1].ranks == lines[place].ranks:
        begin -= 1
    while end < len(lines) and lines[end].ranks == lines[place].ranks:
        end += 1
    return [*lines[begin:end], *lines[:begin], *lines[end:]]


def first_error(lines: Sequence[LogLine], begin: int = 0) -> int | None:
    """The index of the first error from `begin` on."""
    return next((index for index in range(begin, len(lines)) if lines[index].level >= Level.ERROR), None)


def ranks_text(ranks: Sequence[int]) -> str:
    """Ascending ranks in few characters: `0-7,9`."""
    runs: list[tuple[int, int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], rank)
        else:
            runs.append((rank, rank))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
