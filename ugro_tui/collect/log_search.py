"""The first error of whole logs, however long they are: they are searched as bytes, a part at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace

from ugro_tui.collect.log_files import LogFile, read_part, unreadable
from ugro_tui.core.log_bytes import MOST_BYTES, LineCutter
from ugro_tui.core.log_inquiry import LogError, LogPlace, earliest
from ugro_tui.core.log_level import SUSPECT, Level
from ugro_tui.core.log_lines import LineReader, LogLine

PART = 1 << 20
"""Bytes that are searched at a time."""

ABOUT = 64 << 10
"""Bytes before an error that are searched for a time, and behind it for its end."""


BEGINS = re.compile(rb"^== attempt (\d{1,9}): ", re.MULTILINE)
"""The line with which the entry wrapper begins an attempt in a rank's log."""


class ErrorSearch:
    """Looks for the first error in each of some logs, of their newest attempt that has one."""

    def __init__(self) -> None:
        self._searched: dict[tuple[str, int], _Searched] = {}

    def go_on(self, files: Iterable[LogFile], most: int) -> str:
        """Search on in these files, at most `most` bytes; says which cannot be read, the others are searched."""
        problem = ""
        for file in files:
            one = self._searched.setdefault((file.node, file.rank), _Searched(file))
            if one.file.stamp[0] != file.stamp[0] or file.size < one.place:
                one = self._searched[file.node, file.rank] = _Searched(file)
            try:
                most -= one.go_on(file, most)
            except OSError as error:
                one.pass_over()
                problem = problem or unreadable(file, error)
        return problem

    @property
    def first(self) -> LogError | None:
        """The earliest error that was found so far."""
        return earliest(one.found for one in self._searched.values() if one.found is not None)

    @property
    def searched(self) -> int:
        """Bytes that were searched."""
        return sum(one.place for one in self._searched.values())

    @property
    def left(self) -> int:
        """Bytes that are still to be searched."""
        return sum(one.left for one in self._searched.values())


class _Searched:
    """How far one log has been searched."""

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self.place = 0
        self.found: LogError | None = None
        self._attempt = 0
        self._passed = -1

    @property
    def left(self) -> int:
        """Bytes that are still to be searched."""
        return 0 if self._passed == self.file.size else max(0, self.file.size - self.place)

    def pass_over(self) -> None:
        """Do not wait for the rest of it until the file has grown."""
        self._passed = self.file.size

    def go_on(self, file: LogFile, most: int) -> int:
        """Search at most `most` bytes; how many it was."""
        begin, self.file = self.place, file
        while self.left and self.place - begin < most:
            data = read_part(file, self.place, PART)
            whole = data.rfind(b"\n") + 1
            if not whole:
                if len(data) < PART:  # a half line: its end is waited for
                    self.pass_over()
                    break
                whole = len(data)
            self._look(data[:whole])
            self.place += whole
        return self.place - begin

    def _look(self, data: bytes) -> None:
        """Search whole lines, an attempt at a time: behind a first error only newer attempts are looked for."""
        marks = [(mark.start(), int(mark[1])) for mark in BEGINS.finditer(data)]
        ends = [*(start for start, _ in marks), len(data)]
        for (begin, attempt), end in zip([(0, self._attempt), *marks], ends, strict=True):
            self._attempt = attempt
            if self.found is None or self.found.attempt < attempt:
                offset = _first(data[begin:end])
                if offset is not None:
                    self.found = replace(_told(self.file, self.place + begin + offset), attempt=attempt)


def _first(data: bytes) -> int | None:
    """Where the first line begins that is an error."""
    place = 0
    while (suspect := SUSPECT.search(data, place)) is not None:
        begin = data.rfind(b"\n", 0, suspect.start()) + 1
        end = data.find(b"\n", suspect.start())
        end = len(data) if end < 0 else end
        if end - begin > MOST_BYTES:
            begin = max(begin, suspect.start() - 200)
        if any(line.level >= Level.ERROR for line in _lines(data[begin:end] + b"\n")):
            return begin
        place = end
    return None


def _lines(data: bytes) -> list[LogLine]:
    return LineReader(0).read(LineCutter().feed(data))


def _told(file: LogFile, offset: int) -> LogError:
    """The error that begins at `offset`."""
    begin = max(0, offset - ABOUT)
    before = _lines(read_part(file, begin, offset - begin))
    behind = LineReader(file.rank).read(LineCutter().feed(read_part(file, offset, ABOUT) + b"\n"))
    block = behind[:1]
    for line in behind[1:]:
        if line.level < Level.ERROR or not block:
            break
        block.append(line)
    times = [line.time for line in [*before, *behind[:1]] if not math.isnan(line.time)]
    said = next((line.message for line in reversed(block) if line.message.strip()), "")
    return LogError(LogPlace(file.rank, file.node, offset), said, times[-1] if times else math.nan)
