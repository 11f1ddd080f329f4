"""`TrainingMetricsCollector`: follows jobs on nodes and keeps what they say."""

from __future__ import annotations

import itertools
import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.alarms import Alarms
from ugro_tui.collect.breaker import Breaker
from ugro_tui.collect.follower import Follower
from ugro_tui.collect.health import AdaptiveHealthMonitor
from ugro_tui.collect.keeper import Keeper
from ugro_tui.collect.messages import Forget
from ugro_tui.collect.pollers import Pollers
from ugro_tui.collect.rsyncs import RsyncRuns
from ugro_tui.collect.source import Source
from ugro_tui.collect.syncs import SyncRun
from ugro_tui.collect.wanted import Wanted
from ugro_tui.core.commands import (
    Act,
    Answer,
    Command,
    Diagnose,
    Health,
    Launch,
    OpenJob,
    OpenRank,
    OpenTensorBoard,
    Order,
    PlanLaunch,
    RecallLaunch,
    Stop,
    Sync,
    Tell,
    Ticket,
)
from ugro_tui.core.errors import UgroError
from ugro_tui.core.launching import Executed, LaunchView
from ugro_tui.core.layout import FileKind
from ugro_tui.core.ports import Clock
from ugro_tui.core.snapshot import JobView, Snapshot, SyncView
from ugro_tui.core.states import JobStatus
from ugro_tui.nodes.base import Node
from ugro_tui.nodes.rsync import Rsync

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0
"""How long `stop` waits for pollers: one that hangs in a dead network disk must not hold the user."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What a command may need that the collector does not know itself. Each may take its time and raise UgroError.

    `tell` takes a question's key and its answer; `tensorboard` starts TensorBoard and returns where it is; `diagnose`
    takes a job's id and returns where the report is; `act` starts or stops a job and returns what came of it;
    `executed` tells at once what was run on nodes.
    """

    tell: Callable[[str, str], None] | None = None
    tensorboard: Callable[[], str] | None = None
    diagnose: Callable[[str], str] | None = None
    act: Callable[[Act], str] | None = None
    executed: Callable[[], tuple[Executed, ...]] = tuple


class TrainingMetricsCollector:
    """Polls `nodes` every `interval` seconds and publishes snapshots; is the `Feed` of the front ends.

    With `only`, that job alone is read; otherwise every job that changed within a day, and those that are opened.
    With an `aggregator`, what the nodes say is copied there first; with `keep`, logs and event files too, the latter by
    rsync from the nodes that `rsyncs` names. `alarms` keeps the book of alerts.
    `read_only`: as snapshots are to tell.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        clock: Clock,
        interval: float = 2.0,
        only: str | None = None,
        *,
        aggregator: ResultAggregator | None = None,
        keep: bool = False,
        doors: Doors | None = None,
        rsyncs: Mapping[str, Rsync] | None = None,
        alarms: Alarms | None = None,
        read_only: bool = False,
    ) -> None:
        names = [node.name for node in nodes]
        self._clock = clock
        self._names = names
        self._doors = doors or Doors()
        self._wanted = Wanted(only)
        self._sync: SyncRun | None = None
        central = None if aggregator is None else aggregator.central
        alarms = alarms or Alarms(clock)
        self.health = AdaptiveHealthMonitor(names, clock, self._lives, central, lambda: alarms.thresholds)
        self._keeper = Keeper(
            clock, self._wanted.epoch, names, self._sync_view, self.health.view, alarms, interval,
            self._doors.executed, read_only=read_only,
        )  # fmt: skip
        self._aggregator = aggregator
        self._rsyncs = rsyncs or {}
        self._sources = [self._source(node, keep=keep) for node in nodes]
        self._pollers = Pollers(self._sources, interval, clock)
        self._wanted.renewed = self._pollers.wake
        self._numbers = itertools.count(1)
        self._asking = threading.Lock()
        self._started = threading.Lock()
        self._stopped = threading.Event()
        if aggregator is not None:
            aggregator.use(self._begin_sync)

    def _source(self, node: Node, *, keep: bool) -> Source:
        copy = None if self._aggregator is None else self._aggregator.copy(node.name)
        follower = Follower(node.name, self._wanted, self._clock, self._keeper.post, copy)
        breaker = Breaker(random.random)
        rsync = self._rsyncs.get(node.name)
        runs = None if rsync is None or self._aggregator is None else RsyncRuns(rsync, self._aggregator.jobs_dir)
        post, health = self._keeper.post, self.health
        return Source(node, follower, self._clock, post, breaker, copy=copy, keep=keep, rsync=runs, health=health)

    def _lives(self) -> bool:
        """Whether a job runs, as far as is known."""
        return any(job.summary.status in (JobStatus.STARTING, JobStatus.RUNNING) for job in self.snapshot().jobs)

    def wake(self) -> None:
        """Look at all nodes now but those that are left alone."""
        self._pollers.wake()

    def watch_health(self) -> int:
        """Ask all nodes how they are, now; the number of this request, for `AdaptiveHealthMonitor.awaited`."""
        request = self.health.watch()
        self._pollers.wake()
        return request

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called: nothing new will come."""
        return self._stopped.is_set()

    def start(self) -> None:
        """Begin to poll and to publish. Calling it again does nothing, and so does calling it after `stop`."""
        if self.stopped or not self._started.acquire(blocking=False):
            return
        self._keeper.start()
        self._pollers.start()
        log.info("Started metrics collection")

    def stop(self) -> None:
        """End all threads; the last snapshot stays readable."""
        if self.stopped:
            return
        self._stopped.set()
        self._pollers.halt()
        self._pollers.join(STOP_SECONDS)
        self._keeper.stop()
        if self._aggregator is not None:
            self._aggregator.close()
        log.info("Stopped metrics collection")

    def start_collection(self, job_id: str) -> None:
        """Follow this job from now on, however old it is, before all others."""
        self._wanted.open(job_id)
        self._pollers.wake()
        log.info("Started metrics collection of job %s", job_id)

    def show(self, news: LaunchView) -> None:
        """Tell of a launch or a stop in the next snapshot."""
        self._keeper.post(news)

    def stop_collection(self, job_id: str) -> None:
        """Follow this job no longer and forget what is known of it."""
        self._keeper.post(Forget(job_id, self._wanted.close(job_id)))
        log.info("Stopped metrics collection of job %s", job_id)

    def get_latest_metrics(self, job_id: str) -> JobView | None:
        """The newest picture of a job; None while nothing is known of it."""
        return None if self._wanted.epoch(job_id) is None else self.snapshot().job(job_id)

    def snapshot(self) -> Snapshot:
        """The newest picture of everything; never blocks."""
        return self._keeper.snapshot()

    def wait_newer(self, version: int, timeout: float) -> Snapshot:
        """The first snapshot newer than `version`, or the newest when `timeout` seconds have passed."""
        return self._keeper.wait_newer(version, timeout)

    def request(self, command: Command) -> Ticket:
        """Ask for something; the answer comes in a later snapshot. Never blocks."""
        if isinstance(command, OpenJob):
            self._wanted.open(command.job_id)
        if isinstance(command, Health):
            self.health.watch()
        with self._asking:  # in the order of their numbers, so that the newest answer tells of all before it
            ticket = Ticket(next(self._numbers), command)
            if isinstance(command, OpenTensorBoard | Diagnose | Act):
                threading.Thread(target=self._go_through, args=(ticket.number, command), daemon=True).start()
                return ticket
            if isinstance(command, Sync) and (instead := self._instead()):
                self._keeper.post(Answer(ticket.number, said=instead))
                return ticket
            if isinstance(command, Order | OpenRank):
                self._keeper.post(ticket)
                return ticket
            if isinstance(command, Tell) and self._doors.tell is not None:
                self._doors.tell(command.question, command.text)
            if isinstance(command, Sync):
                self._run(SyncRun(command.job_id, BOTH, self._names, self._clock.monotonic()))
            self._pollers.ask(ticket)
        return ticket

    def _go_through(self, number: int, command: OpenTensorBoard | Diagnose | Act) -> None:
        """Have one of the doors answer, on a thread of its own."""
        what = _CALLED[type(command)]
        try:
            answer = Answer(number, said=self._through(command))
        except UgroError as error:
            answer = Answer(number, str(error))
        except Exception as error:  # a thread's outer edge
            log.exception("%s failed", what)
            answer = Answer(number, f"{what} failed: {error!r}: an error in ugro-tui, see its log")
        self._keeper.post(answer)

    def _through(self, command: OpenTensorBoard | Diagnose | Act) -> str:
        if isinstance(command, Act):
            if self._doors.act is None:
                raise UgroError(
                    "jobs cannot be started or stopped from here: use `ugro-tui launch` and `ugro-tui stop`"
                )
            return self._doors.act(command)
        if isinstance(command, Diagnose):
            if self._doors.diagnose is None:
                raise UgroError("no diagnosis can be made from here: use `ugro-tui diagnose JOB`")
            return self._doors.diagnose(command.job_id)
        if self._doors.tensorboard is None:
            raise UgroError("TensorBoard cannot be opened from here: use `ugro-tui tensorboard`")
        return self._doors.tensorboard()

    def _begin_sync(self, job_id: str | None, kinds: Iterable[FileKind]) -> SyncRun:
        """Bring the files of these kinds, of one job or of all; the run tells how far that is.

        It begins with the first look where there was none yet, rather than after it: a dead node is waited for once.
        """
        run = SyncRun(job_id, kinds, self._names, self._clock.monotonic())
        if job_id is not None:
            self._wanted.open(job_id)
        with self._asking:
            self._run(run)
            self._pollers.ask(Ticket(next(self._numbers), Sync(job_id)))
        self.start()
        return run

    def _run(self, run: SyncRun) -> None:
        self._sync = run
        if run.job_id is not None:
            self._wanted.open(run.job_id)
        for source in self._sources:
            source.sync(run)

    def _instead(self) -> str:
        """Why a sync is not begun, which is no failure of one; empty where it is."""
        return IN_PLACE if self._aggregator is None else self._aggregator.refusal()

    def _sync_view(self, now: float) -> SyncView | None:
        return None if self._sync is None else self._sync.view(now)


_CALLED: Mapping[type, str] = {
    OpenTensorBoard: "opening TensorBoard",
    Diagnose: "the diagnosis",
    PlanLaunch: "planning the launch",
    RecallLaunch: "looking how it was launched",
    Launch: "the launch",
    Stop: "stopping the job",
}

BOTH = (FileKind.LOG, FileKind.EVENTS)
"""What a sync brings that a person asks for."""

IN_PLACE = "this machine is read in place; there is nothing to copy"
"""The answer to a sync where nothing is copied, because nothing is elsewhere."""
