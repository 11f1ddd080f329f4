"""The place in one append-only file of a node, and whether it still is the same file."""

from __future__ import annotations

from ugro_tui.collect.place import Place
from ugro_tui.core.framing import LineFramer
from ugro_tui.nodes.base import Chunk


class Tail:
    """Follows one append-only file: gives whole lines, each once, across truncation and replacement.

    Whether the file still is the same is found by the node, from `place`; a chunk tells by where it begins.
    """

    def __init__(self) -> None:
        self.place = Place()
        """What is taken so far; the next read begins at its offset."""
        self.generation = 0
        """Grows each time another file, or a truncated one, was found under the path."""
        self._framer = LineFramer()
        self._too_long = 0

    @property
    def offset(self) -> int:
        """Bytes taken so far."""
        return self.place.offset

    def take(self, chunk: Chunk) -> bytes:
        """The whole lines that `chunk` completes. A chunk that does not continue this file begins a new generation."""
        if self.offset and (chunk.size < self.offset or chunk.offset != self.offset):
            self._restart()
        if chunk.offset != self.offset:
            return b""  # the new generation is read from its beginning next time
        self.place.extend(chunk.data)
        return self._framer.feed(chunk.data)

    def take_too_long(self) -> int:
        """Lines dropped for their length since the last call."""
        dropped = self._framer.too_long - self._too_long
        self._too_long = self._framer.too_long
        return dropped

    def _restart(self) -> None:
        self.place.reset()
        self.generation += 1
        self._framer = LineFramer()
        self._too_long = 0
