"""What was lost, counted: records, values, and errors that were swallowed so that training goes on."""

from __future__ import annotations

import logging
import threading

_log = logging.getLogger("ugro_emitter")


class Losses:
    """Counters that any thread may raise; each kind of trouble is also reported once, in words."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler may emit while the thread it interrupted is counting.
        self._lock = threading.RLock()
        self._unreported: list[str] = []
        self._seen: set[str] = set()
        self.refused = 0
        """Records that found the queue full."""
        self.unwritten = 0
        """Records that were queued and could not be written."""
        self.values = 0
        """Values that were no number, or were not ready in time: their record was written without them."""
        self.errors = 0
        """Failures inside the emitter."""

    @property
    def records(self) -> int:
        """Records lost: the `dropped` of the protocol."""
        return self.refused + self.unwritten

    def refuse(self) -> None:
        with self._lock:
            self.refused += 1

    def unwrite(self, count: int = 1) -> None:
        with self._lock:
            self.unwritten += count

    def lose_value(self, name: str, why: object) -> None:
        with self._lock:
            self.values += 1
            self._note(f"value {name!r}", f"value {name!r} is left out of the records: {why}")

    def fail(self, where: str, error: BaseException) -> None:
        with self._lock:
            self.errors += 1
            self._note(where, f"{where}: {type(error).__name__}: {error}")

    def report(self) -> None:
        """Log what is new. For the emitter's own threads: a log handler may write to a disk that hangs."""
        with self._lock:
            fresh, self._unreported = self._unreported, []
        for text in fresh:
            _log.warning("ugro_emitter: %s (training goes on; said once, counted in the heartbeat)", text)

    def _note(self, kind: str, text: str) -> None:
        # The first hundred kinds are enough to find a mistake, and bound the memory.
        if kind not in self._seen and len(self._seen) < 100:
            self._seen.add(kind)
            self._unreported.append(text)
