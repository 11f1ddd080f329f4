"""What is done over an SSH connection: programs and SFTP, each over a channel of its own."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ugro_tui.nodes.base import NodeError, NodeSilent, Ran
from ugro_tui.nodes.sftp_protocol import SftpSession
from ugro_tui.nodes.sockets import writing_until
from ugro_tui.nodes.streams import ChannelStream, run_to_end

BEGIN_SECONDS = 10.0
"""How long a server may take to begin a program, which costs it milliseconds: longer, and it is frozen."""


class Carrier(Protocol):
    """A connection to one machine, logged in. Times are seconds of `time.monotonic`."""

    def is_active(self) -> bool:
        """Whether it has not ended, as far as is known."""
        ...

    def opened(self, kind: str, to: tuple[str, int] | None, until: float) -> Any:
        """A new channel of paramiko's.

        Raises:
            NodeBusy, NodeSilent, NodeLost: as the names say.
        """
        ...

    def begin(self, channel: Any, kind: str, text: str, until: float) -> None:
        """Start a program in a channel.

        Raises:
            NodeError: the server refuses.
            NodeSilent, NodeLost: as the names say.
        """
        ...

    def end(self) -> None:
        """Close at once."""
        ...


class SshConnection:
    """An authenticated connection; see `wire.Connection`. `chain` holds those to the machines on the way, in order."""

    def __init__(self, chain: Sequence[Carrier], clock: Callable[[], float]) -> None:
        self._chain = chain
        self._clock = clock

    @property
    def alive(self) -> bool:
        """Whether it can still be used, as far as is known."""
        return all(carrier.is_active() for carrier in self._chain)

    def execute(self, command: str, deadline: float) -> ChannelStream:
        """Run a command line in the user's login shell; see `Connection.execute`."""
        return self._program("exec", command, deadline)

    def run(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Ran:
        """Run a command to its end; see `Connection.run`. The code is -1 where a signal killed it."""
        stream = self._program("exec", shlex.join(argv), deadline, keep_errors=True)
        try:
            return run_to_end(stream, stdin, deadline, self._clock)
        finally:
            stream.close()

    def sftp(self, deadline: float) -> SftpSession:
        """Open the SFTP subsystem; see `Connection.sftp`."""
        stream = self._program("subsystem", "sftp", deadline)
        try:
            return SftpSession(stream, deadline)
        except NodeError:
            stream.close()
            raise

    def close(self) -> None:
        """End it at once; any thread may."""
        for carrier in reversed(self._chain):
            carrier.end()

    def _program(self, kind: str, text: str, deadline: float, *, keep_errors: bool = False) -> ChannelStream:
        until = time.monotonic() + max(0.01, min(BEGIN_SECONDS, deadline - self._clock()))
        carrier = self._chain[-1]
        try:
            with writing_until(until):
                channel = carrier.opened("session", None, until)
                stream = ChannelStream(channel, self._clock, keep_errors=keep_errors)
                carrier.begin(channel, kind, text, until)
        except NodeSilent:
            self.close()  # a channel that opens later could not be found again
            raise
        return stream
