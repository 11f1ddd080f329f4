"""What is known of one job on one node: news are copied, framed and decoded into a delivery for the keeper."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ugro_tui.collect.mirror import Mirror, MirrorError, MirrorFull, MirrorMoved
from ugro_tui.collect.vitals import Vitals
from ugro_tui.core.decode import decode
from ugro_tui.core.documents import parse_error, parse_heartbeat, parse_manifest
from ugro_tui.core.framing import LineFramer
from ugro_tui.core.job import JobState
from ugro_tui.core.layout import FileKind, JobFile, classify
from ugro_tui.core.records import Batch, ErrorReport, Heartbeat, Manifest, Start, Tally, Vital
from ugro_tui.nodes.base import Chunk, Examined, Known, NodeLied

Content: TypeAlias = Batch | Heartbeat | Manifest | ErrorReport | Vital


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
    rewritten: int = 0
    """Metrics files that lie under the names of others now and do not begin as a run does."""
    gone: bool = False
    """Whether the node holds nothing of the job any more."""


_KINDS = (FileKind.MANIFEST, FileKind.METRICS, FileKind.HEARTBEAT, FileKind.ERROR, FileKind.LOG, FileKind.EVENTS)
_ORDER = {kind: place for place, kind in enumerate(_KINDS)}
_NOTHING = Known()
_PARSERS = {
    FileKind.HEARTBEAT: parse_heartbeat,
    FileKind.MANIFEST: parse_manifest,
    FileKind.ERROR: parse_error,
}


class JobReader:
    """Keeps the place in every file of one job on one node. One thread at a time calls it.

    With a copy attached, bytes go there before anything is made of them, and the size of each copied file is the place
    from which it is read on. Without one, logs and event files are passed over.
    """

    def __init__(self, node: str, job_id: str, epoch: int) -> None:
        self.job_id = job_id
        self.epoch = epoch
        self.trouble = ""
        """Why nothing is copied any more, since a copy was attached; empty while all is well."""
        self.short = ""
        """Why logs and event files were last passed over, though a copy is attached."""
        self._node = node
        self._copy: Mirror | None = None
        self._known: dict[FileKind, dict[str, Known]] = {kind: {} for kind in FileKind}
        self._halves: dict[str, LineFramer] = {}
        """Of metrics files that end in the middle of a line."""
        self._documents: dict[str, bytes] = {}
        self._vitals = Vitals()
        self._replaced = 0
        self._suspects: set[str] = set()
        self._rewritten = 0
        self._whole = False
        self._last = Delivery(node, job_id, epoch)

    @property
    def found_files(self) -> bool:
        """Whether the job's directory ever held a file that is ours."""
        return bool(self._known[FileKind.METRICS] or self._documents)

    def known(self, kinds: Iterable[FileKind]) -> dict[str, Known]:
        """What is known of the files of these kinds, by path, for the next question."""
        found: dict[str, Known] = {}
        for kind in kinds:
            found |= self._known[kind]
        return found

    def attach(self, copy: Mirror) -> None:
        """Write to `copy` from now on. All that it holds of the job's metrics was taken in before.

        Raises:
            MirrorError: it cannot be read, or it holds something else than was taken in.
        """
        held = copy.places(self.job_id)
        for path, known in self._known[FileKind.METRICS].items():
            if known.offset != held.get(path, _NOTHING).offset:
                raise MirrorMoved(f"{path} of job {self.job_id}: its copy is changing under us: read it again")
        self._known = {kind: {} for kind in FileKind}  # the stamps so far are the copy's, not the node's
        for path, known in held.items():
            file = classify(path)
            if file is not None and file.appended:
                self._known[file.kind][file.path] = known
        self._copy = copy

    def take(
        self,
        chunks: Iterable[Chunk],
        denied: tuple[str, ...],
        more: bool,
        now: float,
        processes: Iterable[Examined] = (),
    ) -> tuple[Delivery, bool]:
        """What `chunks` and `processes` tell at `now` (monotonic seconds), and whether any of it is news.

        Raises:
            NodeLied: a chunk is not what was asked for.
            MirrorMoved: the copy was changed by somebody else; what is known must be read again from it.
        """
        known = ((chunk, classify(chunk.path)) for chunk in chunks)
        files = sorted(((file, chunk) for chunk, file in known if file), key=lambda pair: _ORDER[pair[0].kind])
        pieces = []
        with contextlib.nullcontext() if self._copy is None else self._copy.writing():
            for file, chunk in files:
                content = self._appended(file, chunk) if file.appended else self._document(file, chunk)
                if content is not None:
                    pieces.append(Piece(file.rank, now - chunk.age, content))
        for path, vital in self._vitals.news(processes, self._known[FileKind.HEARTBEAT]):
            found = classify(path)
            pieces += [Piece(found.rank, now, vital)] if found else []
        return self._deliver(tuple(pieces), denied, more)

    def unread(self, chunks: Iterable[Chunk], *, behind: bool) -> bool:
        """Whether records of this job were left for the next question; `behind`: those of some job may have been."""
        cut = any(
            chunk.old or (not _logs(chunk.path) and chunk.offset + len(chunk.data) < chunk.size) for chunk in chunks
        )
        self._whole |= not behind and not cut
        return cut or (behind and not self._whole)

    def settled(self) -> tuple[Delivery, bool]:
        """That all that can be read has been, for now; and whether that is news."""
        return self._deliver((), self._last.denied, False)

    def _deliver(self, pieces: tuple[Piece, ...], denied: tuple[str, ...], more: bool) -> tuple[Delivery, bool]:
        said = denied + self._said()
        old = self._last
        new = Delivery(self._node, self.job_id, self.epoch, pieces, said, more, self._rewritten)
        self._last = Delivery(self._node, self.job_id, self.epoch, (), denied, more, self._rewritten)
        return new, bool(pieces) or (old.denied + self._said(), old.more) != (said, more)

    def _said(self) -> tuple[str, ...]:
        if not self._replaced or self._copy is None:
            return ()
        files = "1 file was" if self._replaced == 1 else f"{self._replaced} files were"
        return (f"{files} replaced by other ones; what they held is kept under generations/",)

    def _appended(self, file: JobFile, chunk: Chunk) -> Content | None:
        if self._copy is None and file.kind is not FileKind.METRICS:
            return None  # it was asked for while there was a copy, and this answer's records could not be written
        known = self._known[file.kind].get(file.path, _NOTHING)
        if chunk.offset != known.offset:
            if chunk.offset:
                raise NodeLied(f"{chunk.path}: bytes from {chunk.offset:,} came where {known.offset:,} were known")
            self._restart(file)
        if not self._keep(file, chunk) and file.kind is not FileKind.METRICS:
            return None
        end, stamp = chunk.offset + len(chunk.data), "" if chunk.old else chunk.stamp
        self._known[file.kind][file.path] = Known(end, chunk.place, stamp)
        if file.kind is not FileKind.METRICS:
            return None
        batch = self._batch(file.path, chunk.data)
        self._suspect(file.path, batch)
        return batch

    def _suspect(self, path: str, batch: Batch | None) -> None:
        """A file that was replaced by the beginning of a run is a run begun anew; else somebody rewrites it."""
        if path in self._suspects and batch is not None and batch.items:
            self._suspects.remove(path)
            self._rewritten += not isinstance(batch.items[0], Start)

    def _restart(self, file: JobFile) -> None:
        """Another file lies under the path now: what the former held is put aside."""
        self._replaced += 1
        self._suspects.add(file.path)
        if self._copy is not None:
            self._try(lambda copy: copy.supersede(self.job_id, file))
        self._known[file.kind].pop(file.path, None)
        self._halves.pop(file.path, None)

    def _keep(self, file: JobFile, chunk: Chunk) -> bool:
        """Copy the chunk; whether there is a copy of it now."""
        if self._copy is None:
            return False
        try:
            self._copy.append(self.job_id, file, chunk.offset, chunk.data, chunk.age)
        except MirrorMoved:
            raise
        except MirrorFull as error:
            self.short = str(error)
            if file.kind is FileKind.METRICS:
                self._detach(error)
        except MirrorError as error:
            self._detach(error)
        else:
            return True
        return False

    def _detach(self, error: MirrorError) -> None:
        """Read the job on without a copy: the screen must not stand still."""
        self.trouble = str(error)
        self._copy = None
        for kind in (FileKind.LOG, FileKind.EVENTS):
            self._known[kind].clear()

    def _try(self, write: Callable[[Mirror], object]) -> None:
        if self._copy is None:
            return
        try:
            write(self._copy)
        except MirrorMoved:
            raise
        except MirrorError as error:
            self._detach(error)

    def _batch(self, path: str, data: bytes) -> Batch | None:
        framer = self._halves.pop(path, None) or LineFramer()
        before = framer.too_long
        lines = framer.feed(data)
        dropped = framer.too_long - before
        if not framer.is_between_lines:
            self._halves[path] = framer
        batch = decode(lines) if lines else None
        if dropped:
            batch = batch or Batch()
            batch = Batch(batch.items, batch.tally + Tally(skipped=dropped))
        return batch

    def _document(self, file: JobFile, chunk: Chunk) -> Content | None:
        digest = hashlib.blake2b(chunk.data, digest_size=8).digest()
        self._known[file.kind][file.path] = Known(0, "", chunk.stamp)
        self._vitals.forget(file.path)
        if self._documents.get(file.path) == digest:
            return None
        self._documents[file.path] = digest
        self._try(lambda copy: copy.replace(self.job_id, file, chunk.data, chunk.age))
        return _PARSERS[file.kind](chunk.data)


def _logs(path: str) -> bool:
    file = classify(path)
    return file is None or file.kind is not FileKind.METRICS


_OfJob = TypeVar("_OfJob", Chunk, Examined)


def by_job(told: Iterable[_OfJob]) -> Mapping[str, list[_OfJob]]:
    """The chunks, or the processes, of each job."""
    found: dict[str, list[_OfJob]] = {}
    for one in told:
        found.setdefault(one.job_id, []).append(one)
    return found


def apply(job: JobState, piece: Piece, node: str) -> None:
    """Take one file's news into the state of its job."""
    match piece.content:
        case Batch():
            job.apply(piece.rank, piece.content, piece.at, node)
        case Heartbeat():
            job.apply_heartbeat(piece.rank, piece.content, piece.at, node)
        case Manifest():
            job.apply_manifest(piece.content)
        case ErrorReport():
            job.apply_error(piece.rank, piece.content, node)
        case Vital():
            job.apply_vital(piece.rank, piece.content, node)
