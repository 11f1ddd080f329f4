"""What is interrupted while it changes something takes that back first: signals become one exception, and only one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAID = b"\nugro-tui: interrupted: what was begun is ended everywhere, which takes seconds\n"


@contextmanager
def taking_back() -> Iterator[None]:
    """The first signal that would end this process raises an exception in what is done here; further ones wait for it.

    Signals that are ignored (nohup) stay so. On any other thread than the main one nothing is changed.

    Raises:
        KeyboardInterrupt: SIGINT came.
        SystemExit: another came; the code is 128 and its number.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        if len(heard) == 1:
            os.write(2, _SAID)  # print() may be what was interrupted
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = {one: signal.getsignal(one) for one in _ENDING}
    for number in [one for one, handler in before.items() if handler is not signal.SIG_IGN]:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
