"""The threads that ask the nodes: few for many, each node by one at a time, none of them waiting for another."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ugro_tui.collect.source import Source
from ugro_tui.core.commands import Ticket
from ugro_tui.core.ports import Clock

log = logging.getLogger(__name__)

MOST_THREADS = 32
"""Threads at most. A node in trouble holds one until its deadline; one that is well holds it for a round trip."""

MOST_IN_TROUBLE = MOST_THREADS // 2
"""Threads that nodes which failed last time may hold: the others are for those that answer."""

BURSTS = 10
"""Moments of an interval at which nodes are looked at: many looks right behind each other cost half of single ones."""

BRISK = 8
"""Looks begun at a time: more of them would only get in each other's way here."""

BRISK_SECONDS = 0.04
"""A look that takes longer waits for its node, and keeps no other one from beginning."""

PATIENCE = 0.25
"""Seconds between two looks at whether a node in trouble may have a thread now."""

FAR = 3600.0
"""Seconds after which the clock is looked at again whatever is planned."""


@dataclass(order=True, slots=True)
class _Turn:
    due: float
    number: int
    source: Source = field(compare=False)


class Pollers:
    """Looks at each source every `interval` seconds, in bursts spread over the interval; at once when asked to.

    One idle thread watches the clock for all; who takes a turn hands the watch on, and has a new thread started where
    none is idle. So there are as many threads as nodes that are waited for at the same moment, and one more.
    """

    def __init__(self, sources: Sequence[Source], interval: float, clock: Clock) -> None:
        self._places = {source: place * BURSTS // len(sources) / BURSTS for place, source in enumerate(sources)}
        self._interval = interval
        self._clock = clock
        self._numbers = itertools.count()
        self._turns: list[_Turn] = []
        self._waiting: dict[Source, _Turn] = {}
        self._flying: dict[Source, float] = {}
        self._woken: set[Source] = set()
        self._changed = threading.Condition()
        self._idle = 0
        self._watched = False
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._begun = 0.0

    def start(self) -> None:
        """Begin to look: at all sources at once the first time."""
        with self._changed:
            self._begun = self._clock.monotonic()
            for source in self._places:
                self._plan(source, self._begun)
            self._staff()

    def halt(self) -> None:
        """Look no more; a look under way ends at its next answer."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for source in self._places:
            source.halt()

    def join(self, seconds: float) -> None:
        """Wait at most so long for the end of the threads."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def ask(self, ticket: Ticket) -> None:
        """Hand the command to every source and look at once; each source's part of the answer is in its cycle."""
        for source in self._places:
            source.ask(ticket)
        self.wake()

    def wake(self) -> None:
        """Look at all sources at once; at those that are being looked at, once more."""
        with self._changed:
            now = self._clock.monotonic()
            for source in self._places if not self._stopping else ():
                if source in self._flying:
                    self._woken.add(source)
                else:
                    self._plan(source, now)
            self._changed.notify_all()

    def _plan(self, source: Source, due: float) -> _Turn:
        """Make this the source's only turn."""
        turn = self._waiting[source] = _Turn(due, next(self._numbers), source)
        heapq.heappush(self._turns, turn)
        return turn

    def _staff(self) -> None:
        """Have a thread that watches the clock, as long as there is something to watch for."""
        if self._idle or not self._waiting or self._stopping or len(self._threads) >= MOST_THREADS:
            return
        thread = threading.Thread(target=self._work, name=f"poll-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        self._idle += 1
        thread.start()

    def _work(self) -> None:
        while (source := self._next()) is not None:
            again = False
            try:
                again = source.look()
            except BaseException:  # the outer edge, also for a panic of a library in another language: see the log
                log.exception("looking at %s failed", source.name)
            self._done(source, again)

    def _next(self) -> Source | None:
        """The source whose turn it is, when it is; None at the end. The caller counts as idle until then."""
        with self._changed:
            while not self._stopping:
                turn = self._due()
                if turn is not None:
                    self._flying[turn.source] = time.monotonic()
                    self._idle -= 1
                    self._staff()
                    if not self._watched:
                        self._changed.notify()
                    return turn.source
                self._wait()
            self._idle -= 1
        return None

    def _wait(self) -> None:
        """Wait for a change, and for the time of the first turn, unless another thread does."""
        if self._watched:
            self._changed.wait()
            return
        ahead = self._turns[0].due - self._clock.monotonic() if self._turns else FAR
        self._watched = True
        self._changed.wait(self._until_free() if ahead <= 0 else min(ahead, FAR))
        self._watched = False

    def _busy(self) -> bool:
        """Whether no more looks are to begin; by the machine's clock, for it is the machine that is busy."""
        recent = time.monotonic() - BRISK_SECONDS
        return sum(begun > recent for begun in self._flying.values()) >= BRISK

    def _until_free(self) -> float:
        """Seconds after which a turn that is due is looked at again."""
        return BRISK_SECONDS if self._busy() else PATIENCE

    def _due(self) -> _Turn | None:
        """The first turn whose time has come, of a source that may hold a thread now."""
        if self._busy():
            return None
        now, kept, found = self._clock.monotonic(), [], None
        full = sum(source.in_trouble for source in self._flying) >= MOST_IN_TROUBLE
        while found is None and self._turns and self._turns[0].due <= now:
            turn = heapq.heappop(self._turns)
            if self._waiting.get(turn.source) is not turn:
                continue  # planned anew since
            if full and turn.source.in_trouble:
                kept.append(turn)
            else:
                found = self._waiting.pop(turn.source)
        for turn in kept:
            heapq.heappush(self._turns, turn)
        return found

    def _done(self, source: Source, again: bool) -> None:
        with self._changed:
            del self._flying[source]
            self._idle += 1
            again |= source in self._woken
            self._woken.discard(source)
            now = self._clock.monotonic()
            turn = self._plan(source, now if again else max(self._slot(source, now), source.not_before))
            if self._turns[0] is turn:  # else who watches the clock wakes soon enough
                self._changed.notify()

    def _slot(self, source: Source, now: float) -> float:
        """The source's next own moment: they are spread over the interval, and what was missed is not made up for.

        Never later than an interval from now: a node that falls silent is found by the question.
        """
        phase = self._begun + self._places[source] * self._interval
        slot = phase + ((now - phase) // self._interval + 1) * self._interval
        return max(slot, now + self._interval / 4)
