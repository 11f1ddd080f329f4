"""The ranks of a job in numbers: columns that are quickly made at each look, and a row for who asks for one."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, overload

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.job import JobState
from ugro_tui.core.liveness import States, newest_values
from ugro_tui.core.rank import Rank
from ugro_tui.core.records import Matrix
from ugro_tui.core.rules.ends import cause_of_death
from ugro_tui.core.states import RankState


@dataclass(frozen=True, slots=True)
class RankSummary:
    """One rank in numbers. Losses are as recorded, throughputs in tokens/s of this rank; NaN where not known.

    `avg_throughput` is the mean over its steps, as in `JobSummary`; `non_finite` of its `records` hold a loss or a
    gradient norm that is no number. `loss_bad`: its newest loss is no number (any more); `final_loss` is then not
    known, whatever it was before.
    """

    rank: int
    node: str
    state: str
    cause: str
    step: float
    final_loss: float
    min_loss: float
    lr: float
    grad_norm: float
    throughput: float
    avg_throughput: float
    records: int
    loss_bad: bool
    last_finite_loss: float
    non_finite: int
    lost: int
    dropped: int
    skipped: int


_NAMES: Final = tuple(field.name for field in fields(RankSummary))
_WORDS: Final = [state.word for state in RankState]


class RankStats(Sequence[RankSummary]):
    """Ranks in numbers, in order. A row is made when somebody looks at it: of thousands nobody does at every look."""

    __slots__ = ("_columns",)

    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        """`columns`: as the fields of `RankSummary`, all of one length; they must not change any more."""
        self._columns = dict(zip(_NAMES, columns, strict=True))

    @classmethod
    def of(cls, ranks: Iterable[RankSummary]) -> RankStats:
        """These ranks."""
        rows = tuple(ranks)
        return cls([[getattr(row, name) for row in rows] for name in _NAMES])

    def column(self, name: str) -> Sequence[Any]:
        """One field of all ranks."""
        return self._columns[name]

    def __len__(self) -> int:
        return len(self._columns["rank"])

    @overload
    def __getitem__(self, place: int) -> RankSummary: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[RankSummary]: ...
    def __getitem__(self, place: int | slice) -> RankSummary | Sequence[RankSummary]:
        if isinstance(place, slice):
            return tuple(self)[place]
        return RankSummary(*(column[place] for column in self._columns.values()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RankStats | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def stats_of(job: JobState, ranks: Sequence[Rank], states: States, first: Rank | None) -> RankStats:
    """What is known of `ranks`. `states`: of all rows; `first`: the rank that the job's failure began with."""
    rows = [rank.row for rank in ranks]
    now, latest = states[rows].tolist(), newest_values(job.table, states)[rows]
    bad = [rank.bad is not None and rank.bad.of_loss and not rank.bad.finite for rank in ranks]
    last = [rank.last_loss for rank in ranks]
    causes = [""] * len(ranks)
    for place in np.flatnonzero(states[rows] == RankState.DEAD).tolist():
        causes[place] = cause_of_death(job, ranks[place], first)
    return RankStats((
        [rank.rank for rank in ranks],
        [rank.node for rank in ranks],
        [_WORDS[state] for state in now],
        causes,
        _packed(latest[:, Column.STEP]),
        [math.nan if lost else loss for lost, loss in zip(bad, last, strict=True)],
        [math.nan if math.isnan(rank.first_step) else rank.min_loss for rank in ranks],
        _packed(latest[:, Column.LR]),
        _packed(latest[:, Column.GRAD_NORM]),
        _packed(latest[:, Column.THROUGHPUT]),
        array("d", [rank.mean_throughput for rank in ranks]),
        [rank.records for rank in ranks],
        bad,
        last,
        [rank.bad_records for rank in ranks],
        [rank.lost for rank in ranks],
        [told.dropped if (told := rank.end or rank.heartbeat) else 0 for rank in ranks],
        [rank.skipped for rank in ranks],
    ))  # fmt: skip


def _packed(values: Matrix) -> Sequence[float]:
    """The numbers as a sequence that takes eight bytes for each: many pictures of thousands of ranks are made."""
    return array("d", values.tobytes())
