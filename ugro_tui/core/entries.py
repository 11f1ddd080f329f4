"""What the book of alerts holds: entries for readers, what happened, and what outlives the application."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from ugro_tui.core.alerts import Alert, Severity, Subject
from ugro_tui.core.states import JobStatus


class Mark(Enum):
    """What is with an alert in the book."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    """It fires, and a person has said that this is known."""
    SNOOZED = "snoozed"
    """It fires, and a person wants to hear of it later."""
    RESOLVED = "resolved"


class Happening(Enum):
    """What is told of an alert or a job."""

    FIRED = "fired"
    RESOLVED = "resolved"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert in the book; `job_id` is empty where it is about a node. Times in Unix seconds, NaN where there is none.

    `since`: when it fired first; `until`: the end of a snooze; `resolved`: when it fired last; `times`: how often it
    came back so soon that it counts as one; `closed`: when its job was over, where it fired up to then.
    """

    job_id: str
    attempt: int
    alert: Alert
    since: float
    state: Mark = Mark.FIRING
    until: float = math.nan
    resolved: float = math.nan
    times: int = 1
    closed: float = math.nan

    def lasted(self, now: float) -> float:
        """Seconds for which it has fired at `now` (Unix seconds), or had until it was over, or its job was."""
        ended = self.resolved if self.state is Mark.RESOLVED else self.closed
        return (now if math.isnan(ended) else ended) - self.since


@dataclass(frozen=True, slots=True)
class Event:
    """Something to be told once. `number` grows by one with each; `at` in Unix seconds; `verdict`: the job's."""

    number: int
    what: Happening
    job_id: str
    attempt: int
    alert: Alert
    at: float
    verdict: str = ""

    @property
    def rings(self) -> bool:
        """Whether it is worth to disturb a person who looks at something else: critical, or the end of a job."""
        critical = self.what is Happening.FIRED and self.alert.severity is Severity.CRIT
        return critical or self.what in (Happening.FINISHED, Happening.FAILED)


@dataclass(frozen=True, slots=True)
class BookView:
    """The book as readers see it: what fires (the worst first, then the oldest; what is acknowledged or snoozed behind
    them), what is over (the newest first).

    `events`: what was to be told lately, the newest last.
    """

    firing: tuple[Entry, ...] = ()
    history: tuple[Entry, ...] = ()
    events: tuple[Event, ...] = ()

    def of(self, job_id: str) -> tuple[Entry, ...]:
        """What fires of one job."""
        return tuple(entry for entry in self.firing if entry.job_id == job_id)


EMPTY_BOOK = BookView()


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of a job at one moment; of the fleet with an empty id and no status. `age`: s since it wrote."""

    job_id: str
    alerts: tuple[Alert, ...] = ()
    attempt: int = 0
    status: JobStatus | None = None
    age: float = math.nan
    verdict: str = ""

    @property
    def over(self) -> bool:
        """Whether it is a job that has ended."""
        return self.status is not None and self.status.over

    def ended_at(self, at: float) -> float:
        """When a job that is over wrote last, Unix seconds; `at` where it is not, or where that is not known."""
        return at - self.age if self.over and self.age > 0 else at


@dataclass(slots=True)
class Job:
    """What the book remembers of a job. Times in Unix seconds: `seen` last, `begun` to be seen by this application.

    `lived`: since when it was seen living, NaN where it was not; `ended`: its end was told, or passed over as old news;
    `quiet`: it is old news, nothing of it rings.
    """

    seen: float
    attempt: int = 0
    lived: float = math.nan
    ended: bool = False
    quiet: bool = False
    begun: float = math.nan


@dataclass(slots=True)
class Open:
    """An alert that is not over. `told`: how bad it was when it was told of, or passed over; `rang`: it was told.

    `rested`: since when it does not fire, Unix seconds, NaN while it does; `confirmed`: this application has seen it,
    and not only an earlier one; `theirs`: another application keeps it, and says when it is over.
    """

    entry: Entry
    told: Severity | None = None
    rang: bool = False
    acknowledged: bool = False
    rested: float = math.nan
    confirmed: bool = True
    theirs: bool = False


@dataclass(frozen=True, slots=True)
class Snoozed:
    """An alert by what it is about, and until when nobody wants to hear of it, Unix seconds."""

    job_id: str
    rule: str
    rank: int | None
    node: str
    until: float

    @property
    def subject(self) -> Subject:
        """What the alert is about."""
        return (self.rule, self.rank, self.node)


@dataclass(frozen=True, slots=True)
class Saved:
    """The book, as it outlives the application."""

    jobs: dict[str, Job] = field(default_factory=dict)
    open: tuple[Open, ...] = ()
    history: tuple[Entry, ...] = ()
    snoozed: tuple[Snoozed, ...] = ()
