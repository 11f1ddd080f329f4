"""Ends that nobody has written down: the application that sees one does so, whoever launched the job."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from ugro_tui.core.errors import UgroError
from ugro_tui.core.ports import Clock
from ugro_tui.core.states import JobStatus

if TYPE_CHECKING:
    from ugro_tui.core.snapshot import JobView, Snapshot

SETTLE_SECONDS: Final = 5.0
"""How often it is looked whether a job has ended and nobody has written that down."""

WAIT_SECONDS: Final = 30.0
"""How often it is asked why a job waits, and for an end that could not be learned."""

MOST_AT_ONCE: Final = 8

MOST_TRIES: Final = 12
"""How often an end is looked for at every look: ranks say that they end before their agents have. Then more seldom."""

Attempt: TypeAlias = tuple[str, int]
"""A job's id and the number of its attempt."""


class Settler:
    """Asks of jobs that wait, or have ended, how they stand: `is_over` asks and writes an end down, until `over`."""

    def __init__(
        self, look: Callable[[], Snapshot], is_over: Callable[[str], bool], clock: Clock, over: threading.Event
    ) -> None:
        self._look, self._is_over, self._clock, self._over = look, is_over, clock, over
        self._due: dict[Attempt, float] = {}
        self._tries: Counter[Attempt] = Counter()

    def run(self) -> None:
        """Look again and again."""
        while not self._over.wait(SETTLE_SECONDS):
            self.look()

    def look(self) -> None:
        """Ask of those whose time has come, the longest due first."""
        now = self._clock.monotonic()
        ripe = sorted((self._due.get(one, -math.inf), one, ended) for one, ended in _unsettled(self._look().jobs))
        for when, one, ended in ripe[:MOST_AT_ONCE]:
            if when <= now:
                self._tries[one] += 1
                soon = ended and self._tries[one] < MOST_TRIES
                self._due[one] = math.inf if self._asked(one[0]) else now + (0.0 if soon else WAIT_SECONDS)

    def _asked(self, job_id: str) -> bool:
        try:
            return self._is_over(job_id)
        except UgroError:  # it is tried again; what a person asks for says what is wrong
            return False


def _unsettled(jobs: Sequence[JobView]) -> Iterator[tuple[Attempt, bool]]:
    """The attempts that wait, or have ended and nobody has written that down; whether they have ended.

    Of one without records nobody can say: it may have failed before the first, and is asked for like those that wait.
    """
    for job in jobs:
        status, begun = job.summary.status, job.recorded in ("starting", "running")
        silent = status in (JobStatus.PENDING, JobStatus.STARTING)
        if job.recorded == "pending" or (begun and (status.over or silent)):
            yield (job.job_id, job.summary.attempt), begun and status.over
