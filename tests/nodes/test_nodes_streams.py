"""A program's output over a channel, where what it writes comes at unlucky moments."""

from __future__ import annotations

import time
from typing import Any

from paramiko.buffered_pipe import BufferedPipe

from tests.nodes.ssh import soon
from ugro_tui.nodes.streams import ChannelStream


class Channel:
    """A double of paramiko's channel over its real buffers: output comes just before errors are taken from theirs."""

    eof_received = closed = False

    def __init__(self) -> None:
        self.in_buffer: Any = BufferedPipe()
        self.in_stderr_buffer: Any = BufferedPipe()

    def recv_ready(self) -> bool:
        """Whether there is output."""
        return bool(self.in_buffer.read_ready())

    def recv_stderr_ready(self) -> bool:
        """Whether there are errors."""
        return bool(self.in_stderr_buffer.read_ready())

    def recv_stderr(self, most: int) -> bytes:
        """Errors; before they are read, output comes."""
        self.in_buffer.feed(b"out")
        return bytes(self.in_stderr_buffer.read(most))


def test_output_that_comes_while_errors_are_taken_is_not_waited_for() -> None:
    channel = Channel()
    stream = ChannelStream(channel)
    channel.in_stderr_buffer.feed(b"error")
    began = time.monotonic()
    assert stream.wait(soon(60))
    assert time.monotonic() - began < 30
    assert not stream.errors


def test_output_that_comes_while_the_last_errors_are_taken_is_told_after_the_deadline_too() -> None:
    channel = Channel()
    stream = ChannelStream(channel)
    channel.in_stderr_buffer.feed(b"error")
    assert stream.wait(soon(-1))
