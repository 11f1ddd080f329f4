"""Files that grow, followed from their beginning: what comes behind the place known of each is fed to its content."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from ugro_tui.collect.job_files import JobFiles, Lying
from ugro_tui.core.layout import FileKind
from ugro_tui.core.text import visible

SLICE: Final = 4 << 20
"""Bytes read in one turn: some 20 ms of decoding, then other inquiries have theirs."""

PIECE: Final = 1 << 20
"""Bytes read at once."""

WINDOW: Final = 64
"""Bytes before the place that must be as they were: else another file lies there, or it was written anew."""


class Content(Protocol):
    """What is made of the bytes of one file, in order."""

    def feed(self, data: bytes) -> None:
        """Take what follows in the file. Never raises on what a file may hold."""
        ...


Made = TypeVar("Made", bound=Content)


class Followed(Generic[Made]):
    """One file: its content so far. `version` changes with it."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self.content = make()
        self.version = 0
        self._make = make
        self._offset = 0
        self._before = b""
        self._stamp: tuple[int, int, int] | None = None

    def is_known(self, lying: Lying) -> bool:
        """Whether it was read to its end, and nothing has happened to it since."""
        return self._stamp == lying.stamp

    def read(self, handle: int, lying: Lying, most: int) -> int:
        """Take at most so many bytes more of the open file; how many were taken."""
        known = len(self._before)
        data = os.pread(handle, known + most, self._offset - known)
        if lying.size < self._offset or data[:known] != self._before:
            self._restart()
            return self.read(handle, lying, most)
        fresh = data[known:]
        if fresh:
            self.content.feed(fresh)
            self.version += 1
        self._offset += len(fresh)
        self._before = data[-WINDOW:]
        if self._offset >= lying.size or not fresh:
            self._stamp = lying.stamp
        return len(fresh)

    def _restart(self) -> None:
        self.content = self._make()
        self.version += 1
        self._offset, self._before, self._stamp = 0, b"", None


class Following(Generic[Made]):
    """The files of one kind of a job: of `rank`, or of at most `most` ranks that are evenly spread.

    One thread calls it. `make` makes the empty content of a file; `followed` has those of each rank, of earlier starts
    first.
    """

    def __init__(
        self,
        files: JobFiles,
        job_id: str,
        kind: FileKind,
        make: Callable[[], Made],
        *,
        rank: int | None = None,
        most: int = 64,
    ) -> None:
        self.followed: dict[int, list[Followed[Made]]] = {}
        self.ranks = 0
        """How many ranks have such files."""
        self.denied: tuple[str, ...] = ()
        """What could not be read when it was last tried, and why."""
        self._files = files
        self._job_id = job_id
        self._kind = kind
        self._make = make
        self._rank = rank
        self._most = most
        self._known: dict[int, dict[str | bytes, Followed[Made]]] = {}
        self._left: list[tuple[Followed[Made], Lying]] = []

    def read(self) -> bool:
        """Look at the files and take in what is new, `SLICE` bytes at the most; whether that was all.

        Raises:
            UgroError, OSError: the job's folder cannot be read.
        """
        if not self._left:
            self.denied = ()
            self._left = self._news()
        taken = 0
        while self._left and taken < SLICE:
            followed, lying = self._left.pop()
            try:
                with self._files.opened(lying.spot) as handle:
                    taken += followed.read(handle, lying, PIECE)
            except OSError as error:
                self._deny("/".join((*lying.spot.parts, lying.spot.name)), error)
            else:
                self._left += [] if followed.is_known(lying) else [(followed, lying)]
        return not self._left

    def _news(self) -> list[tuple[Followed[Made], Lying]]:
        """Look at which files there are now: those that are not as they were, the last to be read first."""
        spots = self._files.spots(self._job_id, self._kind)
        self.ranks = len(spots)
        chosen = spread(list(spots), self._most) if self._rank is None else [self._rank] * (self._rank in spots)
        before, self._known, news = self._known, {}, []
        for rank in chosen:
            try:
                lying = self._files.lying(spots[rank], self._kind)
            except OSError as error:
                self._deny(f"rank {rank}", error)
                continue
            known = before.get(rank, {})
            self._known[rank] = {one.key: known.get(one.key) or Followed(self._make) for one in lying}
            news += [(self._known[rank][one.key], one) for one in lying]
        self.followed = {rank: list(files.values()) for rank, files in self._known.items()}
        return [(followed, one) for followed, one in reversed(news) if not followed.is_known(one)]

    def _deny(self, what: str, error: OSError) -> None:
        self.denied += (f"{visible(what, 200)} cannot be read: {error.strerror or error}",)


def spread(ranks: Sequence[int], most: int) -> list[int]:
    """At most `most` of `ranks`, evenly spread, the first and the last among them."""
    if len(ranks) <= most:
        return list(ranks)
    return [ranks[place * (len(ranks) - 1) // (most - 1)] for place in range(most)]
