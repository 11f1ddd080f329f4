"""The place in one append-only file of whole lines, and the half line at its end."""

from __future__ import annotations

from ugro_tui.collect.place import Place
from ugro_tui.core.framing import LineFramer


class Tail:
    """Follows one append-only file: gives whole lines, each once. Whether it still is that file, the node finds."""

    def __init__(self) -> None:
        self.place = Place()
        """What is taken so far; the next read begins at its offset."""
        self._framer = LineFramer()
        self._too_long = 0

    def take(self, data: bytes) -> bytes:
        """The whole lines that `data`, which follows what was taken before, completes."""
        self.place.extend(data)
        return self._framer.feed(data)

    def take_too_long(self) -> int:
        """Lines dropped for their length since the last call."""
        dropped = self._framer.too_long - self._too_long
        self._too_long = self._framer.too_long
        return dropped

    def restart(self) -> None:
        """Another file lies there: it is taken from its beginning."""
        self.place.reset()
        self._framer = LineFramer()
        self._too_long = 0
