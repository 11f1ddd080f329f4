"""A program that stays on a node while we ask it: started with the first question, answered in the same session."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from ugro_tui.nodes.base import NodeError, NodeLied, NodeLost, NodeSilent, NodeUnfit
from ugro_tui.nodes.bootstrap import NO_PYTHON, argv_of
from ugro_tui.nodes.carriers import Host, Stream

MAX_NOISE = 1 << 16
"""Bytes that may stand before an answer: what login scripts print."""

MAX_ANSWER = 8 << 20
"""Bytes of an answer that are believed."""

SILENT_SECONDS = 10.0
"""How long a program that has answered before may send nothing at all: while it works it sends empty lines."""

_RECEIVE = 1 << 17
_LENGTH = re.compile(rb"(\d{1,10})\n")


class Answerer:
    """Asks `program` (packed for `argv_of`) on a node. A question is bytes that tell where they end; an answer stands
    behind a mark and its length. One thread at a time asks. What is asked may be asked twice.
    """

    def __init__(self, node: Host, program: Callable[[], bytes]) -> None:
        self._node = node
        self._program = program
        self._talk: _Talk | None = None

    def ask(self, question: bytes, seconds: float) -> bytes:
        """The answer. Where the program has ended meanwhile, with its connection, it is started and asked anew.

        Raises:
            NodeUnfit: no Python runs it there.
            NodeSilent: no whole answer within so many seconds; the next question starts it anew.
            NodeLied: what comes is no answer.
            NodeError: the node cannot be reached.
        """
        deadline = time.monotonic() + seconds
        if self._talk is not None:
            with suppress(NodeLost):
                return self._asked(self._talk, b"", question, deadline)
        program, mark = self._program(), secrets.token_hex(8)
        self._talk = _Talk(self._node.open(argv_of(program, mark), seconds=seconds), mark.encode())
        return self._asked(self._talk, program, question, deadline)

    def close(self) -> None:
        """End the program; any thread may."""
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.close()

    def _asked(self, talk: _Talk, before: bytes, question: bytes, deadline: float) -> bytes:
        try:
            return talk.ask(before + question, deadline)
        except NodeError as error:
            self.close()
            raise type(error)(f"{self._node.name}: {error}") from None


class _Talk:
    """One session of the program. `mark` is what each answer begins with."""

    def __init__(self, stream: Stream, mark: bytes) -> None:
        self.close = stream.close
        self._stream = stream
        self._mark = mark
        self._buffer = bytearray()
        self._answered = False

    def ask(self, words: bytes, deadline: float) -> bytes:
        """Send the words; the answer. Raises NodeError."""
        with suppress(NodeLost):  # it may end without reading all: what it said tells why
            self._stream.send(words, deadline)
        while (answer := self._answer()) is None:
            piece = self._received(deadline)
            if not piece:
                self._ended()
            self._buffer += piece
        self._answered = True
        return answer

    def _received(self, deadline: float) -> bytes:
        quiet = time.monotonic() + SILENT_SECONDS
        silent = self._answered and quiet < deadline
        try:
            return self._stream.receive(_RECEIVE, quiet if silent else deadline)
        except NodeSilent:
            why = f"no sign of life for {SILENT_SECONDS:.0f} s: is it frozen?" if silent else "no answer in time:"
            raise NodeSilent(f"{why} look at the node (ugro-tui doctor)") from None

    def _ended(self) -> None:
        if self._answered:
            raise NodeLost("the program that was asked has ended")
        raise NodeUnfit("it runs no Python >= 3.6 for us: install one (Debian: apt-get install python3)")

    def _answer(self) -> bytes | None:
        """The answer that has come whole."""
        begin, _, rest = self._buffer.partition(self._mark)
        if len(begin) > MAX_NOISE + len(self._mark):
            raise NodeLied("it prints without end where an answer was due: look at what its login scripts print")
        if rest.startswith(NO_PYTHON):
            self._ended()
        length = _LENGTH.match(rest)
        if length is None:
            return None
        size = int(length[1])
        if size > MAX_ANSWER:
            raise NodeLied(f"it announces an answer of {size:,} bytes")
        if len(rest) < length.end() + size:
            return None
        self._buffer.clear()
        return bytes(rest[length.end() : length.end() + size])
