"""Bytes as they arrive, cut anywhere, into whole lines."""

from __future__ import annotations

MAX_LINE = 1 << 20
"""Bytes of the longest line that is kept. A record is some hundred bytes; a longer line is damage or an attack."""


class LineFramer:
    """Feeds on the bytes of one append-only file and gives back whole lines only.

    The answer does not depend on where the bytes were cut. Memory is bounded by `max_line`.
    """

    __slots__ = ("_discarding", "_max_line", "_partial", "too_long")

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._partial = bytearray()
        self._discarding = False
        self.too_long = 0
        """Lines dropped so far because they were longer than the cap."""

    @property
    def is_between_lines(self) -> bool:
        """Whether all that was fed ended with a line: it goes on as a new one does."""
        return not self._partial and not self._discarding

    @property
    def pending(self) -> int:
        """Bytes of the unfinished line that are held back."""
        return len(self._partial)

    def feed(self, data: bytes) -> bytes:
        """The whole lines that `data` completes: empty, or bytes that end in a newline."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._hold(data)
            return b""
        block = self._complete(data[:end])
        self._hold(data[end:])
        return block if len(block) <= self._max_line else self._without_long_lines(block)

    def _complete(self, data: bytes) -> bytes:
        if self._discarding:
            self._discarding = False
            data = data[data.index(b"\n") + 1 :]
        elif self._partial:
            data = bytes(self._partial) + data
        self._partial.clear()
        return data

    def _hold(self, rest: bytes) -> None:
        if self._discarding or not rest:
            return
        if len(self._partial) + len(rest) >= self._max_line:
            self._partial.clear()
            self._discarding = True
            self.too_long += 1
        else:
            self._partial += rest

    def _without_long_lines(self, block: bytes) -> bytes:
        kept = []
        for line in _split(block):
            if len(line) <= self._max_line:
                kept.append(line)
            else:
                self.too_long += 1
        return b"".join(kept)


def _split(block: bytes) -> list[bytes]:
    """Lines ended by `\\n` alone: `splitlines` would also cut at a carriage return."""
    return [line + b"\n" for line in block[:-1].split(b"\n")]
