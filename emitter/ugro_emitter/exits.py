"""How a process ends: normally, by an exception, or by an interrupt. No handler in Python is installed for signals.

A Python handler for SIGTERM runs only between two bytecodes: a rank that hangs in a collective would stop obeying
SIGTERM because of it.
"""

from __future__ import annotations

import atexit
import sys
import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, Optional

_LONGEST_MESSAGE = 2_000
_LONGEST_TRACEBACK = 100_000

OnExit = Callable[[Optional[BaseException]], None]


@dataclass(frozen=True)
class Ending:
    """What the `end` record says."""

    status: str
    """completed | failed | stopped"""
    error: dict[str, str] | None = None
    """`type` and `message`, of a failure."""


def ending_of(error: BaseException | None) -> Ending:
    """No exception and `sys.exit(0)` complete a run, Ctrl-C stops it, anything else is a failure."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return Ending("completed")
    if isinstance(error, KeyboardInterrupt):
        return Ending("stopped")
    return Ending("failed", {"type": type(error).__name__, "message": _text(error)[:_LONGEST_MESSAGE]})


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception class of the user's may fail to describe itself
        return "(the exception cannot be shown as text)"


def callstack_of(error: BaseException) -> str:
    """The traceback as text. It reads the source files, so it may block as long as their disk does."""
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))[-_LONGEST_TRACEBACK:]
    except Exception:  # noqa: BLE001 - as above
        return ""


class _Exits:
    """Tells the emitters that are still open how the process ends."""

    def __init__(self) -> None:
        self._open: list[OnExit] = []
        self._previous: Callable[..., Any] | None = None

    def watch(self, on_exit: OnExit) -> None:
        """Call `on_exit(error)` for an exception that nobody catches, `on_exit(None)` at a normal exit."""
        if not self._open:
            atexit.register(self._at_exit)
            self._previous, sys.excepthook = sys.excepthook, self._excepthook
        self._open.append(on_exit)

    def forget(self, on_exit: OnExit) -> None:
        if on_exit not in self._open:
            return
        self._open.remove(on_exit)
        if not self._open:
            atexit.unregister(self._at_exit)
            # Somebody may have chained a hook of their own after ours: then ours has to stay, and only passes on.
            if sys.excepthook == self._excepthook and self._previous is not None:
                sys.excepthook = self._previous

    def _at_exit(self) -> None:
        self._tell(None)

    def _tell(self, error: BaseException | None) -> None:
        for on_exit in list(self._open):
            on_exit(error)

    def _excepthook(self, kind: type[BaseException], error: BaseException, callstack: TracebackType | None) -> None:
        previous = self._previous or sys.__excepthook__
        try:
            self._tell(error)
        finally:
            previous(kind, error, callstack)


EXITS = _Exits()
