"""One job as the keeper keeps it: its state, and the picture of it, drawn anew where there is anything new to see."""

from __future__ import annotations

import math
import time

from ugro_tui.collect.alarms import Alarms
from ugro_tui.collect.reader import Delivery, apply
from ugro_tui.core.curve import EMPTY, Curve
from ugro_tui.core.job import JobState
from ugro_tui.core.snapshot import JobView, curve_of, view
from ugro_tui.core.watch import JobWatch

OVER_REFRESH_SECONDS, JUST_OVER_SECONDS = 30.0, 600.0
"""How often the picture of a job that is over is drawn again, and from when on: only its age changes. Of one that ended
just now people want to know how long ago."""

HELD_SECONDS = 10.0
"""How long the picture of a job is held back while it is read: one slow node must not hide the others' ranks."""

CURVE_REST, MOST_CURVE_REST_SECONDS = 199, 3.0
"""Times that drawing the curve took, which pass before the next: it tells of the whole run, and hardly moves within a
second or two."""

SOON_SECONDS = 0.2
"""Such a rest is left out where it is no longer: a curve of few records costs nothing."""


class Kept:
    """A job's state since `epoch` began. `before`: what was kept of it until then."""

    def __init__(self, job_id: str, epoch: int, before: Kept | None = None) -> None:
        self.state = JobState(job_id)
        self.epoch = epoch
        self.denied: dict[str, tuple[str, ...]] = {}
        self.drawn = -math.inf
        """When the picture was drawn, monotonic seconds."""
        self.due = math.inf
        """When the curve is to be drawn that was left out at the last look, seconds of `time.perf_counter`."""
        # The old picture is shown until the new state is complete: until every node has told the job anew.
        self.picture: JobView | None = before.picture if before else None
        self._reading: dict[str, bool] = dict.fromkeys(before._reading, True) if before else {}
        self._rewritten: dict[str, int] = {}
        self._gone: frozenset[str] = frozenset()
        self._watch = JobWatch()
        self._curve: Curve = EMPTY
        self._curved = -1
        self._curve_due = -math.inf
        self._seen: tuple[int, int, frozenset[str]] = (-1, -1, frozenset())
        self._held = math.nan

    def take(self, delivery: Delivery) -> bool:
        """Take in the news of one node; whether that was the last of much."""
        read_through = self._reading.get(delivery.node, False) and not delivery.more
        self._reading[delivery.node] = delivery.more
        self._gone = self._gone | {delivery.node} if delivery.gone else self._gone - {delivery.node}
        self.denied[delivery.node] = delivery.denied
        self._rewritten[delivery.node] = delivery.rewritten
        for piece in delivery.pieces:
            apply(self.state, piece, delivery.node)
        return read_through

    @property
    def is_new(self) -> bool:
        """Whether all was told of it, and nobody has seen it yet."""
        return self.picture is None and bool(self.state.version) and not self.reading

    @property
    def was_nothing(self) -> bool:
        """Whether no node holds anything of it any more, and no rank had recorded anything: its start failed."""
        unseen = self.picture is None or self.picture.blank
        return unseen and self._gone >= self._reading.keys() and not any(rank.next_seq for rank in self.state.ranks)

    @property
    def reading(self) -> bool:
        """Whether a node still has more of it to tell."""
        return any(self._reading.values())

    def is_held(self, now: float) -> bool:
        """Whether the picture is held back, as the job is still being read: half of a run would look stalled."""
        self.due = math.inf
        self._held = (now if math.isnan(self._held) else self._held) if self.reading else math.nan
        return self.reading and now - self._held <= HELD_SECONDS

    def draw(self, now: float, alarms: Alarms) -> None:
        """Make the picture anew, unless it would be the same."""
        self.state.rewritten = self._rewritten
        self._draw_curve()
        seen = (self.state.version, self._curved, frozenset(self.state.away))
        fresh, self._seen = seen == self._seen, seen
        summary = self.picture.summary if self.picture is not None else None
        long_over = summary is not None and summary.status.over and not summary.age < JUST_OVER_SECONDS
        if not (fresh and long_over and now - self.drawn < OVER_REFRESH_SECONDS):
            self.picture = view(self.state, now, self._curve, self._watch, alarms.thresholds, alarms.aged)
            self.drawn = now

    def _draw_curve(self) -> None:
        began = time.perf_counter()
        if self._curved == self.state.version:
            return
        if began < self._curve_due:
            self.due = self._curve_due
            return
        self._curve, self._curved = curve_of(self.state), self.state.version
        ended = time.perf_counter()
        rest = CURVE_REST * (ended - began)
        self._curve_due = ended + min(MOST_CURVE_REST_SECONDS, rest) if rest > SOON_SECONDS else -math.inf
