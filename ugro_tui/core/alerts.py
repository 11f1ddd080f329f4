"""What an alert is: one thing that is wrong, with whom, since when, and what to do first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from ugro_tui.core.numbers import duration

Subject: TypeAlias = tuple[str, int | None, str]
"""Which alert it is, of one job: rule, rank, node."""

UNHEARD = frozenset({"node_unreachable", "auth_refused", "host_key_changed"})
"""Rules that fire because a node cannot be heard, not because of what it says."""

_TELL_TIME = UNHEARD | {"rank_stalled", "job_hang"}
_EVENTS = frozenset({"rank_error", "died_silently", "launch_failed"})


class Severity(IntEnum):
    """How bad it is."""

    INFO = 0
    WARN = 1
    CRIT = 2


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong. `rule` is its key in the catalogue, `name` that rule's title.

    `rank` is the rank that it is about, or the first to look at; None where it is about a node, or the whole job.
    `ranks`: how many ranks it is about. `age`: seconds since it fires. `value` and `threshold` are in the rule's unit,
    NaN where it has none. `next_step` is what to do first.
    """

    name: str
    severity: Severity
    rank: int | None
    node: str
    what: str
    age: float
    next_step: str
    rule: str = ""
    ranks: int = 1
    value: float = math.nan
    threshold: float = math.nan

    @property
    def where(self) -> str:
        """Who it is about, for people; empty for the whole job."""
        rank = "" if self.rank is None else f"rank {self.rank}"
        more = f" and {self.ranks - 1:,} more" if self.rank is not None and self.ranks > 1 else ""
        node = f"{'on ' if rank else ''}{self.node}" if self.node else ""
        return " ".join(part for part in (rank, node) if part) + more

    @property
    def who(self) -> str:
        """The same, but empty where `what` says it."""
        return "" if self.rank is not None and f"{self.where} " in f"{self.what} " else self.where

    @property
    def subject(self) -> Subject:
        """What makes it the same alert from one look to the next: rule, rank, and the node where no rank is meant."""
        alone = self.rank is not None and self.ranks == 1
        return (self.rule, self.rank if alone else None, self.node if self.rank is None else "")

    @property
    def sentence(self) -> str:
        """What, who, since when, why we think so, and what to do: the verdict where this is the worst."""
        return f"{self._told(self.since)}; {self.next_step}"

    @property
    def fact(self) -> str:
        """What and who, which stays so: without since when, and what to do."""
        return self._told("")

    def _told(self, since: str) -> str:
        who = ", ".join(part for part in (self.who, since) if part)
        return f"{self.name}: {who + ': ' if who else ''}{self.what}"

    @property
    def lasts(self) -> bool:
        """Whether `age` says how long it has been so, up to the end of a job that is over, and not how long ago."""
        return self.rule not in _TELL_TIME | _EVENTS

    @property
    def provisional(self) -> bool:
        """Whether it says that ranks have lost one that has not said why yet: what is found then takes its place."""
        return self.rule == "rank_error" and self.rank is None

    @property
    def since(self) -> str:
        """Since when, for people; empty where `what` says so itself, or it is new."""
        if self.rule in _TELL_TIME or self.age < 1:
            return ""
        return f"{duration(self.age)} ago" if self.rule in _EVENTS else f"for {duration(self.age)}"


def worst(alerts: Sequence[Alert]) -> Alert | None:
    """The alert that the verdict tells: the first that is more than information."""
    return next((alert for alert in alerts if alert.severity > Severity.INFO), None)
