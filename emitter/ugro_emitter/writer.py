"""The queue between the thread that trains and the disk, and the thread that empties it."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any, Protocol, Union

from .encode import Encode, encode
from .losses import Losses
from .sink import AppendFile

CAPACITY = 10_000
"""Records that may wait: some 5 MB, or 16 minutes of a record each 0.1 s."""

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

    def __init__(self, file: AppendFile, losses: Losses, capacity: int = CAPACITY, encode: Encode = encode) -> None:
        # SimpleQueue.put never waits, and may be interrupted by a signal handler that emits.
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._file = file
        self._losses = losses
        self._capacity = capacity
        self._encode = encode
        self._taken = 0
        self._gap = 0
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

    def join(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the last record, then give up on what the disk has not taken."""
        self._thread.join(timeout)
        self._abandoned.set()
        return not self._thread.is_alive()

    def _queue_up(self, entry: Entry) -> None:
        # Completed by the writer: `seq` is the lines taken before plus the records refused before.
        record = entry if isinstance(entry, dict) else entry.record
        record["seq"] = self._losses.refused
        self._queue.put(entry)

    def _run(self) -> None:
        try:
            first = self._queue.get()
            if first is not None:
                self._file.preamble = self.write(first)
            self.drain()
            self._file.close()
        except Exception as error:  # noqa: BLE001 - outer edge of the thread: training must not see it
            self._losses.fail("writer thread", error)

    def drain(self) -> None:
        """Write what is queued, up to the last record."""
        take, write = self._queue.get, self.write
        while True:
            entry = take()
            if entry is None:
                return
            write(entry)

    def write(self, entry: Entry) -> bytes:
        """Write one record, however long that takes; returns its line, empty when there is none."""
        record = entry if type(entry) is dict else self._finished(entry)
        if record is None:
            return b""
        refused = record["seq"]
        if refused > self._gap:
            self._gap = refused
        record["seq"] = self._gap + self._taken
        self._taken += 1
        try:
            line = self._encode(record)
        except Exception as error:  # noqa: BLE001 - whatever the encoder thinks of a record, the next one goes on
            self._losses.unwrite()
            self._losses.fail("encoding a record", error)
            return b""
        try:
            self._file.append(line)
        except OSError as error:
            self._insist(line, error)
        return line

    def _finished(self, entry: Any) -> dict[str, Any] | None:
        try:
            wanted = entry.finish(self._closing)
        except Exception as error:  # noqa: BLE001 - a user's tensor may do anything when it is read
            self._losses.unwrite()
            self._losses.fail("completing a record", error)
            self._taken += 1
            return None
        return entry.record if wanted else None

    def _insist(self, line: bytes, error: OSError) -> None:
        """Try again until the disk takes the line; a closed emitter insists until it is abandoned."""
        pause = _FIRST_PAUSE
        while True:
            self._losses.fail("writing the metrics file", error)
            if self._pause(pause):
                self._losses.unwrite()
                return
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                self._file.append(line)
                return
            except OSError as again:
                error = again

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt; True: there is none, the emitter has given up."""
        if not self._closing.wait(seconds):
            return False
        return self._abandoned.wait(_CLOSING_PAUSE)
