"""What the archive reads of metrics: their names, and the lines of one over ranks, from records and event files."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np

from ugro_tui.collect.archive import Open
from ugro_tui.collect.following import Followed, Following
from ugro_tui.collect.job_files import JobFiles
from ugro_tui.core.archive import Finding, Inquiry, Line, Lines, MetricLines, MetricNames
from ugro_tui.core.attempts import before_attempt
from ugro_tui.core.columns import Column
from ugro_tui.core.decode import decode
from ugro_tui.core.framing import LineFramer
from ugro_tui.core.layout import FileKind
from ugro_tui.core.metric_names import EVENTS, OWN, RECORD_COLUMNS, ordered, record_path, tag_of
from ugro_tui.core.metric_rows import MetricRows
from ugro_tui.core.points import TOKENS, VALUE, Points, line_of
from ugro_tui.core.records import Matrix, Steps
from ugro_tui.core.scalars import ScalarDecoder
from ugro_tui.core.text import visible
from ugro_tui.core.tfevents import EventFramer

MOST_LINES: Final = 64
"""Ranks of which a metric is read, evenly spread over more of them."""

MOST_NAMERS: Final = 8
"""Ranks whose files are looked through for names: others have the same."""

MOST_POINTS: Final = 1 << 19
"""Points kept of one metric over all its ranks: 16 MiB."""

MOST_POINTS_OF_ONE: Final = 1 << 16
"""Points kept of one file."""

MOST_NAMES: Final = 4_096
"""The script's own names that are kept of one file."""


def metric_readers(files: JobFiles, sync: str) -> dict[type[Inquiry[Any]], Open]:
    """The readers of metrics for a `FileArchive`; `sync` says how event files come here, empty where they are here."""
    return {MetricNames: lambda ask: NamesReader(files, ask), MetricLines: lambda ask: _lines_reader(files, ask, sync)}


def _lines_reader(files: JobFiles, ask: MetricLines, sync: str) -> LinesReader | EitherReader:
    one = LinesReader(files, ask, sync)
    if record_path(ask.metric) is not None or ask.metric.startswith(EVENTS):
        return one
    return EitherReader(LinesReader(files, replace(ask, metric=f"{OWN}{ask.metric}"), sync), one)


class RecordPoints:
    """The points of a metric of records in one metrics file."""

    skipped = 0

    def __init__(self, path: tuple[str, str], attempt: int | None = None) -> None:
        self.points = Points(MOST_POINTS_OF_ONE)
        self.told = False
        """Whether there has been a value, also where a later start has superseded it."""
        self._framer = LineFramer()
        self._rows = MetricRows(*path)
        self._attempt = attempt
        self._over = False

    def feed(self, data: bytes) -> None:
        """Take what follows in the file; nothing more once a later attempt than the one that is meant begins."""
        lines = b"" if self._over else self._framer.feed(data)
        if self._attempt is not None:
            lines, self._over = (lines, True) if self._over else before_attempt(lines, self._attempt)
        for rows, told in self._rows.take(lines):
            self.points.append(rows, told)
            self.told |= bool(told.any())


class TagPoints:
    """The points of one tag in one event file."""

    def __init__(self, tag: str) -> None:
        self.points = Points(MOST_POINTS_OF_ONE)
        self.told = False
        self._framer = EventFramer()
        self._scalars = ScalarDecoder(tag)

    @property
    def skipped(self) -> int:
        """Damaged bytes that were passed over."""
        return self._framer.skipped

    def feed(self, data: bytes) -> None:
        """Take what follows in the file."""
        for rows in self._scalars.take(self._framer.feed(data)).values():
            self.points.append(_with_tokens(rows))
            self.told = True


def _with_tokens(rows: Matrix) -> Matrix:
    """Rows of step, time and value as points, whose tokens are not known."""
    points = np.full((len(rows), VALUE + 1), np.nan)
    points[:, :TOKENS], points[:, VALUE] = rows[:, :TOKENS], rows[:, TOKENS]
    return points


_Points: TypeAlias = RecordPoints | TagPoints


class LinesReader:
    """Reads one metric of a job."""

    def __init__(self, files: JobFiles, ask: MetricLines, sync: str) -> None:
        self._ask = ask
        self._sync = sync
        path = record_path(ask.metric)
        self._kind = FileKind.EVENTS if path is None else FileKind.METRICS
        tag = tag_of(ask.metric)
        make = (lambda: TagPoints(tag)) if path is None else (lambda: RecordPoints(path, ask.attempt))
        self._following: Following[_Points] = Following(
            files, ask.job_id, self._kind, make, rank=ask.rank, most=MOST_LINES
        )
        self._made: dict[int, tuple[list[tuple[_Points, int]], Line | None]] = {}
        self._lines: Lines | None = None

    def read(self) -> Finding[Lines]:
        """See `Reader.read`."""
        if self._kind is FileKind.EVENTS and self._ask.attempt is not None:
            return Finding(problem="event files do not tell attempts apart: take a metric of the records")
        whole = self._following.read()
        self._limit()
        if not whole and self._lines is None:
            return Finding()
        found = tuple(line for rank, files in self._following.followed.items() if (line := self._line(rank, files)))
        self._made = {rank: self._made[rank] for rank in self._following.followed}
        every = len(found) == len(self._following.followed) and self._ask.rank is None
        ranks = self._following.ranks if every else len(found)
        before = self._lines
        if before is None or before.ranks != ranks or not _same(before.lines, found):
            self._lines = Lines(self._ask.metric, found, ranks)
        return Finding(self._lines, self._problem())

    @property
    def told(self) -> bool:
        """Whether any rank has told the metric, in any attempt."""
        return any(one.content.told for files in self._following.followed.values() for one in files)

    def _line(self, rank: int, files: list[Followed[_Points]]) -> Line | None:
        """The rank's line: the same object where its files have not changed."""
        state = [(one.content, one.version) for one in files]
        if rank not in self._made or self._made[rank][0] != state:
            self._made[rank] = state, line_of(rank, [one.content.points for one in files])
        return self._made[rank][1]

    def _limit(self) -> None:
        points = [one.content.points for files in self._following.followed.values() for one in files]
        for one in points:
            one.limit(min(MOST_POINTS_OF_ONE, MOST_POINTS // len(points)))

    def _problem(self) -> str:
        said = list(self._following.denied[:1])
        skipped = sum(one.content.skipped for files in self._following.followed.values() for one in files)
        said += [f"{skipped:,} damaged bytes of event files were passed over"] if skipped else []
        if not said and not (self._lines and self._lines.lines):
            return self._absent()
        return "; ".join(said)

    def _absent(self) -> str:
        """Why there is no line."""
        job, rank = self._ask.job_id, self._ask.rank
        who = f"job {job}" if rank is None else f"rank {rank} of job {job}"
        metric = visible(self._ask.metric, 80)
        if self.told:
            return (
                f"{who} told {metric!r} before its newest start alone, which began at an earlier step: "
                "wait until it tells it again"
            )
        if self._following.followed:
            return f"{who} has told no {metric!r}: the names that there are: ugro-tui metrics {job}"
        if self._kind is FileKind.METRICS:
            return f"{who} has no records here: see its state, or wait until it writes some"
        return f"{who} has no event files here{self._sync}"


class EitherReader:
    """Reads a name without a prefix: what the script calls so in its records, where it does; else the tag."""

    def __init__(self, own: LinesReader, tag: LinesReader) -> None:
        self._own, self._tag = own, tag

    def read(self) -> Finding[Lines]:
        """See `Reader.read`."""
        found = self._own.read()
        return found if found.loading or self._own.told else self._tag.read()


def _same(some: tuple[Line, ...], others: tuple[Line, ...]) -> bool:
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))


class RecordNames:
    """The names of what the records of one metrics file hold, but for what a later start has superseded."""

    def __init__(self) -> None:
        self.records: dict[str, float] = {}
        self.own: dict[str, float] = {}
        """The lowest step that tells each; of the script's own one that is not above it."""
        self.ever: set[str] = set()
        """The script's own, those that are superseded too."""
        self.lowest = math.inf
        """The lowest step of all."""
        self._framer = LineFramer()

    def feed(self, data: bytes) -> None:
        """Take what follows in the file."""
        for item in decode(self._framer.feed(data)).items:
            if isinstance(item, Steps):
                self._steps(item)

    def _steps(self, item: Steps) -> None:
        first = float(item.rows[:, Column.STEP].min())
        self.lowest = min(self.lowest, first)
        self.records = _before(self.records, first)
        self.records |= _occurring(item.rows, self.records)
        self.own = _before(self.own, first)
        fresh = [name for name in item.metrics if name not in self.own] if len(self.own) < MOST_NAMES else []
        self.own |= dict.fromkeys(fresh, first)
        self.ever |= set(fresh)


def _before(names: Mapping[str, float], step: float) -> dict[str, float]:
    """The names that are told below a step."""
    return {name: first for name, first in names.items() if first < step}


def _occurring(rows: Matrix, known: Collection[str]) -> dict[str, float]:
    """The names of what these rows hold, without those that are known, each with the lowest step that tells it."""
    bad = {"loss": 2.0, "grad_norm": 1.0}
    found = {}
    for name, column in RECORD_COLUMNS.items():
        if name not in known:
            told = ~np.isnan(rows[:, column]) | (rows[:, Column.BAD] == bad.get(name))
            if told.any():
                found[name] = float(rows[told, Column.STEP].min())
    return found


def _standing(files: Sequence[RecordNames]) -> tuple[set[str], set[str]]:
    """What a rank's files tell of records, and of the script's own; a later file supersedes from its first step on."""
    records, own, limit = set[str](), set[str](), math.inf
    for one in reversed(files):
        records |= _before(one.records, limit).keys()
        own |= _before(one.own, limit).keys()
        limit = min(limit, one.lowest)
    return records, own


class TagNames:
    """The tags of the scalars in one event file."""

    def __init__(self) -> None:
        self._framer = EventFramer()
        self._scalars = ScalarDecoder()

    @property
    def tags(self) -> set[str]:
        """The tags so far."""
        return self._scalars.tags

    def feed(self, data: bytes) -> None:
        """Take what follows in the file."""
        self._scalars.take(self._framer.feed(data))


class NamesReader:
    """Reads the names of all metrics of a job."""

    def __init__(self, files: JobFiles, ask: MetricNames) -> None:
        self._records = Following(files, ask.job_id, FileKind.METRICS, RecordNames, most=MOST_NAMERS)
        self._events = Following(files, ask.job_id, FileKind.EVENTS, TagNames, most=MOST_NAMERS)
        self._names: tuple[str, ...] | None = None

    def read(self) -> Finding[tuple[str, ...]]:
        """See `Reader.read`."""
        whole = self._records.read() and self._events.read()
        if not whole and self._names is None:
            return Finding()
        files = [[one.content for one in files] for files in self._records.followed.values()]
        standing = list(map(_standing, files))
        events = [one.content for files in self._events.followed.values() for one in files]
        names = ordered(
            (name for records, _ in standing for name in records),
            (name for _, own in standing for name in own),
            (tag for one in events for tag in one.tags),
            (name for ranks in files for one in ranks for name in one.ever),
        )
        self._names = self._names if names == self._names else names
        return Finding(self._names, "; ".join((*self._records.denied, *self._events.denied)[:1]))
