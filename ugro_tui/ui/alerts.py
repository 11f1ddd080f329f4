"""`AlertsScreen`: what is wrong and what was, of all jobs and nodes; each explained."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content

from ugro_tui.core.alerts import Severity
from ugro_tui.core.commands import Acknowledge, Snooze
from ugro_tui.core.entries import Entry, Mark
from ugro_tui.core.numbers import duration
from ugro_tui.core.rules.catalogue import RULES
from ugro_tui.ui.alert_columns import FIELDS, OVER, alert_lines, columns, entry_key, lasted, when
from ugro_tui.ui.listing import ListScreen
from ugro_tui.ui.marks import SEVERITY_GLYPHS, SEVERITY_STYLES
from ugro_tui.ui.screen import GoTo
from ugro_tui.ui.table import LineTable

SNOOZE_SECONDS = 1_800.0
"""How long `s` keeps an alert quiet: half an hour."""


class AlertsScreen(ListScreen):
    """A line for each alert; below it what it says, what to do, and by which numbers it is judged."""

    NAME = "alerts"
    SAYS = "Alerts"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "acknowledge", "ack", tooltip="Acknowledge: ring no more until it is over", show=True),
        Binding("s", "snooze", "snooze", tooltip=f"Snooze for {duration(SNOOZE_SECONDS)}", show=True),
    ]

    def new_table(self) -> LineTable[Any]:
        """The table of alerts."""
        return LineTable(columns(0.0), FIELDS, noun="alert")

    def title_words(self) -> Content:
        """How many fire, and how many are over."""
        book = self.desk.snapshot.book
        loud = [entry.alert.severity for entry in book.firing if entry.state is Mark.FIRING]
        parts = [(f"  {SEVERITY_GLYPHS[one]}{loud.count(one)}", SEVERITY_STYLES[one]) for one in reversed(Severity)]
        known = len(book.firing) - len(loud)
        return Content.assemble(
            ("Alerts", "bold"),
            f"  {len(loud)} firing" if loud else "  none fires",
            *(part for part in parts if not part[0].endswith("0")),
            (f"  {known} acknowledged or snoozed" if known else "", "$text-muted"),
            (f"  {len(book.history)} over" if book.history else "", "$text-muted"),
        )

    def show_lines(self) -> bool:
        """All that the book holds."""
        book, now = self.desk.snapshot.book, self.desk.wall()
        self.table.show_lines(alert_lines(book, now), columns(now))
        return bool(book.firing or book.history)

    def nothing(self) -> Content:
        """All is well, as far as is known."""
        if not self.desk.ready:
            return Content.styled(f"reading {self.desk.place} …", "$text-muted")
        return Content.assemble(
            ("No alert fires, and none has fired\n\n", "bold"),
            (f"{len(RULES)} rules watch; `ugro-tui alerts --explain` tells each", "$text-muted"),
        )

    @property
    def _entry(self) -> Entry | None:
        """The entry under the cursor."""
        book = self.desk.snapshot.book
        return next((one for one in (*book.firing, *book.history) if entry_key(one) == self.table.key), None)

    @property
    def job(self) -> str | None:
        """The job that the alert under the cursor is about; where there is no alert, the one in hand."""
        entry = self._entry
        return super().job if entry is None else entry.job_id or None

    def detail(self) -> Content:
        """The entry in full: what, what to do, by which numbers."""
        entry = self._entry
        if entry is None:
            return Content()
        alert = entry.alert
        rule = RULES.get(alert.rule)
        over = f" ({OVER}: {_span(entry)})" if entry.state is Mark.RESOLVED else ""
        return Content.assemble(
            (f"{SEVERITY_GLYPHS[alert.severity]} {alert.name}{over}", f"bold {SEVERITY_STYLES[alert.severity]}"),
            f"  {alert.who}{': ' if alert.who else ''}{alert.what}\n",
            ("→ ", "$accent"),
            f"{alert.next_step}",
            (f"\n{rule.fires}" if rule else "", "$text-muted"),
        )

    @on(LineTable.Opened)
    def _opened(self) -> None:
        entry = self._entry
        if entry is None:
            return
        if entry.job_id and self.desk.snapshot.job(entry.job_id) is not None:
            self.desk.take_job(entry.job_id)
            self.post_message(GoTo("job", line=entry.alert.rank, back=True))
        else:
            self.post_message(GoTo("nodes", line=entry.alert.node or None))

    def action_acknowledge(self) -> None:
        """Ring no more for the alert under the cursor until it is over."""
        entry = self._firing()
        if entry is not None:
            self.ask(Acknowledge(entry.job_id, entry.alert.subject))

    def action_snooze(self) -> None:
        """Ring for it again later."""
        entry = self._firing()
        if entry is not None:
            self.ask(Snooze(entry.job_id, entry.alert.subject, SNOOZE_SECONDS))

    def _firing(self) -> Entry | None:
        entry = self._entry
        if entry is None or entry.state is Mark.RESOLVED:
            self.say("this alert is over" if entry else "no alert here", once=True)
            return None
        return entry


def _span(entry: Entry) -> str:
    """From when to when it fired; of what was told once, when."""
    began, ended = when(entry.since), when(entry.resolved)
    return began if math.isnan(lasted(entry, math.nan)) else f"{began} to {ended}"
