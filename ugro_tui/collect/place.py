"""How far an append-only file is known, and what tells that file from another one under the same path."""

from __future__ import annotations

from ugro_tui.nodes.helper import WINDOW, place_digest


class Place:
    """The bytes known of one file: how many, and the few of them by which the file is known again.

    `head` is the first `WINDOW` bytes, `before` as many before `offset`; shorter files have shorter ones.
    """

    __slots__ = ("_digest", "before", "head", "offset")

    def __init__(self, offset: int = 0, head: bytes = b"", before: bytes = b"") -> None:
        self.offset = offset
        self.head = head
        self.before = before
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """The `place_digest` that a node is asked to compare; empty where nothing is known yet."""
        if self._digest is None:
            self._digest = place_digest(self.head, self.before) if self.offset else ""
        return self._digest

    def extend(self, data: bytes) -> None:
        """`data` follows what is known."""
        if not data:
            return
        if len(self.head) < WINDOW:
            self.head += data[: WINDOW - len(self.head)]
        self.before = data[-WINDOW:] if len(data) >= WINDOW else (self.before + data)[-WINDOW:]
        self.offset += len(data)
        self._digest = None

    def reset(self) -> None:
        """Another file lies there: nothing of it is known."""
        self.offset = 0
        self.head = self.before = b""
        self._digest = None
