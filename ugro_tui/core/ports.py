"""The doors between the rooms: what each side may ask of the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # pictures stand on numpy, and who only launches a job needs none
    from ugro_tui.core.archive import Finding, Found, Inquiry
    from ugro_tui.core.commands import Command, Ticket
    from ugro_tui.core.snapshot import Snapshot


class Clock(Protocol):
    """Where time comes from; tests hand in their own."""

    def monotonic(self) -> float:
        """Seconds that never step back."""
        ...

    def time(self) -> float:
        """Unix seconds."""
        ...


class Feed(Protocol):
    """All that a screen knows of the world: snapshots out, commands in."""

    def snapshot(self) -> Snapshot:
        """The newest picture; never blocks."""
        ...

    def request(self, command: Command) -> Ticket:
        """Ask for something; never blocks. The answer comes in a later snapshot."""
        ...


class Archive(Protocol):
    """All that a screen knows of the files of jobs: the pictures of the feed hold only what is recent."""

    def look(self, inquiry: Inquiry[Found]) -> Finding[Found]:
        """What is known of this by now; never blocks. Who goes on to ask is told of what is new."""
        ...


class Memory(Protocol):
    """What outlives the application, of how a person likes the screens."""

    def load(self) -> Mapping[str, object]:
        """All that was kept, by its name; empty where nothing was or nothing can be read."""
        ...

    def save(self, news: Mapping[str, object]) -> None:
        """Keep these, beside what is kept by other names; never waits for a disk, and never fails."""
        ...


class Collection(Protocol):
    """What a launcher may ask of the collector."""

    def start_collection(self, job_id: str) -> None:
        """Follow a job from now on."""
        ...

    def stop_collection(self, job_id: str) -> None:
        """Follow it no longer."""
        ...
