"""What the keeper does with alerts: the book and the thresholds, the orders of people, and who is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from ugro_tui.collect.alert_log import LOOK_SECONDS, AlertLog, encoded
from ugro_tui.core.alerts import Alert
from ugro_tui.core.book import ENDINGS, FLEET, AlertBook
from ugro_tui.core.commands import Acknowledge, Answer, SetThreshold, Snooze, Ticket
from ugro_tui.core.entries import EMPTY_BOOK, Event, Saved, Sight
from ugro_tui.core.errors import BadInput
from ugro_tui.core.numbers import duration
from ugro_tui.core.ports import Clock
from ugro_tui.core.rules.catalogue import DEFAULTS, RULES
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.snapshot import JobView

MOST_SNOOZE_SECONDS = 30 * 86_400.0


class Alarms:
    """Owned by the keeper's thread. `kept` is where the book outlives the application; None: nowhere.

    `tell` is handed each event once, by the application that keeps the book; it must not wait. `troubles` says what is
    wrong with that.
    """

    def __init__(
        self,
        clock: Clock,
        thresholds: Thresholds = DEFAULTS,
        kept: AlertLog | None = None,
        tell: Callable[[Event], None] | None = None,
        troubles: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.thresholds = thresholds
        """The numbers of all rules that are in force."""
        self.view = EMPTY_BOOK
        """The book as it was observed last."""
        self._clock = clock
        self._book = AlertBook()
        self._log = kept
        self._tell = tell
        self._troubles = troubles
        self._saved = (0, -math.inf)

    def begin(self, adopt: Callable[[Saved], None]) -> None:
        """Open the book. `adopt` may be called by another thread, with what is to be handed to `take_over`."""
        self._mute()
        if self._log is not None:
            self._adopt(self._log.load(adopt))

    def take_over(self, saved: Saved) -> None:
        """Go on from what another application keeps, or kept."""
        self._adopt(saved)

    def observe(self, jobs: Iterable[JobView], fleet: tuple[Alert, ...], now: float) -> None:
        """Take in what fires at `now` (monotonic seconds), tell what is new, and keep it."""
        at = self._clock.time()
        events = [*self._book.observe(Sight(FLEET, fleet), at)]
        for job in jobs:
            events += self._book.observe(_sight(job), at)
        if self._tell is not None and (self._log is None or self._log.keeps):
            for event in events:
                self._tell(event)
        self._keep(now)
        self.view = self._book.view(at)

    def aged(self, job_id: str, attempt: int, alert: Alert) -> Alert:
        """The alert with the age that the book has, where that knows it for longer."""
        return self._book.aged(job_id, attempt, alert, self._clock.time())

    def obey(self, ticket: Ticket) -> Answer:
        """Do what a person asks for: `Acknowledge`, `Snooze` or `SetThreshold`."""
        try:
            return Answer(ticket.number, said=self._done(ticket))
        except BadInput as error:
            return Answer(ticket.number, str(error))

    def notices(self) -> Iterator[str]:
        """What keeps the book from being kept, or people from being told."""
        if self._log is not None and self._log.trouble:
            yield self._log.trouble
        yield from self._troubles()

    def close(self) -> None:
        """Keep the book as it is now."""
        if self._log is not None:
            self._keep(math.inf)
            self._log.close()

    def _done(self, ticket: Ticket) -> str:
        match ticket.command:
            case SetThreshold(name, value):
                self.thresholds = self.thresholds.having(name, value)
                self._mute()
                key, _, number = name.partition(".")
                return f"{name} is {self.thresholds[key][number]:g} until ugro-tui ends; config.toml keeps it for good"
            case Acknowledge(job_id, subject):
                self._writable()
                self._book.acknowledge(job_id, subject)
                return f"{_title(subject[0])}: acknowledged until it is over"
            case Snooze(job_id, subject, seconds):
                if not 0 < seconds <= MOST_SNOOZE_SECONDS:
                    raise BadInput(f"{seconds:g} s: an alert can be snoozed for up to 30 days")
                self._writable()
                self._book.snooze(job_id, subject, self._clock.time() + seconds)
                return f"{_title(subject[0])}: snoozed for {duration(seconds)}"
        raise BadInput(f"{type(ticket.command).__name__} is not about alerts")

    def _writable(self) -> None:
        if self._book.reads:
            raise BadInput("another ugro-tui keeps the alerts: do it there, or end it first")
        self._saved = (self._saved[0], -math.inf)  # what a person says is kept at once

    def _adopt(self, saved: Saved) -> None:
        self._book.reads = self._log is not None and self._log.reads
        self._book.adopt(saved)

    def _mute(self) -> None:
        self._book.muted = {what for what in ENDINGS.values() if not self.thresholds.enabled(what.value)}

    def _keep(self, now: float) -> None:
        """Hand the book to its log where something has changed, every few seconds at most."""
        version, at = self._saved
        if self._log is None or not self._log.keeps or self._book.version == version or now - at < LOOK_SECONDS:
            return
        self._saved = (self._book.version, now)
        self._log.save(encoded(self._book.saved()))


def _sight(job: JobView) -> Sight:
    summary = job.summary
    return Sight(summary.job_id, summary.alerts, summary.attempt, summary.status, summary.age, summary.verdict)


def _title(key: str) -> str:
    return RULES[key].title if key in RULES else key
