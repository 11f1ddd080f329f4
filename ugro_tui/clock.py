"""The machine's own clocks: what everything takes the time from, but in tests."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
