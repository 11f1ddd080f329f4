"""A connection made of local processes: a double of SSH for unit tests, with real shells, Pythons and pipes."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ugro_tui.nodes.base import NodeError, NodeLost, NodeSilent, Ran
from ugro_tui.nodes.carriers import Sftp


class PipeStream:
    """A process's pipes as a stream."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.sent = self.received = 0
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._wake, self._closing = os.pipe()
        self._closed = False

    def send(self, data: bytes, deadline: float) -> None:  # noqa: ARG002
        """As `Stream.send`; pipes of this machine are taken to be quick."""
        self.sent += len(data)
        try:
            self._in.write(data)
            self._in.flush()
        except (OSError, ValueError):
            raise NodeLost("the pipe is closed") from None

    def receive(self, most: int, deadline: float) -> bytes:
        """As `Stream.receive`."""
        if self._closed:
            raise NodeLost("closed")
        seconds = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self._out.fileno(), self._wake], [], [], seconds)
        if self._wake in ready:
            raise NodeLost("closed")
        if not ready:
            raise NodeSilent("nothing came")
        data = os.read(self._out.fileno(), most)
        self.received += len(data)
        return data

    def close(self) -> None:
        """Kill it."""
        if not self._closed:
            self._closed = True
            os.write(self._closing, b"x")
            self.process.kill()
            self.process.wait()


@dataclass
class PipeConnection:
    """Runs command lines in `shell` here, as sshd does in the user's login shell there."""

    env: dict[str, str]
    shell: Sequence[str] = ("/bin/bash", "-c")
    files: Sftp | None = None
    alive: bool = True
    streams: list[PipeStream] = field(default_factory=list)

    def execute(self, command: str, deadline: float) -> PipeStream:  # noqa: ARG002
        """As `Connection.execute`."""
        pipe = subprocess.PIPE
        argv = [*self.shell, command]
        process = subprocess.Popen(argv, env=self.env, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        self.streams.append(PipeStream(process))
        return self.streams[-1]

    def run(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Ran:
        """As `Connection.run`."""
        seconds = max(0.0, deadline - time.monotonic())
        line = [*self.shell, shlex.join(argv)]
        done = subprocess.run(line, input=stdin, env=self.env, capture_output=True, timeout=seconds, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    def sftp(self, deadline: float) -> Sftp:  # noqa: ARG002
        """As `Connection.sftp`."""
        if self.files is None:
            raise NodeError("no sftp")
        return self.files

    def close(self) -> None:
        """As `Connection.close`."""
        self.alive = False
        for stream in self.streams:
            stream.close()


def piped(home: Path, **changes: str) -> Callable[[float], PipeConnection]:
    """A `connect` for a RemoteNode; with `changes` to an environment that holds only a PATH and a HOME."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), **changes}
    return lambda _deadline: PipeConnection(env)
