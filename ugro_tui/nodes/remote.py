"""A node reached over SSH: its helper asked, or SFTP where no helper can run."""

from __future__ import annotations

import secrets
import shlex
import threading
import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ugro_tui.core.health import NodeHealth
from ugro_tui.nodes.asking import Clocks, HelperLink, Link
from ugro_tui.nodes.base import Ask, NodeBusy, NodeError, NodeLied, NodeLost, NodeSilent, NodeUnfit, Probe, Ran, Reply
from ugro_tui.nodes.bootstrap import command
from ugro_tui.nodes.carriers import Connection, Sftp, Stream
from ugro_tui.nodes.channel import Channel, NoHelper
from ugro_tui.nodes.local import refused
from ugro_tui.nodes.pace import Pace
from ugro_tui.nodes.sftp import SftpLink
from ugro_tui.nodes.sftp_root import where_is

CONNECT_SECONDS = 8.0
"""How long a connection may take until the node can be read."""

CLOSING_SECONDS, CLOSING_TRIES = 1.0, 20
"""How long the end of a session may take to arrive at the node."""


class RemoteNode:
    """The metrics directory `root` (it may begin with `~`) of a machine. The first look connects.

    `connect` is given a deadline by `monotonic`, and raises NodeError. One thread at a time calls all but `close`,
    which is for good.
    """

    def __init__(
        self,
        name: str,
        root: str,
        connect: Callable[[float], Connection],
        *,
        monotonic: Callable[[], float] = clock.monotonic,
        time: Callable[[], float] = clock.time,
    ) -> None:
        self._name = name
        self._root = root
        self._connect = connect
        self._clocks = Clocks(monotonic, time)
        self._pace = Pace()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._connection: Connection | None = None
        self._link: Link | None = None
        self._via = ""

    @property
    def name(self) -> str:
        """How users call it."""
        return self._name

    @property
    def via(self) -> str:
        """`helper` or `sftp`, as it was read last; empty before the first answer."""
        return self._via

    @property
    def round_trip(self) -> float | None:
        """Seconds that the last answer took, as far as it came in time; None before the first."""
        return self._clocks.round_trip

    @property
    def clock_offset(self) -> float | None:
        """Seconds by which the node's clock is ahead of this machine's, to half a round trip; None: not known."""
        return self._clocks.offset

    @property
    def cap(self) -> int:
        """Bytes of data that the next look asks for: what the link carries in about two seconds."""
        return self._pace.cap

    def poll(self, ask: Ask) -> Reply:
        """What is new; see `Node.poll`. After NodeSilent the next call goes on waiting for the same answer.

        Raises:
            NodeMissing: there is no such directory.
            NodeDenied: it may not be read, or is no directory.
            NodeSilent: no whole answer within 5 s.
            NodeError: it was not reached, or what came is no answer.
        """
        with self._mended():
            reader = self._reader()
            reply = reader.poll(ask)
            self._via = reader.via
            return reply

    def probe(self) -> Probe:
        """How the node is; see `Node.probe`."""
        with self._mended():
            probe = self._reader().probe()
            self._via = self._reader().via
            return probe

    def health(self) -> NodeHealth:
        """How the machine is; see `Node.health`."""
        with self._mended():
            return self._reader().health(self._name)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = 30.0) -> Ran:
        """Run a command and wait for its end; see `Node.run`."""
        with self._mended():
            return self._connected(self._connecting()).run(argv, stdin, self._clocks.monotonic() + seconds)

    def open(self, argv: Sequence[str], *, seconds: float = 30.0) -> Stream:
        """Start a program; see `Host.open`."""
        with self._mended():
            connection = self._connected(self._connecting())
            return connection.execute(shlex.join(argv), self._clocks.monotonic() + seconds)

    def close(self) -> None:
        """Let go of the connection, for good; a look that is under way ends with NodeLost."""
        with self._lock:
            self._closed.set()
        self._drop()

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """Names the node in errors, and lets go of a connection that is of no more use."""
        try:
            yield
        except NodeError as error:
            if isinstance(error, NodeLied | NodeLost) or not self._alive() or (self._link and self._link.over):
                self._drop()
            if self._closed.is_set():
                raise NodeLost(f"{self._name}: the connection was closed") from None
            raise self._named(error) from None
        except OSError as error:
            raise refused(error, str(error.filename or self._root), f" on {self._name}") from None

    def _named(self, error: NodeError) -> NodeError:
        """The same error with the node's name in its text, where it is one of the reading."""
        text = str(error)
        if self._name in text or type(error) not in _REMEDIES:
            return error
        return type(error)(f"{self._name}: {text}: {_REMEDIES[type(error)]}")

    def _alive(self) -> bool:
        return self._connection is not None and self._connection.alive

    def _reader(self) -> Link:
        if self._link is not None and self._alive():
            return self._link
        if self._link is not None:
            self._drop()
        deadline = self._connecting()
        connection = self._connected(deadline)
        try:
            self._link = self._by_helper(connection, deadline) or self._by_sftp(connection, deadline)
        except NodeError:
            self._drop()
            raise
        return self._link

    def _connecting(self) -> float:
        """Until when a connection may take that is made now."""
        return self._clocks.monotonic() + CONNECT_SECONDS

    def _connected(self, deadline: float) -> Connection:
        """The connection, made anew where it has ended."""
        with self._lock:
            known = self._connection
        if known is not None and known.alive:
            return known
        self._drop()
        if self._closed.is_set():
            raise NodeLost("the connection was closed")
        connection = self._connect(deadline)
        with self._lock:
            closed = self._closed.is_set()
            self._connection = None if closed else connection
        if closed:
            connection.close()
            raise NodeLost("the connection was closed")
        return connection

    def _by_helper(self, connection: Connection, deadline: float) -> HelperLink | None:
        mark = secrets.token_hex(8)
        channel: Channel | None = None
        try:
            stream = connection.execute(command(mark), deadline)
            channel = Channel(stream, mark, self._clocks.monotonic)
            channel.start(deadline)
        except (NodeBusy, NodeSilent, NodeLied):
            raise
        except NodeError:
            if not connection.alive:
                raise
            if channel is not None:
                channel.close()
            return None
        return HelperLink(self._root, channel, self._pace, self._clocks)

    def _by_sftp(self, connection: Connection, deadline: float) -> SftpLink:
        try:
            sftp = _sftp(connection, deadline)
            root, offset = where_is(self._root, connection, sftp, self._clocks, deadline)
        except (NodeBusy, NodeSilent):
            raise
        except NodeError:
            if not connection.alive:
                raise
            raise NodeUnfit(
                f"{self._name} can be logged in to, but runs no Python >= 3.6 for us and has no SFTP: install one "
                "there (Debian: apt-get install python3), or allow the sftp subsystem"
            ) from None
        self._clocks.offset = offset
        return SftpLink(root, sftp, self._pace, self._clocks)

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection, self._link = self._connection, None, None
        if connection is not None:
            connection.close()


def _sftp(connection: Connection, deadline: float) -> Sftp:
    """An SFTP session. Where a node allows one session (MaxSessions), the helper's has to have ended there first."""
    for _ in range(CLOSING_TRIES):
        try:
            return connection.sftp(deadline)
        except NodeBusy:
            threading.Event().wait(CLOSING_SECONDS / CLOSING_TRIES)
    return connection.sftp(deadline)


_REMEDIES = {
    NodeLied: "look at what runs there (doctor), the connection was closed",
    NodeLost: "the next look connects again",
    NoHelper: "the next look connects again",
    NodeSilent: "the node or its network is busy or gone; it is asked again",
}
