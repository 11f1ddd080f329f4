"""What screens want to find again at the next start: sizes, sorts, filters, the theme, the last job."""

from __future__ import annotations

from typing import TypeVar

from ugro_tui.core.ports import Memory

T = TypeVar("T")


class Kept:
    """Values by name, over a memory that outlives the application; without one, they live as long as this."""

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory
        self._values: dict[str, object] = {} if memory is None else dict(memory.load())
        self._news: dict[str, object] = {}

    def keep(self, key: str, value: object) -> None:
        """Find this again under `key`; a value that JSON can hold."""
        if self._values.get(key) != value:
            self._values[key] = self._news[key] = value

    def get(self, key: str, default: T) -> T:
        """What was kept under `key`; `default` where nothing was, or what is of another type: anyone can edit files."""
        value = self._values.get(key)
        return value if isinstance(value, type(default)) else default

    def save(self) -> None:
        """Hand on to the memory what is new."""
        if self._news and self._memory is not None:
            self._memory.save(self._news)
        self._news = {}
