"""Bytes of a log cut into lines, as a terminal would have left them on the screen."""

from __future__ import annotations

MOST_BYTES = 16_384
"""Bytes kept of one line; the rest of a longer one is passed over."""

CUT = "…"


class LineCutter:
    """Gives whole lines; of the last one that has no end yet the newest state is kept, however long it gets.

    What a carriage return wrote over is gone, as on a screen: of a progress bar its last state stays. Bytes that are no
    UTF-8 become `�`.
    """

    def __init__(self) -> None:
        self._half = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that end in `data`, without their ends."""
        first, *others = (self._half + data).split(b"\n")
        if not others:
            self._half = _kept(first)
            return []
        *whole, last = others
        self._half = _kept(last)
        return [_line(raw) for raw in (first, *whole)]

    @property
    def half(self) -> str:
        """What is there of a line that has no end yet."""
        return _line(self._half)

    def reset(self) -> None:
        """Forget the half line: what comes next does not go on from it."""
        self._half = b""


def _kept(raw: bytes) -> bytes:
    """All that can still matter of a line that goes on."""
    return raw if len(raw) <= MOST_BYTES else _state(raw)[: MOST_BYTES + 1] + (b"\r" if raw.endswith(b"\r") else b"")


def _state(raw: bytes) -> bytes:
    shown = raw.rstrip(b"\r")
    return shown[shown.rfind(b"\r") + 1 :]


def _line(raw: bytes) -> str:
    shown = _state(raw)
    if len(shown) <= MOST_BYTES:
        return shown.decode("utf-8", "replace")
    return shown[:MOST_BYTES].decode("utf-8", "replace") + CUT
