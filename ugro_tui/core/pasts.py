"""The history of a job's alerts from two sources: the book, which was kept while somebody watched, and its records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from ugro_tui.core.entries import Entry, Mark
from ugro_tui.core.replay import Past

SLACK_SECONDS: Final = 60.0
"""Two of one subject are the same when so little lies between them: the book goes by our clock, records by a node's."""


def merged(job_id: str, over: Sequence[Entry], firing: Iterable[Entry], pasts: Iterable[Past]) -> tuple[Entry, ...]:
    """What is over, the newest first: the book's own entries, and what the records tell that the book does not have.

    What still fired at the last record has no end.
    """
    known: dict[object, list[Entry]] = {}
    for entry in (*over, *firing):
        known.setdefault(entry.alert.subject, []).append(entry)
    fresh = [
        Entry(job_id, 0, past.alert, past.fired, Mark.RESOLVED, resolved=past.resolved)
        for past in pasts
        if not any(_same(past, entry) for entry in known.get(past.alert.subject, ()))
    ]
    return tuple(sorted([*over, *fresh], key=lambda entry: -entry.since))


def _same(past: Past, entry: Entry) -> bool:
    """Whether both are told of one time at which it fired."""
    begun_before = math.isnan(entry.resolved) or past.fired <= entry.resolved + SLACK_SECONDS
    return begun_before and not past.resolved < entry.since - SLACK_SECONDS
