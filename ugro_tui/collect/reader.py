"""What is new of one job on one node: fetched, framed and decoded into a delivery for the keeper."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TypeAlias

from ugro_tui.collect.tail import Tail
from ugro_tui.core.decode import decode
from ugro_tui.core.documents import parse_error, parse_heartbeat, parse_manifest
from ugro_tui.core.layout import FileKind, JobFile, classify
from ugro_tui.core.records import Batch, ErrorReport, Heartbeat, Manifest, Tally
from ugro_tui.nodes.base import Chunk, Node

Content: TypeAlias = Batch | Heartbeat | Manifest | ErrorReport


@dataclass(frozen=True, slots=True)
class Piece:
    """One file's news. `at`: when it was last written, in the collector's monotonic seconds."""

    rank: int
    at: float
    content: Content


@dataclass(frozen=True, slots=True)
class Delivery:
    """The news of one job on one node, in the order in which it is to be applied.

    `epoch` is the reader's; a newer one means that everything is told again from the beginning. `denied` is all that
    cannot be read at present. `more`: what was read so far is not yet the whole, so judge nothing by it.
    """

    node: str
    job_id: str
    epoch: int
    pieces: tuple[Piece, ...] = ()
    denied: tuple[str, ...] = ()
    more: bool = False


_ORDER = (FileKind.MANIFEST, FileKind.METRICS, FileKind.HEARTBEAT, FileKind.ERROR)


class JobReader:
    """Keeps the place in every file of one job on one node. One thread calls it."""

    def __init__(self, node: Node, job_id: str, epoch: int) -> None:
        self.epoch = epoch
        self._node = node
        self._job_id = job_id
        self._tails: dict[str, Tail] = {}
        self._documents: dict[str, bytes] = {}
        self._last = Delivery(node.name, job_id, epoch)

    @property
    def found_files(self) -> bool:
        """Whether the job's directory ever held a file that is ours."""
        return bool(self._tails or self._documents)

    def read(self, now: float) -> tuple[Delivery, bool]:
        """What is known since the last call at `now` (monotonic seconds), and whether any of it is news.

        Raises:
            NodeError: the node could not be read.
        """
        fetch = self._node.fetch(self._job_id, {path: tail.offset for path, tail in self._tails.items()})
        known = [(chunk, classify(chunk.path)) for chunk in fetch.chunks]
        files = sorted(((file, chunk) for chunk, file in known if file), key=lambda pair: _ORDER.index(pair[0].kind))
        pieces, replaced = [], False
        for file, chunk in files:
            content, again = self._content(file, chunk)
            replaced |= again
            if content is not None:
                pieces.append(Piece(file.rank, now - chunk.age, content))
        more = fetch.more or replaced
        old, new = self._last, Delivery(self._node.name, self._job_id, self.epoch, tuple(pieces), fetch.denied, more)
        self._last = replace(new, pieces=())
        return new, bool(pieces) or (old.denied, old.more) != (new.denied, new.more)

    def _content(self, file: JobFile, chunk: Chunk) -> tuple[Content | None, bool]:
        if file.kind is FileKind.METRICS:
            return self._batch(chunk)
        digest = hashlib.blake2b(chunk.data, digest_size=16).digest()
        if self._documents.get(chunk.path) == digest:
            return None, False
        self._documents[chunk.path] = digest
        parse = {
            FileKind.HEARTBEAT: parse_heartbeat,
            FileKind.MANIFEST: parse_manifest,
            FileKind.ERROR: parse_error,
        }[file.kind]
        return parse(chunk.data), False

    def _batch(self, chunk: Chunk) -> tuple[Batch | None, bool]:
        tail = self._tails.setdefault(chunk.path, Tail())
        generation = tail.generation
        lines = tail.take(chunk)
        dropped = tail.take_too_long()
        batch = decode(lines) if lines else None
        if dropped:
            batch = batch or Batch()
            batch = Batch(batch.items, batch.tally + Tally(skipped=dropped))
        return batch, tail.generation != generation
