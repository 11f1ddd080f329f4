"""What a rule of a job sees at one moment, and how the ranks that it finds become alerts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Protocol

import numpy as np

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.job import JobState
from ugro_tui.core.liveness import LIVING, States, write_ages
from ugro_tui.core.rank import Rank
from ugro_tui.core.rules.catalogue import RULES
from ugro_tui.core.rules.latch import Floats, Mask
from ugro_tui.core.rules.rule import Thresholds

MOST_NAMED: Final = 8
"""Ranks that one rule names each for itself; where it finds more, one alert tells of them all, the worst first."""


@dataclass(frozen=True)
class Look:
    """A job at `now` (monotonic seconds; in a replay, the time of its records). Arrays are in the order of rows."""

    job: JobState
    now: float
    thresholds: Thresholds
    states: States

    @cached_property
    def current(self) -> Mask:
        """The ranks of the newest attempt."""
        found = np.zeros(len(self.job.table), bool)
        found[self.job.current_rows()] = True
        return found

    @cached_property
    def living(self) -> Mask:
        """Those of them that live, as far as can be heard."""
        living: Mask = self.current & np.isin(self.states, [int(state) for state in LIVING])
        return living

    @cached_property
    def stepping(self) -> Mask:
        """Those of them that are in no declared evaluation or checkpoint."""
        stepping: Mask = self.living & ~self.job.table.paused[: len(self.states)]
        return stepping

    @cached_property
    def over(self) -> bool:
        """Whether the job is."""
        return self.job.status(self.now).over

    @cached_property
    def until(self) -> float:
        """Up to when what lasts has lasted: `now`, and of a job that is over when its ranks wrote last."""
        ages = write_ages(self.job.table, self.now)[self.job.current_rows()]
        known = ages[np.isfinite(ages)]
        return self.now - float(known.min()) if self.over and len(known) else self.now

    @cached_property
    def idle(self) -> float:
        """Seconds from the newest record of any rank to `until`; 0 where none is known."""
        wrote = self.job.table.write_at[self.job.current_rows()]
        known = wrote[np.isfinite(wrote)]
        return max(0.0, self.until - float(known.max())) if len(known) else 0.0

    def lasted(self, rank: Rank, ts: float) -> float:
        """Seconds from a record of this rank, made at `ts` by its node's clock, to `until`; NaN where that tells no
        time, or the clock was set back."""
        between = rank.last_ts - ts
        idle = self.until - self.job.table.write_at[rank.row]
        return between + max(0.0, float(idle)) if between >= 0 else math.nan

    def numbers(self, key: str) -> dict[str, float]:
        """The numbers of a rule that are in force."""
        return dict(self.thresholds[key])


class JobRule(Protocol):
    """A rule, or some that judge together, of one job. It may keep what it has to remember."""

    def judge(self, look: Look) -> Iterable[Alert]:
        """What fires now."""
        ...


def alert(
    key: str,
    rank: Rank | None,
    what: str,
    age: float,
    *,
    next_step: str = "",
    severity: Severity | None = None,
    value: float = math.nan,
    threshold: float = math.nan,
    ranks: int = 1,
) -> Alert:
    """An alert of the rule `key`; what is not given is as the catalogue says."""
    rule = RULES[key]
    return Alert(
        name=rule.title,
        severity=rule.severity if severity is None else severity,
        rank=None if rank is None else rank.rank,
        node="" if rank is None else rank.node,
        what=what,
        age=max(0.0, age) if math.isfinite(age) else 0.0,
        next_step=next_step or rule.next_step,
        rule=key,
        ranks=ranks,
        value=value,
        threshold=threshold,
    )


def about_node(
    key: str,
    node: str,
    what: str,
    age: float,
    *,
    next_step: str = "",
    severity: Severity | None = None,
    value: float = math.nan,
    threshold: float = math.nan,
) -> Alert:
    """An alert of the rule `key` about a node; what is not given is as the catalogue says."""
    found = alert(key, None, what, age, next_step=next_step, severity=severity, value=value, threshold=threshold)
    return replace(found, node=node)


def each(ranks: list[Rank], make: Callable[[Rank, int], Alert]) -> Iterator[Alert]:
    """An alert for each of `ranks` (the worst first), or one for all where they are many.

    `make` gets a rank, and how many ranks its alert is about.
    """
    if len(ranks) > MOST_NAMED:
        yield make(ranks[0], len(ranks))
    else:
        for rank in ranks:
            yield make(rank, 1)


def worst_of(look: Look, firing: Mask, badness: Floats) -> list[Rank]:
    """The ranks of the rows that fire, the worst first."""
    rows = np.flatnonzero(firing)
    if not len(rows):
        return []
    order = rows[np.argsort(-np.nan_to_num(badness[rows], nan=-math.inf), kind="stable")]
    return [look.job.table.by_row[row] for row in order.tolist()]
