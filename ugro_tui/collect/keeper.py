"""The one thread that owns all state: applies what the pollers bring, publishes snapshots."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue

from ugro_tui.collect.messages import Cycle, Forget, Message
from ugro_tui.collect.reader import Delivery, Piece
from ugro_tui.core.commands import Answer
from ugro_tui.core.curve import EMPTY, Curve
from ugro_tui.core.job import JobState
from ugro_tui.core.ports import Clock
from ugro_tui.core.records import Batch, ErrorReport, Heartbeat, Manifest
from ugro_tui.core.snapshot import JobView, NodeView, Snapshot, curve_of, view
from ugro_tui.core.states import JobStatus

log = logging.getLogger(__name__)

KEPT_ANSWERS = 64
MAX_NOTICES = 100
OVER_REFRESH_SECONDS = 30.0
"""How often the picture of a job that is over is drawn again: only its age changes."""

_URGENCY = {
    JobStatus.RUNNING: 1,
    JobStatus.STARTING: 1,
    JobStatus.FAILED: 2,
    JobStatus.PENDING: 3,
    JobStatus.UNKNOWN: 4,
    JobStatus.STOPPED: 5,
    JobStatus.FINISHED: 6,
}


@dataclass(slots=True)
class _Kept:
    state: JobState
    epoch: int
    picture: JobView | None = None
    reading: bool = False
    denied: dict[str, tuple[str, ...]] = field(default_factory=dict)
    curve: Curve = EMPTY
    version: int = -1
    drawn: float = -math.inf


@dataclass(slots=True)
class _NodeNews:
    good_at: float = math.nan
    error: str = ""
    listed: tuple[str, ...] = ()
    cycles: int = 0


class Keeper:
    """Owns the job states. `post` and `snapshot` may be called from any thread; nothing else touches the state."""

    def __init__(self, clock: Clock, epoch: Callable[[str], int | None], nodes: Iterable[str]) -> None:
        self._clock = clock
        self._epoch = epoch
        self._inbox: SimpleQueue[Message | None] = SimpleQueue()
        self._jobs: dict[str, _Kept] = {}
        self._nodes = {name: _NodeNews() for name in nodes}
        self._answers: deque[Answer] = deque(maxlen=KEPT_ANSWERS)
        self._failures: dict[str, str] = {}
        self._snapshot = Snapshot()
        self._published = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to apply and publish."""
        self._thread.start()

    def stop(self) -> None:
        """Apply what is queued, publish once more and end."""
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join(2.0)

    def post(self, message: Message) -> None:
        """Hand in news; never blocks."""
        self._inbox.put(message)

    def snapshot(self) -> Snapshot:
        """The newest picture; never blocks."""
        return self._snapshot

    def wait_newer(self, version: int, timeout: float) -> Snapshot:
        """The first snapshot newer than `version`, or the newest when `timeout` seconds have passed."""
        with self._published:
            self._published.wait_for(lambda: self._snapshot.version > version, timeout)
        return self._snapshot

    def _run(self) -> None:
        while True:
            message = self._inbox.get()
            while message is not None:
                self._take(message)
                try:
                    message = self._inbox.get_nowait()
                except Empty:
                    break
            self._try(self._publish, "drawing the snapshot")
            if message is None:
                return

    def _try(self, work: Callable[[], object], what: str) -> None:
        try:
            work()
        except Exception as error:  # a thread's outer edge: one bad value must not end the keeping
            if what not in self._failures:  # else each snapshot would fill the log
                log.exception("%s failed", what)
            self._failures[what] = f"{what} failed: {error!r}: an error in ugro-tui, see its log"

    def _take(self, message: Message) -> None:
        match message:
            case Delivery():
                self._try(lambda: self._deliver(message), f"applying news of job {message.job_id}")
            case Cycle():
                self._cycle(message)
            case Forget():
                kept = self._jobs.get(message.job_id)
                if kept is not None and kept.epoch <= message.epoch:
                    del self._jobs[message.job_id]

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.epoch != self._epoch(delivery.job_id):
            return  # of a reader from before the job was closed, or begun anew
        kept = self._jobs.get(delivery.job_id)
        if kept is None or kept.epoch != delivery.epoch:
            picture = kept.picture if kept else None  # shown until the new state is complete
            kept = self._jobs[delivery.job_id] = _Kept(JobState(delivery.job_id), delivery.epoch, picture)
        kept.reading = delivery.more
        kept.denied[delivery.node] = delivery.denied
        for piece in delivery.pieces:
            _apply(kept.state, piece, delivery.node)

    def _cycle(self, cycle: Cycle) -> None:
        news = self._nodes[cycle.node]
        news.cycles += 1
        news.error = cycle.error
        if not cycle.error:
            news.good_at, news.listed = cycle.at, cycle.listed
        self._answers.extend(cycle.answers)

    def _publish(self) -> None:
        now = self._clock.monotonic()
        pictures = [(kept, picture) for kept in self._jobs.values() if (picture := self._shown(kept, now))]
        pictures.sort(key=lambda pair: _worst_first(*pair))
        listed = {job for news in self._nodes.values() for job in news.listed}
        snapshot = Snapshot(
            version=self._snapshot.version + 1,
            now=now,
            jobs=tuple(picture for _, picture in pictures),
            listed=tuple(sorted(listed - self._jobs.keys())),
            nodes=tuple(NodeView(name, now - news.good_at, news.error) for name, news in sorted(self._nodes.items())),
            answers=tuple(self._answers),
            notices=tuple(islice(self._notices(), MAX_NOTICES)),
            cycles=min((news.cycles for news in self._nodes.values()), default=0),
        )
        with self._published:
            self._snapshot = snapshot
            self._published.notify_all()

    def _notices(self) -> Iterator[str]:
        yield from self._failures.values()
        for job_id, kept in self._jobs.items():
            for node, denied in kept.denied.items():
                yield from (f"{node}: {job_id}: {problem}" for problem in denied)

    def _shown(self, kept: _Kept, now: float) -> JobView | None:
        """The job's picture; while it is being read, the one from before: half of a run would look stalled."""
        if not kept.reading:
            self._try(lambda: self._picture(kept, now), f"drawing job {kept.state.job_id}")
        return kept.picture

    def _picture(self, kept: _Kept, now: float) -> None:
        fresh = kept.version == kept.state.version
        if not fresh:
            kept.curve, kept.version = curve_of(kept.state), kept.state.version
        over = kept.picture is not None and kept.picture.summary.status.over
        if not (fresh and over and now - kept.drawn < OVER_REFRESH_SECONDS):
            kept.picture = view(kept.state, now, kept.curve)
            kept.drawn = now


def _apply(job: JobState, piece: Piece, node: str) -> None:
    match piece.content:
        case Batch():
            job.apply(piece.rank, piece.content, piece.at, node)
        case Heartbeat():
            job.apply_heartbeat(piece.rank, piece.content, piece.at, node)
        case Manifest():
            job.apply_manifest(piece.content)
        case ErrorReport():
            job.apply_error(piece.rank, piece.content, node)


def _worst_first(kept: _Kept, job: JobView) -> tuple[int, int, float, str]:
    summary = job.summary
    alarmed = summary.status is JobStatus.RUNNING and bool(summary.alerts)
    # Of those that are over, the newest first; by when they ended, so that the order does not change any more.
    ended = kept.drawn - summary.age if summary.status.over and math.isfinite(summary.age) else 0.0
    return (0 if alarmed else 1, _URGENCY[summary.status], -round(ended, 1), summary.job_id)
