"""One of the runs that are compared, and the numbers that it came to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.archive import Lines
from ugro_tui.core.attempts import Attempt
from ugro_tui.core.compared import RunName
from ugro_tui.core.ends import Ends
from ugro_tui.core.noise import spread
from ugro_tui.core.summary import JobSummary

Value: TypeAlias = float | str
"""A number, NaN where it is not known, or a word; the word `NaN` is a number that is no number any more."""

NOT_A_NUMBER: Final = "NaN"


@dataclass(frozen=True, slots=True)
class MetricEnds:
    """What a metric came to. `last` is the mean of the ranks' newest values, the word NaN where one is no number.

    `least` was told by rank `who`, one of `ranks`.
    """

    last: Value = math.nan
    least: float = math.nan
    least_at: float = math.nan
    most: float = math.nan
    spread: float = math.nan
    who: int = -1
    ranks: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """One run, as far as it is known. `summary` is that of the newest attempt, and of no other one.

    Of a run that goes on all numbers are those of the newest record of its loss that was read: they are of one moment.

    `told` is what its records tell of the attempt, `newest` the number of the job's newest one. `metric` is the one
    that is looked at, where that is not the loss.
    """

    run: RunName
    summary: JobSummary | None = None
    told: Attempt | None = None
    newest: int = 0
    loss: Lines | None = None
    validation: Lines | None = None
    metric: Lines | None = None
    fired: tuple[Alert, ...] = ()
    """What has fired in this attempt, each alert once, as far as that is known."""
    retold: bool = False
    """Whether its records were told again to know that, and not only what was seen while somebody watched."""

    @property
    def final(self) -> JobSummary | None:
        """The summary, where that tells its numbers: the run is over, or nothing is read of its files (yet)."""
        return self.summary if self.summary is not None and (self.summary.status.over or self.told is None) else None

    @property
    def as_of(self) -> float:
        """The step of which its numbers are, where it goes on; else NaN."""
        return math.nan if self.summary is None or self.summary.status.over else self.step

    @property
    def fresh(self) -> bool:
        """Whether this attempt has made no step: what its lines tell is of those before it."""
        if self.final is not None:
            return self.final.attempt > 1 and not self.final.status.over and math.isnan(self.final.step)
        return self.told is not None and math.isnan(self.told.step)

    def known(self, lines: Lines | None) -> Lines | None:
        """What of its lines gives numbers: those of a run that is `fresh` none."""
        return None if self.fresh else lines

    def last_loss(self, ends: MetricEnds) -> Value:
        """The mean of the ranks' newest losses; `ends`, here and below: those of its loss."""
        if self.final is None:
            return ends.last
        return NOT_A_NUMBER if self.final.loss_bad else self.final.final_loss

    def least_loss(self, ends: MetricEnds) -> float:
        """The lowest of all ranks."""
        return ends.least if self.final is None else self.final.min_loss

    def least_rank(self, ends: MetricEnds) -> str:
        """Which of several ranks had the lowest loss."""
        told = Ends(who=ends.who, ranks=ends.ranks) if self.final is None else self.final.ends
        return str(told.who) if told.ranks > 1 and told.who >= 0 else ""

    @property
    def status(self) -> str:
        """What it does; empty where that is not known."""
        if self.summary is not None:
            return self.summary.state
        return "" if self.told is None else self.told.status.value

    @property
    def attempt(self) -> str:
        """Which of several attempts it is."""
        number = self.newest if self.run.attempt is None else self.run.attempt
        newest = max(number, self.newest)
        return "" if newest < 2 else f"{number} of {newest}"

    @property
    def step(self) -> float:
        """The one that all ranks have made."""
        return self._told("step") if self.final is None else self.final.step

    @property
    def tokens(self) -> float:
        """The most that one of its ranks has told."""
        return self._told("tokens") if self.final is None or self.told is not None else self.final.tokens

    @property
    def duration(self) -> float:
        """In seconds."""
        return self._told("duration") if self.final is None else self.final.duration

    @property
    def throughput(self) -> float:
        """The mean tokens/s of all ranks."""
        return self._told("throughput") if self.final is None else self.final.avg_throughput

    @property
    def size(self) -> float:
        """How many ranks it has."""
        return self._told("world_size") if self.summary is None else float(self.summary.world_size)

    @property
    def alerts(self) -> str:
        """How many alerts have fired in it; at least so many, where its records were not told again."""
        if self.summary is None and not self.fired and not self.retold:
            return ""
        worst = sum(alert.severity is Severity.CRIT for alert in self.fired)
        found = f"{'' if self.retold else '≥ '}{len(self.fired)}{f' ({worst} critical)' if worst else ''}"
        return found if self.fired else "none" if self.retold else "none seen"

    def ends(self, lines: Lines | None) -> MetricEnds:
        """What one of its metrics came to."""
        told = self.known(lines)
        found = [line for line in told.lines if len(line.value)] if told is not None else []
        if not found:
            return MetricEnds()
        newest = [float(line.value[-1]) for line in found]
        last: Value = sum(newest) / len(newest) if np.isfinite(newest).all() else NOT_A_NUMBER
        good = [(line, np.isfinite(line.value)) for line in found]
        finite = [(line.step[where], line.value[where]) for line, where in good if where.any()]
        if not finite:
            return MetricEnds(last)
        ranks = [line.rank for line, where in good if where.any()]
        least, who, at = min(
            (float(value.min()), rank, float(step[value.argmin()]))
            for rank, (step, value) in zip(ranks, finite, strict=True)
        )
        most = max(float(value.max()) for _, value in finite)
        return MetricEnds(last, least, at, most, spread(finite), who, len(found))

    def _told(self, name: str) -> float:
        return math.nan if self.told is None else float(getattr(self.told, name))
