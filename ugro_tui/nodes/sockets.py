"""The byte pipes below SSH: a TCP connection, or a proxy command; never waited for beyond a deadline."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ugro_tui.core.text import visible
from ugro_tui.nodes.base import NodeSilent, NodeUnreachable

DEAD_SECONDS = 15
"""A peer that acknowledges nothing for so long is given up by the kernel."""

STALL_SECONDS = 15.0
"""A write that nobody set a deadline for is given up when the peer takes nothing for so long."""

_AHEAD = 1 << 14

_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPALIVE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
_Address = tuple[Any, ...]

_writing = threading.local()


class writing_until:
    """What this thread writes within gives up at the deadline (seconds of `time.monotonic`), and ends the pipe."""

    __slots__ = ("_before", "_deadline")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._before: float | None = None

    def __enter__(self) -> None:
        self._before = getattr(_writing, "deadline", None)
        _writing.deadline = self._deadline

    def __exit__(self, *_: object) -> None:
        _writing.deadline = self._before


def stalled_at() -> float:
    """Until when this thread's write may wait."""
    deadline: float | None = getattr(_writing, "deadline", None)
    return time.monotonic() + STALL_SECONDS if deadline is None else deadline


class Pipe:
    """A socket as paramiko uses one: `recv` waits without waking up in between, until `close` from any thread.

    One thread reads; it calls `release` when it reads no more: a descriptor that is closed while another thread waits
    on it may be given to someone else meanwhile.
    """

    def __init__(self, sock: socket.socket, ended: Callable[[], None] = lambda: None) -> None:
        self._socket = sock
        self._ended = ended
        self._lock = threading.Lock()
        self._released = False
        self._closed = False  # paramiko looks at it
        self._ahead = b""
        sock.setblocking(True)

    def arrives(self, seconds: float) -> bool:
        """Whether something can be read within the seconds, or the peer has closed. To be asked before `recv`."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def recv(self, most: int) -> bytes:
        """At least one byte; empty when either side has closed."""
        if self._closed:
            return b""
        # Paramiko asks for a packet's first bytes, then for the rest: one call of the system for both.
        data = self._ahead or self._socket.recv(max(most, _AHEAD))
        self._ahead = data[most:]
        return data[:most]

    def send(self, data: bytes) -> int:
        """Some of it; waits while the peer takes nothing, at most until `stalled_at`."""
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        # Part of a packet may have gone out already: nothing else can be sent after giving up.
        if self._closed or not poll.poll(max(0.0, stalled_at() - time.monotonic()) * 1000):
            self.close()
            raise BrokenPipeError(errno.EPIPE, "the peer takes nothing")
        return self._socket.send(data, socket.MSG_DONTWAIT) if not self._closed else 0

    def settimeout(self, _seconds: float | None) -> None:
        """Paramiko would wake up to see whether it was closed; here closing wakes it."""

    def close(self) -> None:
        """End it at once; `recv` and `send` return."""
        with self._lock:
            self._closed = True
            if not self._released:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Let go of the descriptor, and of what is at the other end."""
        self.close()
        with self._lock:
            if self._released:
                return
            self._released = True
        self._socket.close()
        self._ended()


def dial(host: str, port: int, deadline: float, name: str) -> Pipe:
    """A TCP connection to one of the host's addresses, in the resolver's order.

    Raises:
        NodeUnreachable: no such name, refused, no route.
        NodeSilent: no answer by the deadline.
    """
    addresses = _resolve(host, port, deadline, name)
    failure: OSError = TimeoutError()
    for place, (family, address) in enumerate(addresses):
        left = deadline - time.monotonic()
        try:  # an address that does not answer leaves time for the others
            return Pipe(_connected(family, address, left / (len(addresses) - place)))
        except OSError as error:
            failure = error
    where = f"{name}: {visible(host, 200)} port {port}"
    if isinstance(failure, TimeoutError):
        raise NodeSilent(f"{where} does not answer: is the machine up, and is no firewall in between?")
    reason = os.strerror(failure.errno) if failure.errno else str(failure)
    raise NodeUnreachable(f"{where} cannot be reached: {reason}: is sshd running there, is HostName right?")


def _connected(family: int, address: _Address, seconds: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(max(0.001, seconds))
        sock.connect(address)
        _tune(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _tune(sock: socket.socket) -> None:
    """Small questions at once, and dead peers found: by the kernel, for a frozen one still acknowledges."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = [(word, value) for word, value in _KEEPALIVE if hasattr(socket, word)]  # macOS has some, others differ
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        options.append(("TCP_USER_TIMEOUT", DEAD_SECONDS * 1000))
    for word, value in options:
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, word), value)


def _resolve(host: str, port: int, deadline: float, name: str) -> list[tuple[int, _Address]]:
    """The host's addresses. The resolver knows no deadline: it is left behind where it takes too long."""
    with suppress(OSError, UnicodeError):
        return _looked_up(host, port, socket.AI_NUMERICHOST)
    found: list[list[tuple[int, _Address]] | OSError] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            found.append(_looked_up(host, port, 0))
        except (OSError, UnicodeError) as error:
            found.append(error if isinstance(error, OSError) else OSError(str(error)))
        done.set()

    threading.Thread(target=look_up, daemon=True, name="resolver").start()
    if not done.wait(max(0.0, deadline - time.monotonic())):
        raise NodeSilent(f"{name}: the name {visible(host, 200)} is not resolved in time: does the name server answer?")
    answer = found[0]
    if isinstance(answer, OSError):
        why = visible(answer.strerror or str(answer), 200)
        raise NodeUnreachable(
            f"{name}: there is no host {visible(host, 200)}: {why}: correct HostName or the node's name"
        )
    return answer


def _looked_up(host: str, port: int, flags: int) -> list[tuple[int, _Address]]:
    told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in told]


def proxied(command: str, name: str) -> Pipe:
    """The standard input and output of a shell command, as one pipe; the command ends with it.

    Raises:
        NodeUnreachable: it cannot be started.
    """
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        ours.close()
        raise NodeUnreachable(f"{name}: the ProxyCommand cannot be started: {error.strerror}") from None
    finally:
        theirs.close()
    return Pipe(ours, lambda: _end(process))


def _end(process: subprocess.Popen[bytes]) -> None:
    """The command and all that it started."""
    for number, seconds in ((signal.SIGTERM, 0.5), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
