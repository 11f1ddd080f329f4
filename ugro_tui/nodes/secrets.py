"""Passphrases of keys and secrets of jobs, in this process's memory alone."""

from __future__ import annotations

import threading


class Secrets:
    """What a person typed, for a key file by its path. Any thread may call it; nothing is ever written or shown."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """What was typed for `key`; None while it has to be asked for."""
        with self._lock:
            return self._known.get(key)

    def put(self, key: str, text: str) -> None:
        """Remember what was typed."""
        with self._lock:
            self._known[key] = text

    def wrong(self, key: str, text: str) -> None:
        """`text` does not open the key: forget it, unless something else was typed meanwhile."""
        with self._lock:
            if self._known.get(key) == text:
                del self._known[key]

    def forget(self, key: str) -> None:
        """It is not needed any more."""
        with self._lock:
            self._known.pop(key, None)

    def __repr__(self) -> str:
        return "<Secrets>"

    def __reduce__(self) -> str:
        raise TypeError("passphrases are not copied or written")
