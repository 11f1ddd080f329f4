"""Readers of the logs of jobs: their newest part as one text, the part around a place, and the first error of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

from ugro_tui.collect.archive import Open
from ugro_tui.collect.log_files import LogFile, LogTail, log_files, read_part, unreadable
from ugro_tui.collect.log_search import ErrorSearch
from ugro_tui.core.archive import Finding, Inquiry
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.log_bytes import LineCutter
from ugro_tui.core.log_inquiry import NO_LOGS, LogError, LogErrors, LogFirstError, LogPage, LogPlace, LogText
from ugro_tui.core.log_level import Level
from ugro_tui.core.log_lines import LineReader, LogLine
from ugro_tui.core.log_merge import LogMerge, merged
from ugro_tui.core.text import visible

BUDGET, LEAST, MOST = 8 << 20, 64 << 10, 32 << 20
"""Bytes read of the ends of all logs together; at least of each; and at most, which bounds the least of each."""

AT_ONCE = 4 << 20
"""Bytes read in one look, about: others wait for their turn meanwhile."""

MOST_LINES = 200_000

BEFORE, BEHIND = 128 << 10, 512 << 10
"""Bytes read around a place."""


def log_readers(root: Path, *, copied: bool) -> dict[type[Inquiry[Any]], Open]:
    """The readers for logs below a metrics directory or, `copied`, below the `jobs` folder of a central directory."""
    shelf = _Shelf(root, copied=copied)
    return {
        LogText: lambda ask: TextReader(shelf.of(ask)) if ask.around is None else PartReader(shelf.of(ask), ask.around),
        LogFirstError: lambda ask: FirstErrorReader(shelf.of(ask)),
    }


class _Shelf:
    """Where the logs are."""

    def __init__(self, root: Path, *, copied: bool) -> None:
        self._root = root
        self._copied = copied

    def of(self, ask: LogText | LogFirstError) -> Callable[[], list[LogFile]]:
        """Finds the logs that are asked for; what it gives raises UgroError where there are none."""
        job = checked_job_id(ask.job_id)
        return lambda: self._found(job, ask.rank)

    def _found(self, job: str, rank: int | None) -> list[LogFile]:
        try:
            files = list(log_files(self._root, job, copied=self._copied))
        except OSError as error:
            where = visible(str(self._root / job / "logs"))
            raise UgroError(f"{where} cannot be read: {error.strerror}: look at its rights and its disk") from None
        if not files:
            more = "; press S to copy what there is on the nodes" if self._copied else ""
            raise UgroError(NO_LOGS + more)
        wanted = [file for file in files if rank in (None, file.rank)]
        if not wanted:
            raise BadInput(f"no log of rank {rank}: there are those of {_ranks(files)}")
        return sorted(wanted, key=lambda file: (file.rank, file.node))


def _ranks(files: Iterable[LogFile]) -> str:
    ranks = sorted({file.rank for file in files})
    listed = ", ".join(map(str, ranks[:8]))
    return f"rank{'s' if len(ranks) > 1 else ''} {listed}{f', … {ranks[-1]}' if len(ranks) > 8 else ''}"


class _Tails:
    """The ends of some logs: all that is new in them, by rank. Where it is long, in several looks."""

    def __init__(self, files: Callable[[], list[LogFile]]) -> None:
        self._files = files
        self._tails: dict[tuple[str, int], LogTail] = {}
        self._news: dict[int, list[LogLine]] = {}
        self.problem = ""
        """What cannot be read, of the last look."""
        self.changed = False
        """Whether any file has; who has seen to it resets it."""

    def news(self) -> dict[int, list[LogLine]] | None:
        """The lines that are new; None where there is more to be read first."""
        files = self._files()
        share = max(BUDGET // len(files), min(LEAST, MOST // len(files)))
        left = AT_ONCE
        self.problem = ""
        for file in files:
            begun = (file.node, file.rank) in self._tails
            if not begun and left <= 0:
                return None
            tail = self._tails.setdefault((file.node, file.rank), LogTail(file.rank))
            self._read(tail, file, share)
            left -= 0 if begun else min(share, file.size)
        news, self._news = self._news, {}
        return news

    def _read(self, tail: LogTail, file: LogFile, share: int) -> None:
        try:
            lines = tail.news(file, share)
        except OSError as error:
            self.problem = self.problem or unreadable(file, error)
            return
        self.changed |= lines is not None
        if lines:
            self._news.setdefault(file.rank, []).extend(lines)

    @property
    def halves(self) -> dict[int, LogLine]:
        """The lines that have no end yet, by rank."""
        return {rank: half for (_, rank), tail in self._tails.items() if (half := tail.half) is not None}

    @property
    def begins(self) -> tuple[LogPlace, ...]:
        """Where of each log it was begun to read."""
        return tuple(LogPlace(rank, node, tail.skipped) for (node, rank), tail in self._tails.items())


class TextReader:
    """The newest part of the logs of some ranks as one text, kept up to date. Reads as `collect.archive.Reader`."""

    def __init__(self, files: Callable[[], list[LogFile]]) -> None:
        self._tails = _Tails(files)
        self._merge = LogMerge(MOST_LINES)
        self._halves: dict[int, LogLine] = {}
        self._page: LogPage | None = None

    def read(self) -> Finding[LogPage]:
        """All that is new; nothing yet until the end of every log was read once."""
        news = self._tails.news()
        if news is not None and (self._tails.changed or self._page is None):
            self._tails.changed = False
            self._show(news)
        return Finding(self._page, "" if self._page is None else self._tails.problem)

    def _show(self, news: dict[int, list[LogLine]]) -> None:
        """Make the page anew, if anything is that is seen."""
        halves, begins = self._tails.halves, self._tails.begins
        if self._page is not None and not news and halves == self._halves and begins == self._page.begins:
            return
        self._halves = halves
        self._merge.add(news)
        self._page = LogPage(self._merge.lines(halves), begins, self._merge.dropped)


class LogStream:
    """The logs of a job, or of one rank, as they come: each line once, for who prints them."""

    def __init__(self, root: Path, job_id: str, rank: int | None, *, copied: bool) -> None:
        self._tails = _Tails(_Shelf(root, copied=copied).of(LogText(job_id, rank)))

    def lines(self) -> list[LogLine]:
        """What is new since the last call, at first the newest part; what ranks said in between is told once.

        Raises:
            UgroError: there are no logs, or none of this rank.
        """
        while (news := self._tails.news()) is None:
            pass
        return merged(news)

    @property
    def page(self) -> LogPage:
        """Where the logs were begun to read, without lines."""
        return LogPage((), self._tails.begins)

    @property
    def problem(self) -> str:
        """What cannot be read."""
        return self._tails.problem

    def rest(self) -> list[LogLine]:
        """The lines that have no end, when nothing more comes."""
        return merged({rank: [half] for rank, half in self._tails.halves.items()})


class PartReader:
    """The log of one rank around a place. It is read once. Reads as `collect.archive.Reader`."""

    def __init__(self, files: Callable[[], list[LogFile]], place: LogPlace) -> None:
        self._files = files
        self._place = place
        self._found: Finding[LogPage] | None = None

    def read(self) -> Finding[LogPage]:
        """The part; a problem where there is no such log any more."""
        self._found = self._found or self._read()
        return self._found

    def _read(self) -> Finding[LogPage]:
        place = self._place
        file = next((one for one in self._files() if (one.rank, one.node) == (place.rank, place.node)), None)
        if file is None:
            return Finding(problem=f"the log of rank {place.rank} is not there any more")
        begin = max(0, place.offset - BEFORE)
        before = read_part(file, begin, place.offset - begin)
        if begin:
            cut = before.find(b"\n") + 1
            before, begin = before[cut:], begin + cut
        reader, cutter = LineReader(place.rank), LineCutter()
        lines = reader.read(cutter.feed(before))
        at = len(lines)
        lines += reader.read(cutter.feed(read_part(file, place.offset, BEHIND)))
        half = [reader.peek(cutter.half)] if cutter.half else []
        return Finding(LogPage((*lines, *half), (LogPlace(place.rank, place.node, begin),), at=at))


class FirstErrorReader:
    """The first error of the whole logs of some ranks. Reads as `collect.archive.Reader`."""

    def __init__(self, files: Callable[[], list[LogFile]]) -> None:
        self._files = files
        self._search = ErrorSearch()
        self._found: LogErrors | None = None

    def read(self) -> Finding[LogErrors]:
        """Search on; nothing yet until all was searched once."""
        problem = self._search.go_on(self._files(), AT_ONCE)
        if self._found is None and self._search.left:
            return Finding()
        found = LogErrors(self._search.first, self._search.searched)
        if found != self._found:
            self._found = found
        return Finding(self._found, problem)


def first_error(
    root: Path, job_id: str, rank: int | None, page: LogPage, *, copied: bool
) -> tuple[LogError | None, list[LogLine]]:
    """The first error of the whole logs, which is waited for; and its lines, where it lies before `page`.

    Raises:
        UgroError: there are no logs, or none of this rank.
    """
    shelf = _Shelf(root, copied=copied)
    search = FirstErrorReader(shelf.of(LogFirstError(job_id, rank)))
    while (found := search.read()).loading:
        pass
    first = None if found.content is None else found.content.first
    if first is None or page.holds(first.place):
        return first, []
    part = PartReader(shelf.of(LogText(job_id, first.place.rank)), first.place).read().content
    lines = () if part is None else part.lines[part.at :]
    return first, list(takewhile(lambda line: line.level >= Level.ERROR, lines))
