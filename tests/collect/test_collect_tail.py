"""Following one file through everything that can happen to it, against a model that simply remembers its bytes."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.writing import Clock, RankWriter
from ugro_tui.collect.tail import Tail
from ugro_tui.core import framing
from ugro_tui.nodes import local
from ugro_tui.nodes.base import Chunk, place_digest
from ugro_tui.nodes.local import LocalNode

SETTINGS = settings(max_examples=40, stateful_step_count=40, deadline=None, database=None)


class FileLife(RuleBasedStateMachine):
    """A metrics file that is written, cut, replaced and deleted between looks. Every line is unlike any other."""

    @initialize(chunk=st.sampled_from([7, 64, 1 << 20]))
    def begin(self, chunk: int) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.caps = mock.patch.object(local, "MAX_CHUNK", chunk)
        self.caps.start()
        self.writer = RankWriter(Path(self.directory.name) / "job")
        self.node = LocalNode(Path(self.directory.name), Clock().time)
        self.tail = Tail()
        self.numbers = itertools.count()
        self.generation = 0
        self.given = b""
        self.looked = True

    def teardown(self) -> None:
        self.caps.stop()
        self.directory.cleanup()

    def content(self) -> bytes:
        return self.writer.metrics.read_bytes() if self.writer.metrics.exists() else b""

    def lines(self, count: int) -> bytes:
        return b"".join(b'{"line": %d, "pad": "%s"}\n' % (next(self.numbers), b"x" * 40) for _ in range(count))

    @rule(count=st.integers(1, 30))
    def write_lines(self, count: int) -> None:
        self.writer.raw(self.lines(count))

    @rule(cut=st.integers(1, 60))
    def write_half_a_line(self, cut: int) -> None:
        self.writer.raw(self.lines(1)[:cut])

    @rule(keep=st.floats(0, 1))
    def truncate(self, keep: float) -> None:
        if self.writer.metrics.exists():
            self.writer.metrics.write_bytes(self.content()[: int(len(self.content()) * keep)])

    @rule(count=st.integers(1, 90), keep=st.floats(0, 1))
    def truncate_and_grow(self, count: int, keep: float) -> None:
        self.truncate(keep)
        self.write_lines(count)

    @rule(count=st.integers(0, 90))
    def replace(self, count: int) -> None:
        beside = self.writer.folder / "beside"
        self.writer.folder.mkdir(exist_ok=True)
        beside.write_bytes(self.lines(count))
        beside.rename(self.writer.metrics)

    @rule()
    def copy_over_itself(self) -> None:
        """As rsync and editors do: another inode, the same bytes."""
        if self.writer.metrics.exists():
            beside = self.writer.folder / "beside"
            beside.write_bytes(self.content())
            beside.rename(self.writer.metrics)

    @rule()
    def delete(self) -> None:
        self.writer.metrics.unlink(missing_ok=True)

    @rule()
    def look(self) -> None:
        """One fetch, as the poller does it."""
        chunks = self.node.fetch("job", {"metrics.jsonl": self.tail.offset}).chunks
        for chunk in chunks:
            lines = self.tail.take(chunk)
            if self.tail.generation != self.generation:
                self.generation, self.given = self.tail.generation, b""
            self.given += lines

    @rule()
    def look_until_all_is_read(self) -> None:
        more = True
        while more:
            before = self.tail.generation
            more = self.node.fetch("job", {"metrics.jsonl": self.tail.offset}).more
            self.look()
            more |= self.tail.generation != before
        content = self.content()
        if self.writer.metrics.exists():
            assert self.given == content[: content.rfind(b"\n") + 1]

    @invariant()
    def only_whole_lines_are_given(self) -> None:
        assert not self.given or self.given.endswith(b"\n")
        numbers = [line for line in self.given.split(b"\n") if line]
        assert len(numbers) == len(set(numbers))


TestFileLife = FileLife.TestCase
TestFileLife.settings = SETTINGS


def chunk(data: bytes, offset: int = 0, before: bytes = b"") -> Chunk:
    return Chunk("metrics.jsonl", offset + len(data), 0.0, place_digest(before, before), offset, data)


def test_a_chunk_from_the_middle_of_a_new_file_waits_for_its_beginning() -> None:
    tail = Tail()
    assert tail.take(chunk(b"one\ntwo\n")) == b"one\ntwo\n"
    assert tail.take(chunk(b"half a line\n", 8, b"another\n")) == b""
    assert (tail.offset, tail.generation) == (0, 1)
    assert tail.take(chunk(b"another\nhalf a line\n")) == b"another\nhalf a line\n"
    assert tail.generation == 1


def test_lines_dropped_for_their_length_are_told_once() -> None:
    tail = Tail()
    long = b"x" * (framing.MAX_LINE + 1)
    assert tail.take(chunk(long)) == b""
    assert (tail.take_too_long(), tail.take_too_long()) == (1, 0)
    assert tail.take(chunk(b"\nnext\n", len(long), long)) == b"next\n"
    assert tail.take_too_long() == 0
