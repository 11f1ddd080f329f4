"""A double of a node whose helper says what a test wants, when it wants, by the test's clock; its files are real."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.writing import Clock
from ugro_tui.core.layout import node_layout
from ugro_tui.nodes import helper_frame
from ugro_tui.nodes.base import NodeError, NodeLost, NodeSilent, Ran
from ugro_tui.nodes.bootstrap import program
from ugro_tui.nodes.carriers import Sftp
from ugro_tui.nodes.helper_files import Shelves

Header = dict[str, Any]


@dataclass
class Puppet:
    """The stream of a helper and the connection that it came with."""

    clock: Clock
    bend: Callable[[Header, list[bytes]], tuple[Header, list[bytes]]] = lambda header, data: (header, data)
    """Changes what a reply says."""
    carry: Callable[[bytes], list[tuple[float, bytes]]] = lambda frame: [(0.0, frame)]
    """Seconds from the question, and what then arrives, of a whole frame."""
    hello: Callable[[bytes], bytes] = lambda frame: frame
    alive: bool = True
    requests: list[Header] = field(default_factory=list)
    connected: int = 0
    ran: list[Sequence[str]] = field(default_factory=list)
    _shelves: Shelves = field(default_factory=lambda: Shelves(node_layout()))
    _arriving: list[tuple[float, bytes]] = field(default_factory=list)

    def connect(self, _deadline: float) -> Puppet:
        """For a RemoteNode."""
        self.connected += 1
        self.alive = True
        return self

    def execute(self, command: str, deadline: float) -> Puppet:
        """As `Connection.execute`."""
        found = re.search(r"\" ([0-9a-f]{16});", command)
        assert found is not None
        assert deadline > self.clock.now
        self._mark, self._context, self._received = found.group(1).encode(), b"", b""
        self._text = b""
        self._header = json.dumps({"version": helper_frame.VERSION, "python": "3.9"}).encode()
        self._arriving = [(self.clock.now, self.hello(self._frame(self._header, [])))]
        return self

    def send(self, data: bytes, _deadline: float) -> None:
        """As `Stream.send`."""
        self._received += data
        if self._received.startswith(program()):
            self._received = self._received[len(program()) :]
        if self._received:
            size = struct.unpack(">I", self._received[:4])[0]
            assert len(self._received) == size + 4
            text = self._text
            if size:
                text = helper_frame.unpack(self._received[4:], self._context + self._header, 1 << 24)
            self._text = text
            self._received, self._context = b"", self._header + text
            self.requests.append(json.loads(text))
            header, parts = self.bend(*helper_frame.answered(self._shelves, self.requests[-1]))
            self._header = json.dumps(header).encode()
            arriving = self.carry(self._frame(self._header, parts))
            self._arriving += [(self.clock.now + at, piece) for at, piece in arriving]

    def receive(self, most: int, deadline: float) -> bytes:
        """As `Stream.receive`; time passes until something comes."""
        if not self.alive:
            raise NodeLost("closed")
        if not self._arriving or self._arriving[0][0] > deadline:
            self.clock.now = max(self.clock.now, deadline)
            raise NodeSilent("nothing came")
        at, piece = self._arriving.pop(0)
        self.clock.now = max(self.clock.now, at)
        if len(piece) > most:
            self._arriving.insert(0, (at, piece[most:]))
        return piece[:most]

    def run(self, argv: Sequence[str], _stdin: bytes, _deadline: float) -> Ran:
        """As `Connection.run`."""
        self.ran.append(argv)
        return Ran(0, b"out", b"")

    def sftp(self, _deadline: float) -> Sftp:
        """As `Connection.sftp`."""
        raise NodeError("no such subsystem")

    def close(self) -> None:
        """As `Connection.close`."""
        self.alive = False

    def _frame(self, header: bytes, parts: list[bytes]) -> bytes:
        return helper_frame.frame(self._mark, helper_frame.pack(header, self._context), parts)


def dripping(seconds: float, size: int) -> Callable[[bytes], list[tuple[float, bytes]]]:
    """A link that carries `size` bytes each `seconds`."""

    def carry(frame: bytes) -> list[tuple[float, bytes]]:
        starts = range(0, len(frame), size)
        return [(seconds * (turn + 1), frame[start : start + size]) for turn, start in enumerate(starts)]

    return carry


def jobs_below(home: Path) -> Path:
    """A metrics directory in a home."""
    folder = home / "jobs"
    folder.mkdir()
    return folder
