"""This side of the helper's framing: requests out, replies back, nothing believed and nothing lost by a deadline."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from ugro_tui.core.text import visible
from ugro_tui.nodes.base import NodeLied, NodeLost
from ugro_tui.nodes.bootstrap import NO_PYTHON, program
from ugro_tui.nodes.carriers import Stream
from ugro_tui.nodes.helper_frame import CONTEXT, FRAME, VERSION, pack, unpack

MAX_NOISE = 1 << 16
"""Bytes that may stand before a mark: what login scripts print."""

MAX_HEADER = 16 << 20
"""Bytes of a reply's header, compressed or not. The longest honest one tells of 100,000 files."""

_RECEIVE = 1 << 18
_MARK_LENGTH = 16


class NoHelper(NodeLost):
    """No helper runs on the node."""


class _Hello(msgspec.Struct):
    version: int
    python: str


class Channel:
    """The helper on one node, which answers one question at a time.

    `mark` is what each reply begins with. `monotonic` is the stream's clock.
    """

    def __init__(self, stream: Stream, mark: str, monotonic: Callable[[], float]) -> None:
        self.heard = monotonic()
        """When anything was received last, or asked."""
        self._stream = stream
        self._mark = mark.encode()
        self._monotonic = monotonic
        self._buffer = bytearray()
        self._asked = b""
        self._header = b""
        self._context = b""

    def start(self, deadline: float) -> str:
        """Hand the helper over and wait for its first words: the node's Python.

        Raises:
            NoHelper: the command ended, perhaps with its connection, or found no Python.
            NodeLied: another program answers.
            NodeSilent, NodeLost: as the names say.
        """
        try:
            self._stream.send(program(), deadline)
            header, _ = self.answer(0, deadline)
        except NodeLost as error:
            raise NoHelper(str(error)) from None
        try:
            hello = msgspec.json.decode(header, type=_Hello)
        except msgspec.DecodeError as error:
            raise NodeLied(f"the helper's first words are none: {visible(str(error), 200)}") from None
        if hello.version != VERSION:
            raise NodeLied(f"the helper says it is version {hello.version}, not {VERSION}")
        return visible(hello.python, 40)

    def ask(self, request: dict[str, Any], deadline: float) -> None:
        """Send a question; the answer to the one before must have been taken.

        Raises:
            NodeSilent: not sent before the deadline; the channel is of no more use.
            NodeLost: the connection has ended.
        """
        text = msgspec.json.encode(request)
        packed = b"" if text == self._asked else pack(text, self._context + self._header)
        self._asked = text
        self._context = (self._header + text)[-CONTEXT:]
        self.heard = self._monotonic()
        self._stream.send(struct.pack(">I", len(packed)) + packed, deadline)

    def answer(self, most: int, deadline: float) -> tuple[bytes, bytes]:
        """The reply's header and its data, `most` bytes of it at most.

        Raises:
            NodeSilent: not before the deadline; what has come is kept, and a later call goes on from there.
            NodeLied: it is no reply.
            NodeLost: the helper, or the connection, has ended.
        """
        while (found := self._reply(most)) is None:
            piece = self._stream.receive(_RECEIVE, deadline)
            if not piece:
                raise NodeLost("the helper ended")
            self.heard = self._monotonic()
            self._buffer += piece
        packed, data = found
        try:
            header = unpack(packed, self._context, MAX_HEADER)
        except ValueError as error:
            raise NodeLied(f"the reply's header cannot be unpacked: {visible(str(error), 200)}") from None
        self._header = header[-CONTEXT:]
        return header, data

    def close(self) -> None:
        """End the helper; any thread may."""
        self._stream.close()

    def _reply(self, most: int) -> tuple[bytes, bytes] | None:
        buffer = self._buffer
        if not self._at_mark():
            return None
        if buffer.startswith(NO_PYTHON, _MARK_LENGTH):
            raise NoHelper("no Python")
        start = _MARK_LENGTH + FRAME.size
        if len(buffer) < start:
            return None
        length, size, checksum = FRAME.unpack_from(buffer, _MARK_LENGTH)
        if length > MAX_HEADER or size > most:
            raise NodeLied(f"announces {length:,} + {size:,} bytes, where {most:,} were asked for")
        if len(buffer) < start + length + size:
            return None
        with memoryview(buffer) as whole, whole[start : start + length + size] as body:
            if zlib.crc32(body) != checksum:
                raise NodeLied("the reply's checksum is wrong: something else on the node writes between")
            found = bytes(body[:length]), bytes(body[length:])
        del buffer[: start + length + size]
        return found

    def _at_mark(self) -> bool:
        """Whether the buffer begins with a whole mark; what stands before it is dropped."""
        place = self._buffer.find(self._mark)
        if place > MAX_NOISE or (place < 0 and len(self._buffer) > MAX_NOISE + _MARK_LENGTH):
            raise NodeLied("prints without end where a reply was due: look at what its login scripts print")
        if place > 0:
            del self._buffer[:place]
        return place >= 0
