"""Following one file through everything that can happen to it, against a model that simply remembers its bytes."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.writing import Clock, RankWriter
from ugro_tui.collect.reader import JobReader
from ugro_tui.core import framing
from ugro_tui.core.framing import LineFramer
from ugro_tui.core.records import Batch
from ugro_tui.nodes import helper
from ugro_tui.nodes.base import Ask, Chunk, Known
from ugro_tui.nodes.local import LocalNode

SETTINGS = settings(max_examples=40, stateful_step_count=40, deadline=None, database=None)


class FileLife(RuleBasedStateMachine):
    """A metrics file that is written, cut, replaced and deleted between looks. Every line is unlike any other."""

    @initialize(chunk=st.sampled_from([7, 64, 1 << 20]))
    def begin(self, chunk: int) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.cap = chunk + helper.OVERHEAD
        self.writer = RankWriter(Path(self.directory.name) / "job")
        self.node = LocalNode(Path(self.directory.name), Clock().time)
        self.framer = LineFramer()
        self.known = Known()
        self.numbers = itertools.count()
        self.given = b""

    def teardown(self) -> None:
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
        self.ask()

    def ask(self) -> bool:
        """One question, as the follower asks it; whether there is more."""
        reply = self.node.poll(Ask({"job": {"metrics.jsonl": self.known}}, cap=self.cap))
        for chunk in reply.chunks:
            if chunk.offset != self.known.offset:
                assert chunk.offset == 0
                self.framer = LineFramer()
                self.given = b""
            self.given += self.framer.feed(chunk.data)
            self.known = Known(chunk.offset + len(chunk.data), chunk.place, "" if chunk.old else chunk.stamp)
        return reply.more

    @rule()
    def look_until_all_is_read(self) -> None:
        while self.ask():
            pass
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


def test_lines_dropped_for_their_length_are_told_once() -> None:
    reader, begin = JobReader("n1", "job", 0), 0
    told = []
    for data in (b"x" * (framing.MAX_LINE + 1), b"x", b"\nnext\n", b"last\n"):
        chunk = Chunk("job", "metrics.jsonl", 0, 0.0, "", begin, data)
        delivery, _ = reader.take([chunk], (), False, 0.0)
        told += [piece.content.tally.skipped for piece in delivery.pieces if isinstance(piece.content, Batch)]
        begin += len(data)
    assert told == [1, 1, 1]  # the long line, and each of those that are no records
