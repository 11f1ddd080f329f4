"""What of a node is copied, when, and why it cannot be."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

from ugro_tui.collect.follower import Copy, Follower, Role
from ugro_tui.collect.mirror import MirrorError
from ugro_tui.collect.syncs import SyncRun
from ugro_tui.core.layout import POLLED, FileKind
from ugro_tui.core.ports import Clock

log = logging.getLogger(__name__)

SYNC_SECONDS = 60.0
"""How often event files are copied unasked: TensorBoard itself looks every 30 s, and links are thin."""

COPY_AGAIN_SECONDS = 30.0
"""How long jobs are read without their copy after writing it failed, before it is tried again."""


class Copying:
    """Between the follower of a node and its copy, if there is one. One thread at a time calls it, but for `role`.

    With `keep`, logs are copied at every look and event files once in `SYNC_SECONDS`; else only when a sync asks.
    """

    def __init__(self, follower: Follower, clock: Clock, copy: Copy | None, *, keep: bool) -> None:
        self.copy = copy
        self._name = "" if copy is None else copy.shown.name
        self._follower = follower
        self._clock = clock
        self._keep = keep
        self._begun = False
        self._events_due = -math.inf
        self._due_again = math.inf

    @property
    def role(self) -> Role:
        """What this application does with the copy."""
        return Role.NONE if self.copy is None else self.copy.role()

    @property
    def reading(self) -> str:
        """Why the copy is only read; empty where it is not."""
        return self.copy.said() if self.copy is not None and self.role is Role.READS else ""

    def remember(self) -> None:
        """Take in what the copy holds; a copy that cannot be written is told by `troubles`."""
        try:
            self._follower.remember()
        except MirrorError as error:
            log.warning("the copy of %s: %s", self._name, error)

    def prepare(self) -> None:
        """Begin with what the copy holds, and go back to it where writing it has failed a while ago."""
        if not self._begun:
            self._begun = True
            self.remember()
        now = self._clock.monotonic()
        if not self._follower.troubles:
            self._due_again = now + COPY_AGAIN_SECONDS
        elif now >= self._due_again:
            self._due_again = now + COPY_AGAIN_SECONDS
            self._follower.try_copies_again()

    def kinds(self, syncs: Iterable[SyncRun]) -> frozenset[FileKind]:
        """The kinds of files that the next look is to bring, for these syncs too."""
        wanted = [run.kinds for run in syncs]
        kinds = set(POLLED).union(*wanted)
        if self._keep:
            kinds.add(FileKind.LOG)
            if self._clock.monotonic() >= self._events_due:
                kinds.add(FileKind.EVENTS)
        if self._follower.troubles and not wanted:  # they could not be kept, and would come again and again
            kinds -= {FileKind.LOG, FileKind.EVENTS}
        return frozenset(kinds)

    def brought_events(self) -> None:
        """All event files were brought: they are due again after a while."""
        self._events_due = self._clock.monotonic() + SYNC_SECONDS

    @property
    def troubles(self) -> tuple[str, ...]:
        """What keeps the copy from being written, by this application or by the one that it reads after."""
        if self.copy is not None and self.role is Role.NONE:
            return (self.copy.said(),)
        if self.copy is not None and self.role is Role.READS:
            return (full,) if (full := self.copy.mirror.full) else ()
        return self._follower.troubles

    @property
    def unable(self) -> str:
        """Why nothing can be synced, whatever the node says; empty where it can. Without a copy no sync is begun."""
        role = self.role
        if role is Role.WRITES or self.copy is None:
            return "; ".join(self._follower.troubles)
        return f"{self.copy.said()}: sync there" if role is Role.READS else self.copy.said()
