"""A run told again from its records, in its own time: what fired, when, and when it was over."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Final, TypeAlias

import numpy as np

from ugro_tui.core.alerts import Alert, Subject
from ugro_tui.core.archive import Inquiry
from ugro_tui.core.columns import Column
from ugro_tui.core.job import JobState
from ugro_tui.core.recent import ROUNDS
from ugro_tui.core.records import Batch, Item, Matrix, Steps, Tally
from ugro_tui.core.rules.catalogue import DEFAULTS, RULES
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.watch import JobWatch

RECORDS_A_LOOK: Final = ROUNDS
"""Records of each rank between two looks: as many as stragglers are told from."""

MOST_PIECES: Final = 16_000
"""Pieces in which all ranks are told. Longer runs are looked at less often: series rules see every record anyway."""

QUIET_SECONDS: Final = 5.0
"""Time without records after which a look is taken between them: a stall is seen while it lasts."""


GAP: Final = 4.0
"""Usual intervals between records after which they are told apart: less than those of a stall."""


@dataclass(frozen=True, slots=True)
class Past:
    """An alert of a run's history. `fired` and `resolved` are Unix seconds by the nodes' clocks; NaN: not over."""

    alert: Alert
    fired: float
    resolved: float


@dataclass(frozen=True, slots=True)
class Told:
    """All records of one rank on one node, in the order of its file."""

    rank: int
    node: str
    batches: Sequence[Batch]


_Event: TypeAlias = tuple[float, float, int, int, Item]
"""Time and step of the last record, the rank's place, the number of the piece, and the piece."""


def replay(ranks: Iterable[Told], thresholds: Thresholds = DEFAULTS) -> tuple[Past, ...]:
    """What fired over the run by the rules that need records alone, in the order of time.

    Times are the records' own. What still fired at the last record is not resolved: the files tell no more.
    """
    history = Replay(ranks, thresholds)
    while not history.go_on(RECORDS_A_LOOK):
        pass
    return history.past


@dataclass(frozen=True, slots=True)
class Fired(Inquiry[tuple[Past, ...]]):
    """What fired over a job, as its records tell it when they are read first: what fires later is in the book."""


class Replay:
    """A run that is told again, in turns, for who has other things to do meanwhile."""

    def __init__(self, ranks: Iterable[Told], thresholds: Thresholds = DEFAULTS) -> None:
        self._job = JobState("")
        self._watch = JobWatch()
        self._thresholds = thresholds
        self._firing: dict[Subject, Past] = {}
        self._over: list[Past] = []
        self._now = math.nan
        self._timed = False
        told = list(ranks)
        for rank in told:
            self._count(rank)
        self._left = _looks(told)

    def go_on(self, most: int) -> bool:
        """Take so many looks more; whether it is told to its end."""
        for begin, end, pieces in islice(self._left, most):
            self._pass_time(begin)
            for rank, item in pieces:
                self._take(rank, item, end)
            self._look(end)
            most -= 1
        return most > 0

    @property
    def past(self) -> tuple[Past, ...]:
        """What fired so far, in the order of time."""
        return tuple(sorted([*self._over, *self._firing.values()], key=lambda one: one.fired))

    def _count(self, rank: Told) -> None:
        tally = sum((batch.tally for batch in rank.batches), Tally())
        if tally.skipped or not rank.batches:
            self._job.apply(rank.rank, Batch((), tally), 0.0, rank.node)

    def _take(self, rank: Told, item: Item, now: float) -> None:
        self._job.apply(rank.rank, Batch((item,)), now, rank.node)
        self._timed = math.isfinite(_end(item))

    def _pass_time(self, now: float) -> None:
        """Look once more before `now`, where nothing was told for a while."""
        if self._timed and now - self._now > QUIET_SECONDS:
            self._look(now - 1e-3)

    def _look(self, now: float) -> None:
        self._now = now
        alerts = self._watch.tick(self._job, now, self._thresholds)
        found = {alert.subject: alert for alert in alerts if RULES[alert.rule].replayed}
        for subject in [subject for subject in self._firing if subject not in found]:
            self._over.append(replace(self._firing.pop(subject), resolved=now))
        for subject, alert in found.items():
            before = self._firing.get(subject)
            self._firing[subject] = before or Past(alert, now - alert.age, math.nan)


def _looks(told: Sequence[Told]) -> Iterator[tuple[float, float, list[tuple[Told, Item]]]]:
    """The items of all ranks in slices of time, each with the times of its first and its last record."""
    events = list(heapq.merge(*(_events(place, rank, _size(told)) for place, rank in enumerate(told))))
    for first in range(0, len(events), max(1, len(told))):
        part = events[first : first + len(told)]
        begin = min(_begin(item, end) for end, *_, item in part)
        yield begin, part[-1][0], [(told[place], item) for *_, place, _, item in part]


def _begin(item: Item, end: float) -> float:
    """When the first record of an item was made, where that is known."""
    ts = float(item.rows[0, Column.TS]) if isinstance(item, Steps) else item.ts
    return min(ts, end) if math.isfinite(ts) else end


def _size(told: Sequence[Told]) -> int:
    """Records of a rank that are told in one piece."""
    records = sum(len(item.rows) for rank in told for item in _items(rank) if isinstance(item, Steps))
    return max(RECORDS_A_LOOK, -(-records // MOST_PIECES))


def _items(rank: Told) -> Iterator[Item]:
    """The rank's items; records that follow each other as one, however its file was cut when it was read."""
    every = (item for batch in rank.batches for item in batch.items)
    for steps, run in groupby(every, lambda item: isinstance(item, Steps)):
        parts = list(run)
        if not steps:
            yield from parts
            continue
        rows = [part.rows for part in parts if isinstance(part, Steps)]
        yield Steps(np.concatenate(rows))


def _events(place: int, rank: Told, size: int) -> Iterator[_Event]:
    """The rank's items by the time of their last record, which never steps back; long ones in pieces of `size`.

    Where records carry no times, their steps keep the ranks together.
    """
    now, step, number = 0.0, -math.inf, 0
    for item in _items(rank):
        for piece in _pieces(item, size):
            ts = _end(piece)
            now = max(now, ts) if math.isfinite(ts) else now
            step = float(piece.rows[-1, Column.STEP]) if isinstance(piece, Steps) else step
            yield now, step, place, number, piece
            number += 1


def _end(item: Item) -> float:
    """When the last record of an item was made; NaN where that is not known."""
    return float(item.rows[-1, Column.TS]) if isinstance(item, Steps) else item.ts


def _pieces(item: Item, size: int) -> Iterator[Item]:
    if not isinstance(item, Steps):
        yield item
        return
    for part in np.split(item.rows, _cuts(item.rows)):
        for first in range(0, len(part), size):
            yield Steps(np.ascontiguousarray(part[first : first + size]), item.metrics)


def _cuts(rows: Matrix) -> np.ndarray:
    """Where rows are told apart: at a pause, and behind the first record of each episode that is no number."""
    gaps, bad = np.diff(rows[:, Column.TS]), rows[:, Column.BAD] > 0
    usual = float(np.nanmedian(gaps)) if np.isfinite(gaps).any() else math.inf
    pauses = np.flatnonzero(gaps > max(QUIET_SECONDS, GAP * usual)) + 1
    return np.union1d(pauses, np.flatnonzero(bad & ~np.concatenate([[False], bad[:-1]])) + 1)
