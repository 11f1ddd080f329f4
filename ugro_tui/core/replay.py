"""A run told again from its records, in its own time: what fired, when, and when it was over."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ugro_tui.core.alerts import Alert, Subject
from ugro_tui.core.columns import Column
from ugro_tui.core.job import JobState
from ugro_tui.core.recent import ROUNDS
from ugro_tui.core.records import Batch, Item, Steps, Tally
from ugro_tui.core.rules.catalogue import DEFAULTS, RULES
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.watch import JobWatch

RECORDS_A_LOOK: Final = ROUNDS
"""Records of each rank between two looks: as many as stragglers are told from."""

MOST_PIECES: Final = 16_000
"""Pieces in which all ranks are told. Longer runs are looked at less often: series rules see every record anyway."""

QUIET_SECONDS: Final = 5.0
"""Time without records after which a look is taken between them: a stall is seen while it lasts."""


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


def replay(ranks: Iterable[Told], thresholds: Thresholds = DEFAULTS) -> tuple[Past, ...]:
    """What fired over the run by the rules that need records alone, in the order of time.

    Times are the records' own. What still fired at the last record is not resolved: the files tell no more.
    """
    told = list(ranks)
    history = _History(thresholds)
    for rank in told:
        history.count(rank)
    for end, pieces in _looks(told):
        history.pass_time(end)
        for rank, item in pieces:
            history.take(rank, item, end)
        history.look(end)
    return history.past()


class _History:
    def __init__(self, thresholds: Thresholds) -> None:
        self._job = JobState("")
        self._watch = JobWatch()
        self._thresholds = thresholds
        self._firing: dict[Subject, Past] = {}
        self._over: list[Past] = []
        self._now = math.nan

    def count(self, rank: Told) -> None:
        tally = sum((batch.tally for batch in rank.batches), Tally())
        if tally.skipped or not rank.batches:
            self._job.apply(rank.rank, Batch((), tally), 0.0, rank.node)

    def take(self, rank: Told, item: Item, now: float) -> None:
        self._job.apply(rank.rank, Batch((item,)), now, rank.node)

    def pass_time(self, now: float) -> None:
        """Look once more before `now`, where nothing was told for a while."""
        if now - self._now > QUIET_SECONDS:
            self.look(now - 1e-3)

    def look(self, now: float) -> None:
        self._now = now
        alerts = self._watch.tick(self._job, now, self._thresholds)
        found = {alert.subject: alert for alert in alerts if RULES[alert.rule].replayed}
        for subject in [subject for subject in self._firing if subject not in found]:
            self._over.append(replace(self._firing.pop(subject), resolved=now))
        for subject, alert in found.items():
            before = self._firing.get(subject)
            self._firing[subject] = before or Past(alert, now - alert.age, math.nan)

    def past(self) -> tuple[Past, ...]:
        return tuple(sorted([*self._over, *self._firing.values()], key=lambda one: one.fired))


def _looks(told: Sequence[Told]) -> Iterator[tuple[float, list[tuple[Told, Item]]]]:
    """The items of all ranks in slices of time, each with the time of its end."""
    events = list(heapq.merge(*(_events(place, rank, _size(told)) for place, rank in enumerate(told))))
    for first in range(0, len(events), max(1, len(told))):
        part = events[first : first + len(told)]
        yield part[-1][0], [(told[place], item) for _, place, _, item in part]


def _size(told: Sequence[Told]) -> int:
    """Records of a rank that are told in one piece."""
    records = sum(len(item.rows) for rank in told for item in _items(rank) if isinstance(item, Steps))
    return max(RECORDS_A_LOOK, -(-records // MOST_PIECES))


def _items(rank: Told) -> Iterator[Item]:
    for batch in rank.batches:
        yield from batch.items


def _events(place: int, rank: Told, size: int) -> Iterator[tuple[float, int, int, Item]]:
    """The rank's items by the time of their last record, which never steps back; long ones in pieces of `size`."""
    now, number = 0.0, 0
    for item in _items(rank):
        for piece in _pieces(item, size):
            ts = float(piece.rows[-1, Column.TS]) if isinstance(piece, Steps) else piece.ts
            now = max(now, ts) if math.isfinite(ts) else now
            yield now, place, number, piece
            number += 1


def _pieces(item: Item, size: int) -> Iterator[Item]:
    if not isinstance(item, Steps):
        yield item
        return
    for first in range(0, len(item.rows), size):
        rows = item.rows[first : first + size]
        yield Steps(np.ascontiguousarray(rows), item.metrics)
