"""The clocks that the emitter reads, in one object so that a test can hand in its own."""

from __future__ import annotations

import time as system


class Clock:
    """The system's clocks, all in seconds. Static, not methods: they are read several times a step."""

    time = staticmethod(system.time)
    """Unix time, for people and for ordering records of one machine; it may step."""
    monotonic = staticmethod(system.monotonic)
    """For ages: never steps."""
    perf_counter = staticmethod(system.perf_counter)
    """For durations of steps and phases."""
