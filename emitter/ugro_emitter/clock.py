"""The clocks that the emitter reads, in one object so that a test can hand in its own."""

from __future__ import annotations

import time


class Clock:
    """The system's clocks, all in seconds."""

    def time(self) -> float:
        """Unix time, for people and for ordering records of one machine; it may step."""
        return time.time()

    def monotonic(self) -> float:
        """For ages: never steps."""
        return time.monotonic()

    def perf_counter(self) -> float:
        """For durations of steps and phases."""
        return time.perf_counter()
