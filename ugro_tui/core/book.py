"""The book of alerts: what fires since when, what a person said to it, what is over, and what is to be told, once.

Pure: all times are Unix seconds that the caller hands in, so that the book outlives the application.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final, TypeAlias

from ugro_tui.core.alerts import Alert, Severity, Subject, worst
from ugro_tui.core.entries import BookView, Entry, Event, Happening, Job, Mark, Open, Saved, Sight, Snoozed
from ugro_tui.core.errors import BadInput
from ugro_tui.core.rules.catalogue import RULES
from ugro_tui.core.states import JobStatus

FLEET: Final = ""
"""Stands for the job's id where an alert is about a node, and no job."""

FLAP_SECONDS: Final = 60.0
"""An alert is over when it has not fired for so long. One that fires again sooner was never away, and rings no more."""

SETTLE_SECONDS: Final = 180.0
"""How long a job is looked at before an alert that fired when the application ended last is taken for over: rules need
some looks before they fire (two minutes, the longest of those that need no history)."""

RECENT_SECONDS: Final = 300.0
"""A job that had ended for longer when it was first seen is old news: nothing of it rings."""

CLOCK_SECONDS: Final = 1.0
"""An alert is found to be older than was thought where it is by more than this: clocks and looks differ by less."""

MOST_HISTORY: Final = 1_000
MOST_ALERTS: Final = 1_000
"""Alerts of one job that are kept apart; they come worst first."""

MOST_JOBS: Final = 2_000
KEPT_SECONDS: Final = 86_400.0
"""Jobs that were seen within this time are remembered, however many they are."""

MOST_EVENTS: Final = 64

ENDINGS: Final = {JobStatus.FINISHED: Happening.FINISHED, JobStatus.FAILED: Happening.FAILED}
LIVING: Final = (JobStatus.RUNNING, JobStatus.STARTING)
ENDING_RULES: Final = frozenset(what.value for what in ENDINGS.values())
"""Entries that tell of the end of a job, which is no alert in itself."""

Key: TypeAlias = tuple[int, Subject]
"""The attempt and what the alert is about: who fails again after a restart is told of again."""


class AlertBook:
    """Takes in what fires, job by job, and says what is new in it. Owned by one thread.

    While another application keeps the book (`reads`), that one says what is over.
    """

    def __init__(self) -> None:
        self.reads = False
        self.muted: Collection[Happening] = ()
        """Ends of jobs that nobody wants to hear of."""
        self.version = 0
        """Grows with every change that is worth keeping."""
        self._jobs: dict[str, Job] = {}
        self._open: dict[str, dict[Key, Open]] = {}
        self._snoozed: dict[tuple[str, Subject], float] = {}
        self._history: deque[Entry] = deque(maxlen=MOST_HISTORY)
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._number = 0

    def observe(self, sight: Sight, at: float) -> tuple[Event, ...]:
        """Take in what is seen of one job (or of the fleet) at `at`; what is to be told of it.

        A job that is not handed in is not known now: what fired goes on to be so.
        """
        job = self._job(sight.job_id, at)
        found = [*self._ended(job, sight, at)]
        firing = {(sight.attempt, alert.subject): alert for alert in reversed(sight.alerts[:MOST_ALERTS])}
        opened = self._open.setdefault(sight.job_id, {})
        for key, alert in reversed(firing.items()):
            found += self._fires(opened, key, alert, job, sight, at)
        for key in [key for key in opened if key not in firing]:
            found += self._rests(opened, key, job, sight, at)
        self._events.extend(found)
        return tuple(found)

    def aged(self, job_id: str, attempt: int, alert: Alert, at: float) -> Alert:
        """The alert of a job at `at`, as old as the book knows it, where its rule saw less of it: by a later look."""
        one = self._open.get(job_id, {}).get((attempt, alert.subject))
        if one is None or not alert.lasts or not math.isnan(one.rested):
            return alert
        age = one.entry.lasted(at)
        return replace(alert, age=age) if age > alert.age + CLOCK_SECONDS else alert

    def acknowledge(self, job_id: str, subject: Subject) -> None:
        """Ring no more for this alert until it is over.

        Raises:
            BadInput: it does not fire.
        """
        for one in self._firing(job_id, subject):
            one.acknowledged = True
        self.version += 1

    def snooze(self, job_id: str, subject: Subject, until: float) -> None:
        """Ring for this alert no more before `until`; then again, if it still fires, also where it was acknowledged.

        Raises:
            BadInput: it does not fire.
        """
        for one in self._firing(job_id, subject):
            one.acknowledged = False
        self._snoozed[job_id, subject] = until
        self.version += 1

    def view(self, at: float) -> BookView:
        """What there is to see of it at `at`."""
        every = [one for opened in self._open.values() for one in opened.values() if one.confirmed]
        shown = [self._shown(one, at) for one in every]
        firing = sorted((entry for entry in shown if entry.state is not Mark.RESOLVED), key=_worst_first)
        resting = sorted((entry for entry in shown if entry.state is Mark.RESOLVED), key=lambda entry: -entry.resolved)
        return BookView(tuple(firing), (*resting, *self._history), tuple(self._events))

    def saved(self) -> Saved:
        """All that is to outlive the application."""
        opened = tuple(one for part in self._open.values() for one in part.values())
        snoozed = tuple(Snoozed(job_id, *subject, until) for (job_id, subject), until in self._snoozed.items())
        return Saved(dict(self._jobs), opened, tuple(self._history), snoozed)

    def adopt(self, saved: Saved) -> None:
        """Go on from what was kept: by an earlier run of the application, or by the one that keeps it now.

        What this book has told of is not told again; what it has not seen yet is told when it is seen here, where it
        is the other application's news (`reads`).
        """
        known = self._open
        seen = {job_id for job_id, job in self._jobs.items() if not math.isnan(job.begun)}
        for job_id, job in saved.jobs.items():
            self._jobs.setdefault(job_id, replace(job, begun=math.nan))
        self._open = {}
        for one in saved.open:
            opened = self._open.setdefault(one.entry.job_id, {})
            key = (one.entry.attempt, one.entry.alert.subject)
            mine = known.get(one.entry.job_id, {}).get(key)
            told = one.told
            if self.reads and one.entry.job_id in seen:
                told = None if mine is None else mine.told
            confirmed = self.reads or (mine is not None and mine.confirmed)
            opened[key] = replace(one, told=told, confirmed=confirmed, theirs=self.reads)
        for job_id, opened in known.items():
            own = {key: one for key, one in opened.items() if not one.theirs}
            self._open[job_id] = own | self._open.get(job_id, {})
        self._history = deque(saved.history[:MOST_HISTORY], MOST_HISTORY)
        self._snoozed = {(one.job_id, one.subject): one.until for one in saved.snoozed}

    def _job(self, job_id: str, at: float) -> Job:
        job = self._jobs.get(job_id)
        if job is None:
            self._forget_oldest(at)
            job = self._jobs[job_id] = Job(at)
        job.seen = at
        job.begun = at if math.isnan(job.begun) else job.begun
        return job

    def _forget_oldest(self, at: float) -> None:
        """Make room for another job."""
        while len(self._jobs) >= MOST_JOBS:
            oldest = min(self._jobs, key=lambda job_id: self._jobs[job_id].seen)
            if self._jobs[oldest].seen > at - KEPT_SECONDS:
                return
            del self._jobs[oldest]
            self._open.pop(oldest, None)

    def _ended(self, job: Job, sight: Sight, at: float) -> Iterator[Event]:
        """That the job has ended: once an attempt, and again when it lived on for a while under the same number."""
        if sight.attempt != job.attempt:
            job.attempt, job.lived, job.ended = sight.attempt, math.nan, False
        if sight.status in LIVING:
            job.quiet = False
            job.lived = at if math.isnan(job.lived) else job.lived
        if sight.status is None or not sight.over:
            return
        lived, job.lived = job.lived, math.nan
        if job.ended and not at - lived >= FLAP_SECONDS:
            return
        job.ended = True
        job.quiet = math.isnan(lived) and not sight.age <= RECENT_SECONDS
        self.version += 1
        what = ENDINGS.get(sight.status)
        if what is not None and what not in self.muted and not job.quiet:
            yield self._end_told(sight, what, at)

    def _end_told(self, sight: Sight, what: Happening, at: float) -> Event:
        """Note how a job ended."""
        rule = RULES[what.value]
        first = worst(sight.alerts)
        said = sight.verdict if first is None else first.fact
        alert = Alert(rule.title, rule.severity, None, "", said, 0.0, rule.next_step, rule.key)
        ended = sight.ended_at(at)
        self._history.appendleft(Entry(sight.job_id, sight.attempt, alert, ended, Mark.RESOLVED, resolved=ended))
        return self._event(what, alert, sight, at)

    def _fires(
        self, opened: dict[Key, Open], key: Key, alert: Alert, job: Job, sight: Sight, at: float
    ) -> Iterator[Event]:
        one, ended = opened.get(key), sight.ended_at(at)
        since = (ended if alert.lasts else at) - max(0.0, alert.age)
        if one is None or since < one.entry.since - CLOCK_SECONDS:  # else it was read in part, or seen late
            one = one or Open(Entry(sight.job_id, sight.attempt, alert, since))
            one.entry, opened[key] = replace(one.entry, since=since), one
            self.version += 1
        times = one.entry.times + (not math.isnan(one.rested))
        self.version += times - one.entry.times
        if alert.severity > one.entry.alert.severity:
            one.acknowledged = False  # that was said of something less bad
        closed = ended if alert.lasts and sight.over else math.nan
        same = alert is one.entry.alert and times == one.entry.times  # a job that is over shows the same for long
        if not same or math.isnan(closed) != math.isnan(one.entry.closed):
            one.entry = replace(one.entry, alert=alert, times=times, closed=closed)
        one.rested, one.confirmed = math.nan, True
        if job.quiet or alert.rule in ENDING_RULES or self._told_of_node(one):
            one.told = Severity.CRIT
        elif not one.acknowledged and not self._snoozes(one, at) and (one.told is None or alert.severity > one.told):
            one.told, one.rang = alert.severity, True
            self.version += 1
            yield self._event(Happening.FIRED, alert, sight, at)

    def _rests(self, opened: dict[Key, Open], key: Key, job: Job, sight: Sight, at: float) -> Iterator[Event]:
        one = opened[key]
        if math.isnan(one.rested):
            waiting = not one.confirmed and at - job.begun < SETTLE_SECONDS
            if one.theirs or waiting:
                return
            one.rested, one.confirmed = at, True
            self.version += 1
        if one.entry.alert.provisional and (first := worst(sight.alerts)) is not None:
            del opened[key]
            self._amend(sight, first.fact)
            return
        if at - one.rested < FLAP_SECONDS:
            return
        del opened[key]
        self.version += 1
        self._history.appendleft(replace(one.entry, state=Mark.RESOLVED, resolved=one.rested))
        if one.rang and not one.acknowledged and not self._snoozes(one, at):
            of_then = replace(sight, attempt=one.entry.attempt)
            yield self._event(Happening.RESOLVED, one.entry.alert, of_then, one.rested)

    def _amend(self, sight: Sight, fact: str) -> None:
        """Note how the job ended after all, where that was not known when its end was told."""
        for place, entry in enumerate(self._history):
            same = (entry.job_id, entry.attempt) == (sight.job_id, sight.attempt)
            if same and entry.alert.rule in ENDING_RULES:
                self._history[place] = replace(entry, alert=replace(entry.alert, what=fact))
                return

    def _event(self, what: Happening, alert: Alert, sight: Sight, at: float) -> Event:
        self._number += 1
        return Event(self._number, what, sight.job_id, sight.attempt, alert, at, sight.verdict)

    def _told_of_node(self, one: Open) -> bool:
        """Whether this is told of the node itself already: a node that is away rings once, not for each of its jobs."""
        return one.entry.job_id != FLEET and (0, one.entry.alert.subject) in self._open.get(FLEET, {})

    def _snoozes(self, one: Open, at: float) -> bool:
        """Whether a person wants to hear of it later; when that time has come, it is news again."""
        name = (one.entry.job_id, one.entry.alert.subject)
        until = self._snoozed.get(name)
        if until is None or at < until:
            return until is not None
        del self._snoozed[name]
        one.told = None
        self.version += 1
        return False

    def _firing(self, job_id: str, subject: Subject) -> list[Open]:
        found = [
            one
            for (_, about), one in self._open.get(job_id, {}).items()
            if about == subject and math.isnan(one.rested) and one.confirmed
        ]
        if not found:
            raise BadInput(f"{job_id or 'nodes'}: {subject[0]}: this alert does not fire any more")
        return found

    def _shown(self, one: Open, at: float) -> Entry:
        until = self._snoozed.get((one.entry.job_id, one.entry.alert.subject), math.nan)
        if not math.isnan(one.rested):
            return replace(one.entry, state=Mark.RESOLVED, resolved=one.rested)
        if one.acknowledged:
            return replace(one.entry, state=Mark.ACKNOWLEDGED)
        return replace(one.entry, state=Mark.SNOOZED, until=until) if at < until else one.entry


def _worst_first(entry: Entry) -> tuple[bool, int, float, str]:
    """What is known to a person comes behind what is not."""
    return (entry.state is not Mark.FIRING, -entry.alert.severity, entry.since, entry.job_id)
