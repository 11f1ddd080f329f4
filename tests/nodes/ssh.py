"""Short words for the tests of SSH: connections to machines of a fleet, and servers that are none."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.sshd import LOOPBACK, Fleet, Machine
from ugro_tui.nodes.connection import SshConnection
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.nodes.sshconfig import SshSettings, settings_of
from ugro_tui.nodes.transport import connect


def soon(seconds: float = 10.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def settings(fleet: Fleet, machine: Machine, **changes: Any) -> SshSettings:
    """How the machine is reached, with changes; no agent unless one is named."""
    return replace(settings_of(machine.name, fleet.ssh_config), **{"agent": "", **changes})


def reach(fleet: Fleet, machine: Machine, secrets: Secrets | None = None, **changes: Any) -> SshConnection:
    """Connect."""
    return connect(settings(fleet, machine, **changes), secrets or Secrets(), soon())


def says(connection: SshConnection, line: str = "echo well") -> str:
    """What a shell line writes there."""
    return connection.run(["sh", "-c", line], b"", soon()).out.decode().strip()


@contextmanager
def agent(folder: Path, *keys: Path) -> Iterator[str]:
    """A real ssh-agent that holds these keys; its socket."""
    path = str(folder / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not os.path.exists(path):
            threading.Event().wait(0.005)
        for key in keys:
            env = {**os.environ, "SSH_AUTH_SOCK": path}
            subprocess.run(["ssh-add", "-q", key], env=env, check=True, stdin=subprocess.DEVNULL)
        yield path
    finally:
        process.kill()
        process.wait()


@contextmanager
def listener(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that is no sshd: `answer` is called with each connection, in a thread of its own. Its port."""
    server = socket.create_server((LOOPBACK, 0))
    taken: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError):
            answer(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                taken.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        for end in (server, *taken):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        thread.join(5)


def open_files() -> int:
    """Descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))
