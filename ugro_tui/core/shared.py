"""Records that are shown twice, by nodes of a shared filesystem or by a file that was made anew, count once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeAlias

from ugro_tui.core.columns import Column
from ugro_tui.core.records import Batch, Item, Start, Steps, Tally

MAX_RUNS = 64
"""Runs remembered of one rank: its restarts. More are taken for news."""

_Names: TypeAlias = frozenset[str]
_NOBODY: Final[_Names] = frozenset()


@dataclass(slots=True)
class _Run:
    """A run as far as it was told. `source`: who brought its newest record; `tellers`: who is in it now."""

    start: Start | None
    source: str
    tellers: _Names
    next_seq: float = 0.0

    @property
    def name(self) -> tuple[str, int, float]:
        """Its id, attempt and start: a writer that does without unique ids still has the other two."""
        return _NAMELESS if self.start is None else _name(self.start)


_NAMELESS: Final = ("", 0, 0.0)


def _name(start: Start) -> tuple[str, int, float]:
    return (start.run_id, start.attempt, start.ts)


class Sources:
    """Which nodes bring a rank's file, and what of each of its runs has been taken in already.

    A record is known by its run and its `seq` there. Who brought the newest record of a run is believed without a look
    at `seq`, so a file that only one node shows is taken as it is, until it begins the same run again.
    """

    __slots__ = ("_runs", "names")

    def __init__(self) -> None:
        self.names: _Names = _NOBODY
        self._runs: tuple[_Run, ...] = ()  # the newest last

    def add(self, name: str) -> None:
        """This node brings the file too."""
        if name not in self.names:
            self.names = _with(self.names, name)

    def fresh(self, source: str, batch: Batch) -> Batch:
        """What of `batch`, brought by `source`, no other source has brought before."""
        self.add(source)
        items = tuple(fresh for item in batch.items if (fresh := self._item(source, item)) is not None)
        first = min(self.names) == source  # damaged lines have no run: they are counted from one source alone
        return Batch(items, batch.tally if first else Tally())

    def _item(self, source: str, item: Item) -> Item | None:
        if isinstance(item, Start):
            run = self._begin(source, item)
            if item.run_id and 0 <= item.seq < run.next_seq:
                run.source = ""  # told again from the beginning: only what goes beyond is news
        else:
            run = self._run(source)
        if run.source == source:
            run.next_seq = max(run.next_seq, _last(item) + 1)
            return item
        fresh = _after(item, run.next_seq)
        if fresh is not None:
            run.source, run.next_seq = source, _last(item) + 1
        return fresh

    def _run(self, source: str) -> _Run:
        """The run that `source` tells."""
        for run in reversed(self._runs):
            if source in run.tellers:
                return run
        return self._enter(source, None)

    def _begin(self, source: str, start: Start) -> _Run:
        """`source` tells this run from now on."""
        for run in self._runs:
            if source in run.tellers:
                run.tellers = run.tellers - {source}
        return self._enter(source, start)

    def _enter(self, source: str, start: Start | None) -> _Run:
        name = _NAMELESS if start is None else _name(start)
        for run in self._runs:
            if run.name == name:
                run.tellers = _with(run.tellers, source)
                return run
        run = _Run(start, source, _with(_NOBODY, source))
        self._runs = (*self._runs[-MAX_RUNS + 1 :], run)
        return run


@lru_cache(maxsize=1 << 12)
def _with(names: _Names, name: str) -> _Names:
    """The names with this one: ranks that the same nodes bring share them, for each set takes 200 bytes."""
    return names | {name}


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
