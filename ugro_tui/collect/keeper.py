"""The one thread that owns all state: applies what the pollers bring, publishes snapshots."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from queue import Empty, SimpleQueue

from ugro_tui.collect.alarms import Alarms
from ugro_tui.collect.kept import Kept
from ugro_tui.collect.messages import Cycle, Forget, Message
from ugro_tui.collect.opened import OpenedRank
from ugro_tui.collect.reader import Delivery
from ugro_tui.collect.roster import Roster
from ugro_tui.collect.spare import Spare
from ugro_tui.collect.urgency import worst_first
from ugro_tui.core.alerts import Alert
from ugro_tui.core.commands import Answer, OpenRank, Ticket
from ugro_tui.core.entries import Saved
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.job import Away
from ugro_tui.core.launching import Executed, LaunchView
from ugro_tui.core.ports import Clock
from ugro_tui.core.rules.fleet import FleetWatch
from ugro_tui.core.snapshot import JobView, NodeView, Snapshot, SyncView

log = logging.getLogger(__name__)

KEPT_ANSWERS = 64
MAX_NOTICES = 100
SILENCE_SECONDS = 5.0
"""How long the picture may stay as it is without news."""

REST = 29
"""Times that drawing a snapshot took, which pass before the next: at most a thirtieth of a core goes into drawing."""

MOST_REST_SECONDS = 0.75


class Keeper:
    """Owns the job states. `post` and `snapshot` may be called from any thread; nothing else touches the state."""

    def __init__(
        self,
        clock: Clock,
        epoch: Callable[[str], int | None],
        nodes: Iterable[str],
        sync: Callable[[float], SyncView | None] = lambda _: None,
        health: Callable[[float], tuple[NodeHealth, ...]] = lambda _: (),
        alarms: Alarms | None = None,
        interval: float = 5.0,
        executed: Callable[[], tuple[Executed, ...]] = tuple,
        *,
        read_only: bool = False,
    ) -> None:
        self._read_only = read_only
        self._launch: LaunchView | None = None
        self._clock = clock
        self._alarms = alarms or Alarms(clock)
        self._epoch = epoch
        self._inbox: SimpleQueue[Message | None] = SimpleQueue()
        self._jobs: dict[str, Kept] = {}
        self._sync = sync
        self._health = health
        self._executed = executed
        self._nodes = Roster(nodes)
        self._fleet = FleetWatch(interval)
        self._firing: tuple[Alert, ...] = ()
        self._parts: dict[int, dict[str, Answer]] = {}
        self._answers: deque[Answer] = deque(maxlen=KEPT_ANSWERS)
        self._rank = OpenedRank()
        self._failures: dict[str, str] = {}
        self._rested = -math.inf
        self._spare = Spare()
        self._ended = threading.Event()
        self._listed: tuple[str, ...] = ()
        self._listed_by: tuple[list[tuple[str, ...]], set[str]] = ([], set())
        self._snapshot = Snapshot()
        self._published = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to apply and publish."""
        self._thread.start()

    def stop(self) -> None:
        """Apply what is queued, publish once more and end."""
        self._inbox.put(None)
        self._ended.set()
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
        going = True
        self._try(lambda: self._alarms.begin(self.post), "reading the book of alerts")
        while going:
            going = self._gather()
            began = time.perf_counter()
            self._try(self._publish, "drawing the snapshot")
            self._spare.look(self._clock.monotonic())
            ended = time.perf_counter()
            self._rested = ended + min(MOST_REST_SECONDS, REST * (ended - began))
        self._try(self._alarms.close, "writing the book of alerts")

    def _gather(self) -> bool:
        """Wait for a message, rest, and apply it with all that has come by then; False at the end.

        Without any for a while the picture is drawn all the same: that nobody looks any more must be seen.
        """
        try:
            due = min((kept.due for kept in self._jobs.values()), default=math.inf) - time.perf_counter()
            message = self._inbox.get(timeout=min(SILENCE_SECONDS, max(0.0, due)))
        except Empty:
            return True
        if (rest := self._rested - time.perf_counter()) > 0:
            self._ended.wait(rest)  # to be woken by each message costs more than to take it in
        while message is not None:
            self._take(message)
            if not self._snapshot.jobs and any(kept.is_new for kept in self._jobs.values()):
                return True  # the first job is waited for
            try:
                message = self._inbox.get_nowait()
            except Empty:
                return True
        return False

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
            case Answer():
                self._answers.append(message)
            case Ticket(command=OpenRank() as opened):
                self._rank.open(opened)
                self._answers.append(Answer(message.number))
            case Ticket():
                self._answers.append(self._alarms.obey(message))
            case LaunchView():
                self._launch = message
            case Saved():
                self._try(lambda: self._alarms.take_over(message), "reading the book of alerts")
            case Forget():
                kept = self._jobs.get(message.job_id)
                if kept is not None and kept.epoch <= message.epoch:
                    del self._jobs[message.job_id]

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.epoch != self._epoch(delivery.job_id):
            return  # of a reader from before the job was closed, or begun anew
        kept = self._jobs.get(delivery.job_id)
        if kept is None or kept.epoch != delivery.epoch:
            kept = self._jobs[delivery.job_id] = Kept(delivery.job_id, delivery.epoch, kept)
        if kept.take(delivery):
            self._spare.expect(self._clock.monotonic())
        if kept.was_nothing:
            del self._jobs[delivery.job_id]

    def _cycle(self, cycle: Cycle) -> None:
        self._nodes.take(cycle)
        for answer in cycle.answers:
            self._answer(cycle.node, answer)

    def _answer(self, node: str, part: Answer) -> None:
        """Publish the answer to a command when every node has given its part."""
        parts = self._parts.setdefault(part.number, {})
        parts[node] = part
        if len(parts) < len(self._nodes):
            return
        del self._parts[part.number]
        well = any(one.said for one in parts.values())
        problems = dict.fromkeys(one.problem for one in parts.values() if one.problem)
        self._answers.append(Answer(part.number, "" if well else "; ".join(problems)))

    def _publish(self) -> None:
        now = self._clock.monotonic()
        away = self._nodes.away(now)
        pictures = [(kept, picture) for kept in self._jobs.values() if (picture := self._shown(kept, now, away))]
        pictures.sort(key=lambda pair: worst_first(pair[1], pair[0].drawn))
        cycles, nodes, health = self._nodes.last, self._nodes.views(now), self._health(now)
        self._try(lambda: self._judge(nodes, health, now), "judging the nodes")
        self._try(lambda: self._explain(nodes, now), "explaining the rank")
        jobs = tuple(picture for _, picture in pictures)
        self._try(lambda: self._alarms.observe(jobs, self._firing, now), "keeping the book of alerts")
        snapshot = Snapshot(
            version=self._snapshot.version + 1,
            now=now,
            jobs=jobs,
            book=self._alarms.view,
            thresholds=self._alarms.thresholds,
            listed=self._all_listed([cycle.listed for cycle in cycles]),
            nodes=nodes,
            alerts=self._firing,
            answers=tuple(self._answers),
            notices=tuple(islice(self._notices(), MAX_NOTICES)),
            cycles=self._nodes.cycles,
            sync=self._sync(now),
            launch=self._launch,
            read_only=self._read_only,
            health=health,
            executed=self._executed(),
            rank=self._rank.view,
            questions=tuple({cycle.question.key: cycle.question for cycle in cycles if cycle.question}.values()),
            reading=next((cycle.reading for cycle in cycles if cycle.reading), ""),
        )
        with self._published:
            self._snapshot = snapshot
            self._published.notify_all()

    def _all_listed(self, told: list[tuple[str, ...]]) -> tuple[str, ...]:
        """The jobs that are only listed, in order; thousands of them change rarely."""
        key = (told, self._jobs.keys() | ())
        if key != self._listed_by:
            self._listed_by = key
            self._listed = tuple(sorted({job for listed in told for job in listed} - self._jobs.keys()))
        return self._listed

    def _judge(self, nodes: Sequence[NodeView], health: Sequence[NodeHealth], now: float) -> None:
        self._firing = self._fleet.tick(nodes, health, now, self._alarms.thresholds)

    def _explain(self, nodes: Sequence[NodeView], now: float) -> None:
        kept = self._jobs.get(self._rank.job_id)
        if kept is not None and not kept.reading:
            self._rank.look(kept.state, kept.picture, nodes, now)

    def _notices(self) -> Iterator[str]:
        yield from self._failures.values()
        yield from self._alarms.notices()
        yield from self._nodes.troubles()
        for job_id, kept in self._jobs.items():
            for node, denied in kept.denied.items():
                yield from (f"{node}: {job_id}: {problem}" for problem in denied)

    def _shown(self, kept: Kept, now: float, away: dict[str, Away]) -> JobView | None:
        """The job's picture; while it is being read, the one from before.

        There is none of a job that is a name alone: a node may make up any number of them.
        """
        if kept.state.version and not kept.is_held(now):
            kept.state.away = away
            self._try(lambda: kept.draw(now, self._alarms), f"drawing job {kept.state.job_id}")
        return kept.picture
