"""What is heard of alerts where nobody looks at the screen: the terminal's bell, and its notification (OSC 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ugro_tui.core.entries import Event, Happening
from ugro_tui.core.text import visible

MOST_SAID: Final = 200
"""Characters of a notification: a line or two on the desktop."""


class Bell:
    """Rings for each event that is worth it, once."""

    def __init__(self) -> None:
        self._heard = 0

    def due(self, events: Sequence[Event]) -> str:
        """What is to be written to the terminal for the events that are new: once for all of them."""
        fresh = [event for event in events if event.number > self._heard and event.rings]
        self._heard = max([self._heard, *(event.number for event in events)])
        if not fresh:
            return ""
        more = f" (+{len(fresh) - 1} more)" if len(fresh) > 1 else ""
        return f"\x07\x1b]9;{visible(said(fresh[0]), MOST_SAID)}{more}\x07"


def said(event: Event) -> str:
    """An event in a few words. It never begins with a digit, which some terminals take for another command."""
    if event.what is not Happening.FIRED:
        return f"ugro-tui: {event.job_id} {event.what.value}: {event.verdict}"
    where = f" {event.alert.where}" if event.alert.where else ""
    return f"ugro-tui: {event.job_id or 'nodes'}: {event.alert.name}{where}: {event.alert.what}"
