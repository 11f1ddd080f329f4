"""`Agent`: the composition root and the Python API; the CLI and the screens stand on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ugro_tui.alerting import AlertDoor
from ugro_tui.answers import Answers
from ugro_tui.archiving import ArchiveDoor
from ugro_tui.clock import SystemClock
from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.collector import Doors, TrainingMetricsCollector
from ugro_tui.collect.follower import Role
from ugro_tui.config import Config
from ugro_tui.core.archive import Finding, Found, Inquiry
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.ports import Archive, Clock, Feed
from ugro_tui.core.rank_view import RankView
from ugro_tui.core.snapshot import JobView, Question, Snapshot, SyncView
from ugro_tui.doors import DiagnosisDoor, TensorBoardDoor
from ugro_tui.launches import LaunchDoor, Launching
from ugro_tui.looks import Looks
from ugro_tui.nodes.base import Ask
from ugro_tui.nodes.executed import ExecutedLog
from ugro_tui.nodes.fleet import make_nodes, make_rsyncs
from ugro_tui.nodes.secrets import Secrets

if TYPE_CHECKING:
    from ugro_tui.act.diagnose import Bundle
    from ugro_tui.collect.doctor import Diagnosis


class Agent(Answers, Launching):
    """Watches the jobs of `config.nodes`, or of this machine. Use it as a context manager, or `start` and `close`.

    With `only`, that job alone is read. With `keep`, logs and event files are copied to the central directory all the
    time; without it, only when they are asked for. With `notify`, alerts are kept over restarts and told by `on_alert`.
    `ask` answers what only a person can, the passphrase of a key, once for each; empty: no answer. Any thread may call
    all methods.

    Raises:
        BadInput: the nodes that `config` names cannot be used.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        only: str | None = None,
        *,
        keep: bool = False,
        notify: bool = False,
        ask: Callable[[Question], str] | None = None,
    ) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self._secrets = Secrets()
        specs, self._log = config.inventory(), ExecutedLog(self.clock)
        here, there = config.metrics_dir, config.remote_metrics_dir
        self.nodes = make_nodes(specs, here, there, config.ssh_config, self._secrets, self.clock, self._log)
        names = [node.name for node in self.nodes]
        self.copies = ResultAggregator(config.central, self.clock, names) if config.remote else None
        self._board = TensorBoardDoor(self.event_files)
        self._diagnosis = DiagnosisDoor(config, self._secrets, self.clock, self._log)
        self.launches = LaunchDoor(config, self._secrets, self.clock, self._log, lambda v: self._collector.show(v), ask)
        self._keeps_alerts = notify  # who does so knows what fired; nobody else has looked for long
        self._alerts = AlertDoor(config, self.copies, self.clock, notify=notify)
        self._archive = ArchiveDoor(config, self.copies, self.clock)
        self._collector = TrainingMetricsCollector(
            self.nodes,
            self.clock,
            config.refresh,
            only,
            aggregator=self.copies,
            keep=keep,
            doors=Doors(
                self._tell,
                self._board.open,
                lambda job: str(self.bundle(job).report),
                self.launches.obey,
                self._log.entries,
            ),
            rsyncs=make_rsyncs(specs, there, config.ssh_config, self._log) if config.engine == "rsync" else {},
            alarms=self._alerts.alarms,
            read_only=config.read_only,
        )
        self.launches.use(self._collector)
        self._looks = Looks(self._collector, self.clock, ask, self.place, remote=self.copies is not None)

    def __enter__(self) -> Agent:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, key: str, text: str) -> None:
        if text:
            self._secrets.put(key, text)

    def start(self) -> None:
        """Begin to watch."""
        self._collector.start()
        if self._keeps_alerts:  # a command that answers once has no time to see how jobs end
            self.launches.settle(self._collector.snapshot)

    def close(self) -> None:
        """Watch no more. What was learned stays readable."""
        self._archive.close()
        self._collector.stop()
        self._alerts.close()
        self._board.close()
        self.launches.close()

    @property
    def feed(self) -> Feed:
        """What the screens see."""
        return self._collector

    @property
    def archive(self) -> Archive:
        """What the screens see of the files of jobs."""
        return self._archive.archive

    @property
    def collector(self) -> TrainingMetricsCollector:
        """What launchers hand their jobs to."""
        return self._collector

    @property
    def place(self) -> str:
        """Where jobs are looked for, for people."""
        return self.config.place

    @property
    def event_files(self) -> Path:
        """The directory that TensorBoard is to show: the copies of all nodes, or this machine's own files."""
        return self.config.metrics_dir if self.copies is None else self.copies.jobs_dir

    def prepare_event_files(self, job_id: str | None = None) -> Path:
        """The directory with the event files of a job (of all jobs) for TensorBoard, followed from now on.

        Raises:
            BadInput, Partial, NoSource: as `open`.
            UgroError: the central directory cannot be used.
        """
        if self.copies is not None and self.copies.role() is Role.NONE:
            raise UgroError(self.copies.said())
        if job_id is None:
            self.look()
            return self.event_files
        self.open(job_id)
        return self.event_files / job_id / "tensorboard"

    def follow(self, job_id: str) -> None:
        """Read this job first from now on, whatever its age. Does not wait for nodes over SSH.

        Raises:
            BadInput: no job can have this id; or only this machine is watched, and it has none.
            NodeError: the metrics directory cannot be read.
        """
        checked_job_id(job_id)
        if self.copies is None:
            reply = self.nodes[0].poll(Ask())
            known = [entry.job_id for entry in reply.jobs] + list(reply.older or ())
            if job_id not in known:
                raise BadInput(self._looks.unknown(job_id, known))
        self._collector.start_collection(job_id)

    def sync(self, job_id: str | None = None) -> SyncView:
        """Copy the logs and event files of a job (of all recent ones) to the central directory now.

        Waits until every node has sent what is new, or failed; what came from which node, and why not all.

        Raises:
            BadInput: no job can have this id, none has, or there is nothing to copy, as only this machine is watched.
            Partial: no node that could be read has this job.
            NoSource: no node could be read.
            UgroError: the central directory cannot be written, or another application writes it.
        """
        if self.copies is None:
            raise BadInput("only this machine is watched, and read in place: name nodes to sync from with --nodes")
        if self.copies.role() is not Role.WRITES:
            raise UgroError(self.copies.refusal() or self.copies.said())
        view = self.copies.sync(job_id)
        if self._looks.told():
            view = view.mended_by(self.copies.sync(job_id))
        snapshot = self._looks.look()
        if job_id is not None and snapshot.job(job_id) is None and not any(node.bytes for node in view.nodes):
            self.open(job_id)
        return view

    def syncing(self) -> SyncView | None:
        """How far the sync is that is under way, or the last one."""
        return self._collector.snapshot().sync

    def examine(self) -> tuple[tuple[Diagnosis, ...], Diagnosis | None]:
        """What `ugro-tui doctor` finds: on each node, and, where nodes are copied from, in the central directory."""
        from ugro_tui.collect.doctor import examine, examine_central  # only who asks pays for it

        found = examine(self.nodes, self.clock)
        locked = {
            one.locked: Question(one.locked, f"Passphrase of the key {one.locked}") for one in found if one.locked
        }
        for key, question in locked.items():
            self._tell(key, self._looks.answer(question))
        again = [node for node, one in zip(self.nodes, found, strict=True) if self._secrets.get(one.locked) is not None]
        fresh = {one.node: one for one in examine(again, self.clock)}
        found = tuple(fresh.get(one.node, one) for one in found)
        return found, None if self.copies is None else examine_central(self.copies)

    def diagnose(self, job_id: str) -> Path:
        """The directory with what is known of a job in trouble; as `bundle`."""
        return self.bundle(job_id).path

    def bundle(self, job_id: str) -> Bundle:
        """Gather stacks of the ranks that are not well, the ends of logs, errors, GPUs, heartbeats, and a report.

        Nodes that cannot be asked are told in it. The job is taken as it was read last.

        Raises:
            BadInput, Partial, NoSource: as `job`.
            UgroError: the directory cannot be written.
        """
        checked_job_id(job_id)
        view = self._collector.snapshot().job(job_id) or self.job(job_id)
        return self._diagnosis.open(view, self._collector.snapshot(), replayed=not self._keeps_alerts)

    def look(self) -> Snapshot:
        """The first snapshot after everything was read once: every node has answered, or failed.

        Raises:
            NoSource: no node could be read, or not in time.
        """
        self.start()
        return self._looks.look()

    def open(self, job_id: str) -> Snapshot:
        """Have every node read this job now, whatever its age; the snapshot after that.

        Raises:
            BadInput: no job can have this id, or there is none.
            Partial: no node that could be read has it.
            NoSource: no node could be read, or not in time.
        """
        checked_job_id(job_id)
        self.start()
        return self._looks.open(job_id)

    def job(self, job_id: str) -> JobView:
        """The newest picture of a job, read now if it was not followed.

        Raises:
            BadInput, Partial, NoSource: as `open`; BadInput also when the job has no records yet.
        """
        found = self.open(job_id).job(job_id)
        if found is None:
            raise BadInput(self._looks.unknown(job_id, [job_id]))
        return found

    def rank(self, job_id: str, rank: int) -> RankView:
        """All that is known of one rank, beside the others of its job; read now.

        Raises:
            BadInput, Partial, NoSource: as `job`; BadInput also when the job has no such rank.
        """
        checked_job_id(job_id)
        self.start()
        return self._looks.rank(job_id, rank)

    def archived(self, inquiry: Inquiry[Found]) -> Finding[Found]:
        """What the files of a job hold, read now and waited for; `archive` tells the same to who does not wait.

        Raises:
            BadInput, Partial, NoSource: as `open`.
            UgroError: the central directory cannot be used, or the files are not read in time.
        """
        self.open(inquiry.job_id)
        return self._archive.read(inquiry)

    def health(self, node: str | None = None) -> tuple[NodeHealth, ...]:
        """How a node is, or all of them and the disk of the central directory; asked now, waited for half a minute.

        Nodes that do not answer are told as such: state, error and a score of 0.

        Raises:
            BadInput: no such node is watched.
        """
        self.start()
        return self._looks.health([one.name for one in self.nodes], node)
