"""How much to ask a node for at a time: about what its link carries in two seconds."""

from __future__ import annotations

MIN_CAP, MAX_CAP = 4 << 10, 8 << 20
"""Bytes asked for at least and at most."""

_SECONDS = 2.0
_FIRST_RATE = 32 << 10
_WEIGHT = 0.5
_TELLING = 16 << 10


class Pace:
    """Learns a link's rate from how long its answers take."""

    def __init__(self) -> None:
        self._rate = float(_FIRST_RATE)

    @property
    def cap(self) -> int:
        """Bytes to ask for."""
        return max(MIN_CAP, min(MAX_CAP, int(self._rate * _SECONDS)))

    def took(self, size: int, seconds: float) -> None:
        """An answer of `size` bytes came after `seconds`. One too small to tell the rate from says nothing."""
        if size >= min(_TELLING, self.cap // 2):
            rate = size / max(seconds, 1e-3)
            self._set(self._rate + _WEIGHT * (rate - self._rate))

    def missed(self) -> None:
        """An answer did not come in time."""
        self._set(self._rate / 4)

    def _set(self, rate: float) -> None:
        self._rate = max(MIN_CAP / _SECONDS, min(MAX_CAP / _SECONDS, rate))
