"""The place in one append-only file of a node, and whether it still is the same file."""

from __future__ import annotations

from ugro_tui.core.framing import LineFramer
from ugro_tui.nodes.base import WINDOW, Chunk, place_digest


class Tail:
    """Follows one append-only file: gives whole lines, each once, across truncation and replacement."""

    def __init__(self) -> None:
        self.offset = 0
        """Bytes taken so far; the next read begins here."""
        self.generation = 0
        """Grows each time another file, or a truncated one, was found under the path."""
        self._head = b""
        self._before = b""
        self._framer = LineFramer()
        self._too_long = 0

    def take(self, chunk: Chunk) -> bytes:
        """The whole lines that `chunk` completes. A chunk that does not continue this file begins a new generation."""
        if self._replaced(chunk):
            self._restart()
        if chunk.offset != self.offset:
            return b""  # the new generation is read from its beginning next time
        self._head = (self._head + chunk.data[:WINDOW])[:WINDOW]
        self._before = (self._before + chunk.data[-WINDOW:])[-WINDOW:]
        self.offset += len(chunk.data)
        return self._framer.feed(chunk.data)

    def take_too_long(self) -> int:
        """Lines dropped for their length since the last call."""
        dropped = self._framer.too_long - self._too_long
        self._too_long = self._framer.too_long
        return dropped

    def _replaced(self, chunk: Chunk) -> bool:
        if not self.offset:
            return False
        if chunk.size < self.offset or chunk.offset != self.offset:
            return True
        return chunk.place != place_digest(self._head, self._before)

    def _restart(self) -> None:
        self.offset = 0
        self.generation += 1
        self._head = self._before = b""
        self._framer = LineFramer()
        self._too_long = 0
