"""The one thread that owns all state: applies what the pollers bring, publishes snapshots."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
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
    curve: Curve = EMPTY
    version: int = -1
    picture: JobView | None = None
    drawn: float = -math.inf


@dataclass(slots=True)
class _NodeNews:
    good_at: float = math.nan
    error: str = ""
    listed: tuple[str, ...] = ()
    cycles: int = 0


class Keeper:
    """Owns the job states. `post` and `snapshot` may be called from any thread; nothing else touches the state."""

    def __init__(self, clock: Clock, is_closed: Callable[[str], bool]) -> None:
        self._clock = clock
        self._is_closed = is_closed
        self._inbox: SimpleQueue[Message | None] = SimpleQueue()
        self._jobs: dict[str, _Kept] = {}
        self._nodes: dict[str, _NodeNews] = {}
        self._answers: deque[Answer] = deque(maxlen=KEPT_ANSWERS)
        self._notices: dict[str, None] = {}
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
            self._publish()
            if message is None:
                return

    def _take(self, message: Message) -> None:
        try:
            match message:
                case Delivery():
                    self._deliver(message)
                case Cycle():
                    self._cycle(message)
                case Forget():
                    self._jobs.pop(message.job_id, None)
        except Exception:  # a thread's outer edge: one bad delivery must not end the keeping
            log.exception("could not apply %s", type(message).__name__)
            self._notices["some data could not be applied; see the application log"] = None

    def _deliver(self, delivery: Delivery) -> None:
        if self._is_closed(delivery.job_id):
            return
        kept = self._jobs.setdefault(delivery.job_id, _Kept(JobState(delivery.job_id)))
        for piece in delivery.pieces:
            _apply(kept.state, piece, delivery.node)
        for path in delivery.denied:
            self._notices[f"{delivery.node}: {delivery.job_id}/{path}"] = None

    def _cycle(self, cycle: Cycle) -> None:
        news = self._nodes.setdefault(cycle.node, _NodeNews())
        news.cycles += 1
        news.error, news.listed = cycle.error, cycle.listed
        if not cycle.error:
            news.good_at = cycle.at
        self._answers.extend(cycle.answers)

    def _publish(self) -> None:
        now = self._clock.monotonic()
        views = sorted((self._picture(kept, now) for kept in self._jobs.values()), key=_worst_first)
        nodes = tuple(NodeView(name, now - news.good_at, news.error) for name, news in sorted(self._nodes.items()))
        snapshot = Snapshot(
            version=self._snapshot.version + 1,
            now=now,
            jobs=tuple(views),
            listed=tuple(sorted({job for news in self._nodes.values() for job in news.listed})),
            nodes=nodes,
            answers=tuple(self._answers),
            notices=tuple(self._notices),
            cycles=min((news.cycles for news in self._nodes.values()), default=0),
        )
        with self._published:
            self._snapshot = snapshot
            self._published.notify_all()

    def _picture(self, kept: _Kept, now: float) -> JobView:
        fresh = kept.version == kept.state.version
        if not fresh:
            kept.curve, kept.version = curve_of(kept.state), kept.state.version
        old = kept.picture
        over = old is not None and old.summary.status.over
        if old is None or not (fresh and over and now - kept.drawn < OVER_REFRESH_SECONDS):
            old = kept.picture = view(kept.state, now, kept.curve)
            kept.drawn = now
        return old


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


def _worst_first(job: JobView) -> tuple[int, int, float, str]:
    summary = job.summary
    alarmed = summary.status is JobStatus.RUNNING and bool(summary.alerts)
    age = summary.age if math.isfinite(summary.age) else math.inf
    return (0 if alarmed else 1, _URGENCY[summary.status], age // 60, summary.job_id)
