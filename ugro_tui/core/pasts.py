"""The history of a job's alerts from two sources: the book, which was kept while somebody watched, and its records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from ugro_tui.core.alerts import Alert
from ugro_tui.core.entries import Entry, Mark
from ugro_tui.core.replay import Past

HANG, STALL = "job_hang", "rank_stalled"
"""The rules of ranks that stop: of all, and of some."""

SLACK_SECONDS: Final = 60.0
"""Two of one subject are the same when so little lies between them: the book goes by our clock, records by a node's."""


def merged(job_id: str, over: Sequence[Entry], firing: Iterable[Entry], pasts: Iterable[Past]) -> tuple[Entry, ...]:
    """What is over, the newest first: the book's own entries, and what the records tell that the book does not have.

    What still fired at the last record has no end.
    """
    known: dict[object, list[Entry]] = {}
    for entry in (*over, *firing):
        known.setdefault(_about(entry.alert), []).append(entry)
    fresh = [
        Entry(job_id, 0, past.alert, past.fired, Mark.RESOLVED, resolved=past.resolved)
        for past in pasts
        if not any(_same(past, entry) for entry in known.get(_about(past.alert), ()))
    ]
    return tuple(sorted([*over, *fresh], key=lambda entry: -entry.since))


def counted(pasts: Sequence[Past], now: Iterable[Alert]) -> tuple[Alert, ...]:
    """What fired in an attempt and fires `now`, each once.

    A hang is one and no more: it begins with ranks that stall, and whoever knows no heartbeats names none.
    """
    hangs = [past for past in pasts if past.alert.rule == HANG]
    known = [past.alert for past in pasts if past.alert.rule != STALL or not any(_meet(past, hang) for hang in hangs)]
    hung = {HANG: HANG}
    return tuple({hung.get(alert.rule, alert.subject): alert for alert in (*known, *now)}.values())


def _about(alert: Alert) -> object:
    """What makes two of one time the same: of ranks that stop, whichever is named."""
    return HANG if alert.rule in (HANG, STALL) else alert.subject


def _meet(one: Past, other: Past) -> bool:
    """Whether one follows the other, or both last at the same time."""
    return not one.resolved < other.fired - SLACK_SECONDS and not other.resolved < one.fired - SLACK_SECONDS


def _same(past: Past, entry: Entry) -> bool:
    """Whether both are told of one time at which it fired."""
    begun_before = math.isnan(entry.resolved) or past.fired <= entry.resolved + SLACK_SECONDS
    return begun_before and not past.resolved < entry.since - SLACK_SECONDS
