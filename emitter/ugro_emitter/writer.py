"""The queue between the thread that trains and the disk, and the thread that empties it."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any, Protocol, Union

from .encode import encode_with_json, fastest_encoder
from .losses import Losses
from .sink import AppendFile

CAPACITY = 10_000
"""Records that may wait: some 5 MB, or 16 minutes of a record each 0.1 s."""

_REST = 0.05
"""Seconds that the writer leaves alone a queue that it has emptied: each time it wakes, a training loop in pure
Python waits for the interpreter's lock. A record that comes alone is written at once."""
_BLOCK = 64
"""Lines that one write takes at most when the queue holds many. Each write lets go of the interpreter's lock, and a
training loop in pure Python gives it back 5 ms later: line by line, the queue would fill at 200 records/s. (More lines
cost more: above 32 kB each join and write of them takes twice to four times as long a line.)"""
_LAST_COUNT = 0.2
"""Seconds at the end of `join` in which a disk that refuses is asked a last time for each record."""
_FIRST_PAUSE, _LONGEST_PAUSE, _CLOSING_PAUSE = 0.1, 5.0, 0.05
"""Seconds between attempts to write to a disk that refuses."""


class Unfinished(Protocol):
    """A record that needs something only the writer may wait for."""

    record: dict[str, Any]

    def finish(self, closing: threading.Event, /) -> bool:
        """Complete `record`, soon when `closing` is set; False: there is nothing to write after all."""


Entry = Union[dict[str, Any], Unfinished]


class Writer:
    """Takes records from any thread without a wait, and writes them on its own.

    When the queue is full the newest record is refused: what waits keeps its order, `start` stays first, and the
    gap in `seq` is in one place. A disk that refuses (full, read-only, gone) is tried again until it takes the line
    or the emitter is closed.
    """

    def __init__(self, file: AppendFile, losses: Losses, capacity: int = CAPACITY) -> None:
        # SimpleQueue.put never waits, and may be interrupted by a signal handler that emits.
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._file = file
        self._losses = losses
        self._capacity = capacity
        self._encode = fastest_encoder()
        self._taken = 0
        self._gap = 0
        self._lines: list[bytes] = []
        self._flying = 0
        self._ended = False
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ugro-writer", daemon=True)

    def start(self, first: Entry) -> None:
        """Begin to write, with the record that a file made anew in mid-run begins with too."""
        self._queue_up(first)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Queue one record, or refuse and count it."""
        if self._queue.qsize() < self._capacity:
            self._queue_up(entry)
        else:
            self._losses.refuse()

    def put_if_room(self, entry: Entry) -> None:
        """Queue what may turn out to be nothing to write: to refuse it is no loss."""
        if self._queue.qsize() < self._capacity:
            self._queue_up(entry)

    def finish(self, last: Entry) -> None:
        """Queue the last record, for which there is always room, and let the thread end after it."""
        self._queue_up(last)
        self._queue.put(None)
        self._closing.set()

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the last record, then give up on what the disk has not taken."""
        self._thread.join(timeout - _LAST_COUNT)
        self._abandoned.set()
        self._thread.join(_LAST_COUNT)

    def undecided(self) -> int:
        """Records given up on that a disk which hangs still has to let go of; they count as lost."""
        if not self._abandoned.is_set():
            return 0
        # Those in flight are missing in the queue, and the mark that ends it is one too many while it is in there.
        mark = 0 if self._ended else 1
        return self._queue.qsize() - mark + max(mark, self._flying)

    def _queue_up(self, entry: Entry) -> None:
        # Completed by the writer: `seq` is the lines taken before plus the records refused before.
        record = entry if isinstance(entry, dict) else entry.record
        record["seq"] = self._losses.refused
        self._queue.put(entry)

    def _run(self) -> None:
        for work in (self._write_first, self.drain):
            while True:
                try:
                    work()
                    break
                except Exception as error:  # noqa: BLE001 - outer edge of the thread: one record must not end it
                    self._losses.unwrite()
                    self._losses.fail("writing a record", error)
        self._file.close()

    def _write_first(self) -> None:
        first = self._queue.get()
        record = None if first is None else self._numbered(first)
        if record is not None:
            line = self._encoded(record)
            self._insist(line, 1)
            self._file.preamble = line

    def drain(self) -> None:
        """Write what is queued, up to the last record."""
        while self._write_batch(max(1, self._queue.qsize())):
            self._closing.wait(_REST)

    def _write_batch(self, count: int) -> bool:
        """Write the next `count` records, waiting for them where needed; False: the last one was among them."""
        # Every microsecond here is one that the training thread may have to wait for the interpreter's lock.
        take, number, encode, lines = self._queue.get, self._numbered, self._encode, self._lines
        for _ in range(count):
            entry = take()
            if entry is None:
                self._ended = True
                self._flush()
                return False
            record = number(entry)
            if record is not None:
                try:
                    lines.append(encode(record))
                except TypeError:
                    self._flush()
                    self._insist(self._encoded(record), 1)
            if len(lines) >= _BLOCK:
                self._flush()
        self._flush()
        return True

    def _flush(self) -> None:
        """Write the lines that are gathered."""
        if self._lines:
            self._insist(b"".join(self._lines), len(self._lines))
            self._lines.clear()

    def look(self) -> None:
        """Have the file checked before the next line; for any thread."""
        self._file.look()

    def _numbered(self, entry: Any) -> dict[str, Any] | None:
        """The record, complete and with its `seq`; None when there is nothing to write."""
        if type(entry) is not dict and not entry.finish(self._closing):
            return None
        record: dict[str, Any] = entry if type(entry) is dict else entry.record
        refused = record["seq"]
        if refused > self._gap:
            self._gap = refused
        record["seq"] = self._gap + self._taken
        self._taken += 1
        return record

    def _encoded(self, record: dict[str, Any]) -> bytes:
        """The record's line; by json where orjson refuses: a lone surrogate in a name."""
        try:
            return self._encode(record)
        except TypeError:
            return encode_with_json(record)

    def _insist(self, data: bytes, lines: int) -> None:
        """Write whole lines: try again until the disk takes them or the emitter gives up."""
        pause = _FIRST_PAUSE
        self._flying = lines
        while True:
            try:
                self._file.append(data, lines)
                break
            except OSError as error:
                self._losses.fail("writing the metrics file", error)
            if self._pause(pause):
                self._losses.unwrite(lines - data.count(b"\n", 0, self._file.give_up()))
                break
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._flying = 0

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt; True: there is none, the emitter has given up."""
        if not self._closing.wait(seconds):
            return False
        return self._abandoned.wait(_CLOSING_PAUSE)
