"""The jobs of one node that are followed: what is asked of each, where its news go, and its copy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ugro_tui.collect.messages import Message
from ugro_tui.collect.mirror import Mirror, MirrorError, MirrorMoved
from ugro_tui.collect.node_notes import NodeNotes
from ugro_tui.collect.reader import Delivery, JobReader, by_job
from ugro_tui.collect.wanted import Wanted
from ugro_tui.core.layout import POLLED, FileKind, classify
from ugro_tui.core.ports import Clock
from ugro_tui.nodes.base import Ask, Chunk, JobEntry, Node, NodeError, NodeLied, NodeMissing, Reply

log = logging.getLogger(__name__)

OLD = float("inf")
"""The age of a job of which the node only tells that it is older than those that are read unasked."""


class Role(Enum):
    """What this application does with the central directory."""

    WRITES = "writes"
    READS = "reads"
    """Another application writes it: what it copies is all that is read, and nodes are asked nothing."""
    NONE = "none"
    """It cannot be used at present: nodes are read without a copy."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The central copy of one node: where it is written, and the node that reads it again.

    `role` is looked up before each question; `said` tells people why it is not `WRITES`, empty where it is.
    """

    mirror: Mirror
    shown: Node
    role: Callable[[], Role]
    said: Callable[[], str]
    notes: NodeNotes | None = None
    """How the application that writes finds the node, for those that only read."""


class Follower:
    """Follows the wanted jobs of one node, through its copy if there is one. One thread at a time calls it."""

    def __init__(
        self, name: str, wanted: Wanted, clock: Clock, post: Callable[[Message], None], copy: Copy | None
    ) -> None:
        self.listed: tuple[str, ...] = ()
        """Jobs that are there and not followed."""
        self._name = name
        self._wanted = wanted
        self._clock = clock
        self._post = post
        self._copy = copy
        self._writes = False
        self._readers: dict[str, JobReader] = {}
        self._left: dict[str, int] = {}
        self._older: tuple[str, ...] = ()
        self._stamp = ""

    @property
    def jobs(self) -> tuple[str, ...]:
        """The jobs that are followed now."""
        return tuple(self._readers)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why jobs are read without a copy, or without their logs; each reason once."""
        said = (reason for reader in self._readers.values() for reason in (reader.trouble, reader.short))
        return tuple(dict.fromkeys(reason for reason in said if reason))

    @property
    def behind(self) -> bool:
        """Whether a job is to be told anew, as another node has begun with it."""
        return any(self._lost(job_id) for job_id in self._readers)

    def write(self, writes: bool) -> None:
        """Write the copy from now on, or only read it: what is known so far is learned anew where that changes."""
        if writes != self._writes:
            self._writes = writes
            self.begin_anew(self.jobs)

    def begin_anew(self, jobs: Iterable[str]) -> None:
        """Learn these jobs again from the beginning: from the copy, then from the node."""
        for job_id in jobs:
            self._let_go(job_id)

    def try_copies_again(self) -> None:
        """Begin again with the copies of the jobs that are read without one, as writing it failed."""
        self.begin_anew([job for job, reader in self._readers.items() if reader.trouble])
        for reader in self._readers.values():
            reader.short = ""

    def remember(self) -> None:
        """Take in what the copy holds of the wanted jobs: all there is to see while the node does not answer."""
        if self._copy is None:
            return
        entries = self._copy.mirror.jobs(self._clock.time())
        followed, listed = self._wanted.split(entries)
        self.listed = self.listed or listed
        for entry in followed:
            self._reader(entry.job_id)
        for reader in self._readers.values():
            self._hand_on(*reader.settled())

    def ask(self, node: Node, kinds: frozenset[FileKind], *, anew: bool = False) -> Reply:
        """One question to `node`, which is the copy's while that is only read; the news go to the keeper.

        `anew` as in `Ask`.

        Raises:
            NodeError: it does not answer, or not to the question.
        """
        known = {job: reader.known(kinds) for job, reader in self._readers.items()}
        reply = node.poll(Ask(known, kinds, listed=self._stamp, anew=anew))
        self._older = self._older if reply.older is None else reply.older
        self._stamp = reply.listed
        fresh = self._split(reply)
        self._take(reply, known.keys())
        return replace(reply, more=True) if fresh else reply

    def _split(self, reply: Reply) -> list[JobReader]:
        """Begin and end to follow, as the jobs there and the wishes are now; the readers that are new."""
        young = {entry.job_id for entry in reply.jobs}
        entries = [*reply.jobs, *(JobEntry(job, OLD) for job in self._older if job not in young)]
        followed, self.listed = self._wanted.split(entries, self._readers.keys())
        self._leave({entry.job_id for entry in followed}, {entry.job_id for entry in entries})
        wanted = [entry.job_id for entry in followed if entry.job_id not in self._readers or self._lost(entry.job_id)]
        return [reader for job_id in wanted if (reader := self._reader(job_id)) is not None]

    def _take(self, reply: Reply, asked: Iterable[str]) -> None:
        chunks, processes, now = by_job(reply.chunks), by_job(reply.processes), self._clock.monotonic()
        behind = reply.more and POLLED.issuperset(kinds_of(reply))
        for job_id in asked:
            reader = self._readers.get(job_id)
            if reader is None or self._lost(job_id):
                continue
            mine = chunks.get(job_id, [])
            denied = tuple(one.what for one in reply.denied if one.job_id == job_id)
            try:
                unread = reader.unread(mine, behind=behind)
                self._hand_on(*reader.take(mine, denied, unread, now, processes.get(job_id, ())))
            except MirrorMoved as error:
                log.warning("%s: job %s is read again from its copy: %s", self._name, job_id, error)
                self.begin_anew([job_id])
            except NodeLied:
                raise
            except Exception as error:  # one job's data must not keep the others from being read
                log.exception("reading job %s on %s failed", job_id, self._name)
                self._fail(reader, error)

    def _fail(self, reader: JobReader, error: Exception) -> None:
        self._let_go(reader.job_id)
        problem = f"cannot be read: {error!r}: an error in ugro-tui, see its log"
        self._post(Delivery(self._name, reader.job_id, reader.epoch, denied=(problem,)))

    def _hand_on(self, delivery: Delivery, news: bool) -> None:
        if news:
            self._post(delivery)

    def _leave(self, followed: set[str], there: set[str]) -> None:
        """Let go of the readers of jobs that are not followed any more, and say so of those that are gone."""
        for job_id in self._readers.keys() - followed:
            reader = self._let_go(job_id)
            if job_id not in there:
                said = ("its directory is gone: what is shown is what was last known",) if reader.found_files else ()
                self._post(Delivery(self._name, job_id, reader.epoch, denied=said, gone=True))

    def _let_go(self, job_id: str) -> JobReader:
        reader = self._readers.pop(job_id)
        self._left[job_id] = reader.epoch
        return reader

    def _lost(self, job_id: str) -> bool:
        """Whether the job was closed, or begun anew, since its reader was made."""
        return self._readers[job_id].epoch != self._wanted.epoch(job_id)

    def _reader(self, job_id: str) -> JobReader | None:
        """The job's reader: a new one where the old one has lost its place; None if the job was just closed."""
        if job_id in self._readers and not self._lost(job_id):
            return self._readers[job_id]
        epoch = self._wanted.epoch(job_id)
        if job_id in self._left:  # read before, and let go: what is read now is no news but the same again
            epoch = self._wanted.renew(job_id, self._left.pop(job_id))
        if epoch is None:
            return None
        reader = self._readers[job_id] = JobReader(self._name, job_id, epoch)
        if self._copy is not None and self._writes:
            self._replay(reader, self._copy)
        return reader

    def _replay(self, reader: JobReader, copy: Copy) -> None:
        """Take in what the copy holds, then have the reader write to it."""
        try:
            for chunks in held(copy.shown, reader):
                self._hand_on(*reader.take(chunks, (), True, self._clock.monotonic()))
            reader.attach(copy.mirror)
        except MirrorMoved:
            self.begin_anew([reader.job_id])
        except (NodeError, MirrorError) as error:
            reader.trouble = str(error)


def held(shown: Node, reader: JobReader) -> Iterator[tuple[Chunk, ...]]:
    """All that a copy holds of the reader's job, part by part; the reader takes in each before it asks for the next.

    Raises:
        NodeError: it cannot be read.
    """
    more = True
    while more:
        try:
            reply = shown.poll(Ask({reader.job_id: reader.known(POLLED)}, POLLED, recent=0.0))
        except NodeMissing:  # nothing was ever copied
            return
        yield reply.chunks
        more = reply.more


def kinds_of(reply: Reply) -> Sequence[FileKind]:
    """The kind of each chunk. Chunks of no kind were refused before."""
    return [file.kind for chunk in reply.chunks if (file := classify(chunk.path))]
