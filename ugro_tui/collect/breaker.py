"""When a node that does not answer is asked again: less and less often, and never by all watchers at once."""

from __future__ import annotations

import math
from collections.abc import Callable

from ugro_tui.nodes.base import Reaction

FAILURES = 3
"""Failures in a row after which the node is left alone for a while."""

FIRST_SECONDS, MOST_SECONDS, LEAST_SECONDS = 5.0, 300.0, 1.0

PROBE_SECONDS = 60.0
"""How long the result of a trial is waited for, before another one is allowed: far beyond any deadline."""

_MAX_DOUBLINGS = 16


class Breaker:
    """Allows questions while a node answers; after `FAILURES` in a row one trial at a time, after a random pause.

    The pause is "full jitter": uniform between 0 and a bound that doubles with each failed trial (M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015); many watchers of a node that comes back are so
    spread best. An error that only a person can mend ends all questions until `reset`.

    `now` is monotonic seconds; `random` gives uniform numbers from 0 to 1. Not safe for several threads at once.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.reset()

    @property
    def open(self) -> bool:
        """Whether the node is left alone, but for a trial now and then."""
        return self._until is not None

    def reset(self) -> None:
        """Forget all failures, as at the beginning: a person asks."""
        self._failures = 0
        self._openings = 0
        self._until: float | None = None
        self._trying = False

    def allows(self, now: float) -> bool:
        """Whether the node may be asked; while it is left alone, a yes is the one trial, until its result is told."""
        if self._until is None:
            return True
        if now < self._until:
            return False
        self._until, self._trying = now + PROBE_SECONDS, True
        return True

    def retry_in(self, now: float) -> float:
        """Seconds until `allows` may say yes; 0 when it does already, infinite when only `reset` helps."""
        return 0.0 if self._until is None else max(0.0, self._until - now)

    def succeeded(self, _now: float) -> None:
        """The node has answered; but what waits for a person still does."""
        if self._until != math.inf:
            self.reset()

    def failed(self, now: float, reaction: Reaction) -> None:
        """A question ended in an error that calls for `reaction`."""
        if reaction is Reaction.PERSON:
            self._until = math.inf
        elif reaction is Reaction.WAIT:
            self.succeeded(now)
        else:
            self._count(now)

    def _count(self, now: float) -> None:
        self._failures += 1
        if self._until == math.inf or self._failures < FAILURES or (self.open and not self._trying):
            return  # not enough of them, or one that was asked before and ended late
        bound = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(self._openings, _MAX_DOUBLINGS))
        self._until = now + max(LEAST_SECONDS, self._random() * bound)
        self._openings += 1
        self._trying = False
