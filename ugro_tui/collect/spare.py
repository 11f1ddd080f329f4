"""Memory that is free, handed back to the system."""

from __future__ import annotations

import ctypes
import math
import sys

_library = ctypes.CDLL(None) if sys.platform == "linux" else None
_trim = getattr(_library, "malloc_trim", None)
_set = getattr(_library, "mallopt", None)

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGE, MOST_ON_TOP = 1 << 18, 1 << 20
"""Bytes from which on a piece of memory goes back as it is freed, and of free memory behind the last piece that stays.
glibc would raise both as it goes: columns of thousands of ranks, made anew each second, would then leave holes."""


SETTLED_SECONDS = 3.0
"""How long after a job was read through all that reading took is free: threads hold the last until their next look."""


class Spare:
    """Hands back what this process has freed, where its C library can, a while after something large was read.

    Between the small pieces that stay, glibc keeps what reading took: of a job of thousands of ranks tens of MiB.
    """

    def __init__(self) -> None:
        self._due = math.inf
        if _set is not None:
            _set(_MMAP_THRESHOLD, LARGE)
            _set(_TRIM_THRESHOLD, MOST_ON_TOP)

    def expect(self, now: float) -> None:
        """Something large was read by `now` (monotonic seconds)."""
        self._due = now + SETTLED_SECONDS

    def look(self, now: float) -> bool:
        """Hand it back if it is time to; whether it was."""
        if now < self._due:
            return False
        self._due = math.inf
        if _trim is not None:
            _trim(0)
        return True
