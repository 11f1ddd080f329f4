"""Which jobs are followed: the recent ones and those that someone opened."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from ugro_tui.nodes.base import JobEntry

RECENT_SECONDS = 86_400.0
"""Jobs that have not changed for a day are listed, not read, until someone opens them (protocol v1)."""

MOST_FOLLOWED = 1000
"""Jobs of one node that are read unasked: each costs a little at every look, and a node may name any number."""

_AGE_STEP = 3600.0
"""Seconds of age that make no difference to which jobs are read, or those that change all the time would take turns."""


def _nothing() -> None:
    """What happens when nobody waits for it."""


class Wanted:
    """The jobs to follow. Shared by the pollers and the collector; every method may be called from any thread.

    A job's epoch grows whenever what is known of it is to be learned anew: readers of an older epoch have lost their
    place, and what they still bring counts no more.
    """

    def __init__(self, only: str | None = None) -> None:
        self._only = only
        self._opened: list[str] = [only] if only else []
        self._closed: set[str] = set()
        self._epochs: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.renewed: Callable[[], None] = _nothing
        """Called when a job is to be read anew: the readers of other nodes have lost their places too."""

    def open(self, job_id: str) -> None:
        """Follow this job whatever its age, before the others."""
        with self._lock:
            self._closed.discard(job_id)
            if job_id in self._opened:
                self._opened.remove(job_id)
            self._opened.insert(0, job_id)

    def close(self, job_id: str) -> int:
        """Follow this job no longer. The epoch that has ended."""
        with self._lock:
            ended = self._epochs[job_id]
            self._closed.add(job_id)
            self._epochs[job_id] += 1
            if job_id in self._opened:
                self._opened.remove(job_id)
            return ended

    def epoch(self, job_id: str) -> int | None:
        """The job's epoch; None while it is closed."""
        with self._lock:
            return None if job_id in self._closed else self._epochs[job_id]

    def renew(self, job_id: str, known: int) -> int | None:
        """Have the job read anew by all, unless it is since epoch `known`: its epoch now; None while it is closed."""
        with self._lock:
            if job_id in self._closed:
                return None
            begun = self._epochs[job_id] == known
            self._epochs[job_id] += begun
            epoch = self._epochs[job_id]
        if begun:
            self.renewed()
        return epoch

    def split(
        self, entries: Sequence[JobEntry], followed: Collection[str] = ()
    ) -> tuple[list[JobEntry], tuple[str, ...]]:
        """The entries to read, opened ones first, then the most recent; and the ids that are only listed.

        Where there are more than `MOST_FOLLOWED`, those that are `followed` already have the better claim.
        """
        with self._lock:
            opened, closed, only = list(self._opened), set(self._closed), self._only
        if only is not None:
            others = sorted(entry.job_id for entry in entries if entry.job_id not in opened)
            return [entry for entry in entries if entry.job_id in opened], tuple(others)
        rank = {job_id: place for place, job_id in enumerate(opened)}
        wanted = [
            entry
            for entry in entries
            if entry.job_id not in closed and (entry.job_id in rank or entry.age < RECENT_SECONDS)
        ]
        if len(wanted) > MOST_FOLLOWED:
            wanted.sort(
                key=lambda entry: (entry.job_id not in rank, entry.age // _AGE_STEP, entry.job_id not in followed)
            )
            del wanted[max(MOST_FOLLOWED, len(rank)) :]
        wanted.sort(key=lambda entry: (rank.get(entry.job_id, len(rank)), entry.age))
        read = {entry.job_id for entry in wanted}
        return wanted, tuple(sorted(entry.job_id for entry in entries if entry.job_id not in read))
