"""Records that are shown twice, by nodes of a shared filesystem or by a file that was made anew, count once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from ugro_tui.core.columns import Column
from ugro_tui.core.records import Batch, Item, Start, Steps, Tally

MAX_RUNS = 64
"""Runs remembered of one rank: its restarts. More are taken for news."""


_Name: TypeAlias = tuple[str, int, float]
"""A run by its id, attempt and start: a writer that does without unique ids still has the other two."""

_NAMELESS: Final[_Name] = ("", 0, 0.0)


@dataclass(slots=True)
class _Run:
    source: str
    next_seq: float = 0.0


@dataclass(slots=True)
class Sources:
    """Which nodes bring a rank's file, and what of each of its runs has been taken in already.

    A record is known by its run and its `seq` there. Who brought the newest record of a run is believed without a look
    at `seq`, so a file that only one node shows is taken as it is, until it begins the same run again.
    """

    names: set[str] = field(default_factory=set)
    _runs: dict[_Name, _Run] = field(default_factory=dict)
    _current: dict[str, _Name] = field(default_factory=dict)

    def fresh(self, source: str, batch: Batch) -> Batch:
        """What of `batch`, brought by `source`, no other source has brought before."""
        self.names.add(source)
        items = tuple(fresh for item in batch.items if (fresh := self._item(source, item)) is not None)
        first = min(self.names) == source  # damaged lines have no run: they are counted from one source alone
        return Batch(items, batch.tally if first else Tally())

    def _item(self, source: str, item: Item) -> Item | None:
        if isinstance(item, Start):
            self._current[source] = (item.run_id, item.attempt, item.ts)
        run = self._run(source)
        if isinstance(item, Start) and item.run_id and 0 <= item.seq < run.next_seq:
            run.source = ""  # told again from the beginning: only what goes beyond is news
        if run.source == source:
            run.next_seq = max(run.next_seq, _last(item) + 1)
            return item
        fresh = _after(item, run.next_seq)
        if fresh is not None:
            run.source, run.next_seq = source, _last(item) + 1
        return fresh

    def _run(self, source: str) -> _Run:
        name = self._current.get(source, _NAMELESS)
        run = self._runs.get(name)
        if run is None:
            if len(self._runs) >= MAX_RUNS:
                del self._runs[next(iter(self._runs))]
            run = self._runs[name] = _Run(source)
        return run


def _last(item: Item) -> float:
    """The highest `seq` of an item; -1 where it has none."""
    seq = float(item.rows[-1, Column.SEQ]) if isinstance(item, Steps) else float(item.seq)
    return seq if seq == seq else -1.0


def _after(item: Item, next_seq: float) -> Item | None:
    """What of `item` begins at `next_seq`."""
    if not isinstance(item, Steps):
        return item if item.seq >= next_seq else None
    rows = item.rows[item.rows[:, Column.SEQ] >= next_seq]
    return replace(item, rows=rows) if len(rows) else None
