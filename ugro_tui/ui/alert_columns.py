"""The table of alerts: what fires, and what is over, of all jobs and nodes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from ugro_tui.core.alerts import Severity
from ugro_tui.core.entries import BookView, Entry, Mark
from ugro_tui.core.filter_fields import NUMBER, SECONDS, Field
from ugro_tui.core.numbers import age
from ugro_tui.ui.columns import TableColumn
from ugro_tui.ui.lines import Listed
from ugro_tui.ui.marks import SEVERITY_GLYPHS

ALERT_GLYPHS: Final = {Mark.RESOLVED: "○", Mark.ACKNOWLEDGED: "✓", Mark.SNOOZED: "z"}

OVER: Final = "over"
"""Of an alert that does not fire any more: that of a job that failed is over, but nothing is resolved by it."""

_SEVERITIES: Final = {Severity.CRIT: "critical", Severity.WARN: "warning", Severity.INFO: "info"}


def alert_lines(book: BookView, now: float) -> Listed[Entry]:
    """What fires, the worst first, then what is over, the newest first. `now`: Unix seconds."""
    return Listed([*book.firing, *book.history], entry_key, _values(now), _trouble)


def entry_key(entry: Entry) -> str:
    """The identity of an entry."""
    rule, rank, node = entry.alert.subject
    return "\0".join((entry.job_id, str(entry.attempt), rule, str(rank), node, f"{entry.since:.3f}"))


def _word(entry: Entry) -> str:
    return OVER if entry.state is Mark.RESOLVED else entry.state.value


def _trouble(entry: Entry) -> float:
    return 1.0 + entry.alert.severity if entry.state is Mark.FIRING else 0.0


def _values(now: float) -> dict[str, Callable[[Entry], float] | Callable[[Entry], str]]:
    return {
        "state": _word,
        "severity": lambda entry: _SEVERITIES[entry.alert.severity],
        "alert": lambda entry: entry.alert.name,
        "job": lambda entry: entry.job_id,
        "rank": lambda entry: math.nan if entry.alert.rank is None else float(entry.alert.rank),
        "node": lambda entry: entry.alert.node,
        "since": lambda entry: now - entry.since,
        "lasted": lambda entry: lasted(entry, now),
        "times": lambda entry: float(entry.times),
        "what": _what,
    }


FIELDS: Final = (
    Field("state", words=tuple(OVER if mark is Mark.RESOLVED else mark.value for mark in Mark)),
    Field("severity", words=tuple(_SEVERITIES.values())),
    Field("alert", aliases=("name", "rule")),
    Field("job"),
    Field("rank", NUMBER, whole=True),
    Field("node", aliases=("host",)),
    Field("since", SECONDS, aliases=("age",)),
    Field("lasted", SECONDS),
    Field("times", NUMBER, whole=True),
    Field("what"),
)


def _tone(entry: Entry, _: str) -> str:
    if entry.state is not Mark.FIRING:
        return "quiet"
    return {Severity.CRIT: "bad", Severity.WARN: "warn"}.get(entry.alert.severity, "")


def _state(entry: Entry) -> str:
    glyph = ALERT_GLYPHS.get(entry.state, SEVERITY_GLYPHS[entry.alert.severity])
    return f"{glyph} {_word(entry)}"


def _who(entry: Entry) -> str:
    return entry.alert.where or ("the job" if entry.job_id else "")


def _what(entry: Entry) -> str:
    """What it says; of a node with its name, for which there is no column where room is short."""
    who = entry.alert.who if not entry.job_id else ""
    return f"{who}: {entry.alert.what}" if who else entry.alert.what


def lasted(entry: Entry, now: float) -> float:
    """Seconds for which it has fired, or had until it or its job was over; NaN where it was told once, as an end is."""
    seconds = entry.lasted(now)
    return seconds if seconds > 0 or entry.state is not Mark.RESOLVED else math.nan


def when(at: float) -> str:
    """The day too where it is not today's, for people: by this machine's time zone."""
    return "" if math.isnan(at) else time.strftime("%m-%d %H:%M", time.localtime(at))


def _name(entry: Entry) -> str:
    return entry.alert.name


def columns(now: float) -> Sequence[TableColumn[Entry]]:
    """The columns at `now` (Unix seconds). What is wrong with whom stays longest; the pane below tells the rest."""
    return (
        TableColumn("State", 14, 0, _state, "state", left=True, tone=_tone, least=1),
        TableColumn("Alert", 18, 1, _name, "alert", left=True, grows=True, tone=_tone, least=12, identifies=True),
        TableColumn("Job", 20, 2, lambda entry: entry.job_id, "job", left=True, grows=True, names=True, least=10),
        TableColumn("Who", 16, 5, _who, "rank", left=True, grows=True),
        TableColumn("Since", 11, 6, lambda entry: when(entry.since), "since", left=True),
        TableColumn("Lasted", 6, 3, lambda entry: age(lasted(entry, now)), "lasted"),
        TableColumn("Times", 5, 8, lambda entry: str(entry.times), "times"),
        TableColumn("What", 34, 4, _what, "what", left=True, grows=True, least=24),
    )
