"""Standard input and output of a program on this machine."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, TypeVar

from ugro_tui.nodes.base import NodeLost, NodeSilent

Result = TypeVar("Result")


class ProcessStream:
    """A program in a session of its own as a `Stream`; ctrl+c in our terminal does not reach it. One thread at a time
    uses it, but any may close it: then its input ends, and it is to end by itself.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=null, start_new_session=True, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._in.fileno(), False)

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it; see `Stream.send`."""
        rest = memoryview(data)
        while rest:
            sent = self._done(self._in, select.POLLOUT, deadline, lambda handle: os.write(handle, rest))  # noqa: B023
            rest = rest[sent:]

    def receive(self, most: int, deadline: float) -> bytes:
        """What has come; see `Stream.receive`."""
        return self._done(self._out, select.POLLIN, deadline, lambda handle: os.read(handle, most))

    def close(self) -> None:
        """End its input, and listen no more."""
        for pipe in (self._in, self._out):
            with suppress(OSError):
                pipe.close()
        self._process.poll()

    def _done(self, pipe: IO[bytes], event: int, deadline: float, work: Callable[[int], Result]) -> Result:
        try:
            waiting = select.poll()
            waiting.register(pipe, event)
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise NodeSilent("the program does not answer in time")
            return work(pipe.fileno())
        except (OSError, ValueError):
            raise NodeLost("the program has ended") from None
