"""A program's standard input and output over one SSH channel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ugro_tui.nodes.base import NodeLost, NodeSilent, Ran
from ugro_tui.nodes.carriers import CAP_OF_RUN
from ugro_tui.nodes.sockets import stalled_at, writing_until

_PIECE = 32_000
_RECEIVE = 1 << 17
_CLOSING_SECONDS = 0.5
_TURN_SECONDS = 0.05


class ChannelStream:
    """A channel of paramiko's as a `Stream`. What the program writes to its standard error is read and dropped.

    An undrained standard error would use up the channel's window, and so stop the standard output.
    """

    def __init__(self, channel: Any, clock: Callable[[], float] = time.monotonic, *, keep_errors: bool = False) -> None:
        self.errors = bytearray()
        self._channel = channel
        self._clock = clock
        self._keep = CAP_OF_RUN if keep_errors else 0
        self._news = threading.Event()
        self._closed = False
        channel.in_buffer.set_event(self._news)
        channel.in_stderr_buffer.set_event(self._news)

    @property
    def closed(self) -> bool:
        """Whether it was closed on this side."""
        return self._closed

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it; see `Stream.send`."""
        place = 0
        while place < len(data):
            place += self.send_some(data[place : place + _PIECE], deadline)

    def send_some(self, data: bytes, deadline: float) -> int:
        """Send a part of it, as large as the other side will take now.

        Raises:
            NodeSilent, NodeLost: as `Stream.send`.
        """
        left = max(0.001, deadline - self._clock())
        try:
            with writing_until(time.monotonic() + left):
                self._channel.settimeout(left)
                sent: int = self._channel.send(data)
        except TimeoutError:
            raise NodeSilent("the node takes no more data") from None
        except (OSError, EOFError):
            if self._clock() >= deadline:
                raise NodeSilent("the node takes no more data") from None
            raise NodeLost("the connection has ended") from None
        if sent == 0:
            raise NodeLost("the program takes no more input")
        return sent

    def writable(self) -> bool:
        """Whether the other side takes data now."""
        return bool(self._channel.closed or self._channel.send_ready())

    def receive(self, most: int, deadline: float) -> bytes:
        """What has come, at least one byte; see `Stream.receive`. After the deadline, what had come by then."""
        with writing_until(time.monotonic() + max(0.001, deadline - self._clock())):
            if not self.wait(deadline):
                raise NodeSilent("nothing was heard in time")
            return self.taken(max(1, most))

    def wait(self, deadline: float) -> bool:
        """Whether by the deadline something came, or the end."""
        while True:
            self._news.clear()  # before looking: what comes after sets it again
            if self._channel.recv_ready():
                return True
            ended = self._closed or self._channel.eof_received or self._channel.closed
            taken = self._take_errors()  # after looking for the end: none come behind it
            if ended:
                return True
            # Taking the last of them cleared the event, also where output had set it meanwhile: paramiko does that.
            if taken and self._clock() < deadline:
                continue
            if not self._news.wait(max(0.0, deadline - self._clock())):
                return bool(self._channel.recv_ready())

    def end_input(self) -> None:
        """The program reads no more."""
        with suppress(OSError, EOFError), writing_until(time.monotonic() + _CLOSING_SECONDS):
            self._channel.shutdown_write()

    def exit_code(self, deadline: float) -> int:
        """How the program ended; -1 where it was killed by a signal.

        Raises:
            NodeSilent: not by the deadline.
        """
        if not self._channel.status_event.wait(max(0.0, deadline - self._clock())):
            raise NodeSilent("the command did not end in time")
        code: int = self._channel.exit_status
        return code

    def close(self) -> None:
        """End it; any thread may."""
        self._closed = True
        with suppress(OSError, EOFError), writing_until(time.monotonic() + _CLOSING_SECONDS):
            self._channel.close()
        self._news.set()

    def taken(self, most: int) -> bytes:
        """What has come, without waiting; as `receive` once `wait` says so."""
        ended = self._channel.eof_received  # before looking: what came before the end is not lost
        if self._channel.recv_ready():
            try:
                data: bytes = self._channel.recv(most)
            except (OSError, EOFError):
                raise NodeLost("the connection has ended") from None
            return data
        if self._closed or not ended:
            raise NodeLost("the connection has ended")
        return b""

    def _take_errors(self) -> bool:
        """Whether there were any."""
        taken = False
        with suppress(OSError, EOFError):
            while self._channel.recv_stderr_ready():
                taken = True
                data = self._channel.recv_stderr(_RECEIVE)
                self.errors += data[: max(0, self._keep - len(self.errors))]
        return taken


def run_to_end(stream: ChannelStream, stdin: bytes, deadline: float, clock: Callable[[], float]) -> Ran:
    """Feed a program, and gather what it writes until it ends; both outputs are cut at `CAP_OF_RUN`.

    Raises:
        NodeSilent: it did not end by the deadline.
        NodeLost: the connection has ended.
    """
    out = bytearray()
    place = 0
    while place < len(stdin) and not _ended(stream, out, deadline, clock):
        with suppress(NodeLost):  # it may end without reading all: what it said shows whether the connection is gone
            place += _fed(stream, stdin[place : place + _PIECE], deadline, clock)
            continue
        break
    stream.end_input()
    while not _ended(stream, out, deadline, clock):
        if not stream.wait(deadline):
            raise NodeSilent("the command did not end in time")
    code = stream.exit_code(deadline)
    return Ran(code, bytes(out), bytes(stream.errors))


def _fed(stream: ChannelStream, piece: bytes, deadline: float, clock: Callable[[], float]) -> int:
    """Bytes that it took now. A short turn: it may have to be read before it takes more."""
    if not stream.writable():
        stream.wait(min(deadline, clock() + _TURN_SECONDS))
        return 0
    return stream.send_some(piece, deadline)


def _ended(stream: ChannelStream, out: bytearray, deadline: float, clock: Callable[[], float]) -> bool:
    """Take what is there; whether there will be no more."""
    while stream.wait(clock()):
        if clock() >= deadline:
            raise NodeSilent("the command did not end in time")
        data = stream.receive(_RECEIVE, deadline)
        if not data:
            return True
        out += data[: max(0, CAP_OF_RUN - len(out))]
    if clock() >= deadline:
        raise NodeSilent("the command did not end in time")
    return False


class HopPipe:
    """A channel to a further machine as paramiko uses a socket: see `sockets.Pipe`."""

    def __init__(self, stream: ChannelStream) -> None:
        self._stream = stream
        self._closed = False  # paramiko looks at it

    def arrives(self, seconds: float) -> bool:
        """Whether something can be read within the seconds, or it has ended."""
        return self._stream.wait(time.monotonic() + seconds)

    def recv(self, most: int) -> bytes:
        """At least one byte; empty when either side has closed."""
        try:
            self._stream.wait(time.monotonic() + threading.TIMEOUT_MAX / 2)
            return self._stream.taken(most)
        except NodeLost:
            return b""

    def send(self, data: bytes) -> int:
        """Some of it, at most until `sockets.stalled_at`."""
        try:
            return self._stream.send_some(data, stalled_at())
        except (NodeSilent, NodeLost) as error:
            self.close()
            raise BrokenPipeError(32, str(error)) from None

    def settimeout(self, _seconds: float | None) -> None:
        """Closing wakes it."""

    def close(self) -> None:
        """End it at once."""
        self._closed = True
        self._stream.close()

    def release(self) -> None:
        """Nothing else is held."""
        self.close()
