"""`Agent`: the composition root and the Python API; the CLI and the screens stand on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.collector import Doors, TrainingMetricsCollector
from ugro_tui.config import Config
from ugro_tui.core.columns import Column
from ugro_tui.core.commands import OpenJob
from ugro_tui.core.errors import BadInput, NoSource, UgroError
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.ports import Clock, Feed
from ugro_tui.core.snapshot import JobView, Snapshot, SyncView
from ugro_tui.core.states import RankState
from ugro_tui.core.summary import JobSummary
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Ask
from ugro_tui.nodes.fleet import make_nodes, make_rsyncs
from ugro_tui.nodes.secrets import Secrets

if TYPE_CHECKING:
    from ugro_tui.act.local import LocalJob
    from ugro_tui.act.tensorboard import TensorBoard

FIRST_LOOK_SECONDS = 60.0
"""How long the first look at all sources may take before a headless command gives up."""


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


class TensorBoardDoor:
    """One TensorBoard on `folder`, started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._board: TensorBoard | None = None

    def open(self) -> str:
        """Its address.

        Raises:
            UgroError: it cannot be started; the message says why and what to do.
        """
        from ugro_tui.act.tensorboard import TensorBoard  # only who opens it pays for its imports

        self._board = self._board or TensorBoard(self._folder)
        return self._board.open()

    def close(self) -> None:
        """End it, if it runs."""
        if self._board is not None:
            self._board.stop()


class Agent:
    """Watches the jobs of `config.nodes`, or of this machine. Use it as a context manager, or `start` and `close`.

    With `only`, that job alone is read. With `keep`, logs and event files are copied to the central directory all the
    time; without it, only when they are asked for.
    """

    def __init__(
        self, config: Config, clock: Clock | None = None, only: str | None = None, *, keep: bool = False
    ) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self._secrets = Secrets()
        specs = config.inventory()
        self.nodes = make_nodes(
            specs,
            config.metrics_dir,
            config.remote_metrics_dir,
            config.ssh_config,
            self._secrets,
            self.clock,
        )
        self.copies = ResultAggregator(config.central, self.clock, self._names()) if config.remote else None
        self._board = TensorBoardDoor(self.event_files)
        self._collector = TrainingMetricsCollector(
            self.nodes,
            self.clock,
            config.refresh,
            only,
            aggregator=self.copies,
            keep=keep,
            doors=Doors(self._tell, self._board.open),
            rsyncs=make_rsyncs(specs, config.remote_metrics_dir, config.ssh_config) if config.engine == "rsync" else {},
        )

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

    def _names(self) -> list[str]:
        return [node.name for node in self.nodes]

    def start(self) -> None:
        """Begin to watch."""
        self._collector.start()

    def close(self) -> None:
        """Watch no more. What was learned stays readable."""
        self._collector.stop()
        self._board.close()

    @property
    def feed(self) -> Feed:
        """What the screens see."""
        return self._collector

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

    def follow(self, job_id: str) -> None:
        """Read this job first from now on, whatever its age.

        Raises:
            BadInput: no job can have this id; or only this machine is watched, and it has none.
            NodeError: the metrics directory cannot be read.
        """
        checked_job_id(job_id)
        if self.copies is None:
            known = self._there()
            if job_id not in known:
                raise BadInput(self._unknown(job_id, known))
        self._collector.start_collection(job_id)

    def _there(self) -> list[str]:
        """The jobs of this machine, the newest first. Cheap: only their list is looked at."""
        reply = self.nodes[0].poll(Ask())
        return [entry.job_id for entry in reply.jobs] + list(reply.older or ())

    def sync(self, job_id: str | None = None) -> SyncView:
        """Copy the logs and event files of a job (of all recent ones) now; what came from which node.

        Raises:
            BadInput: no job can have this id, or there is nothing to copy, as only this machine is watched.
        """
        if self.copies is None:
            raise BadInput("only this machine is watched, and read in place: name nodes to sync from with --nodes")
        self.look()
        if self.copies.said():
            raise UgroError(f"{self.copies.said()}: sync there (key S), or end it first")
        return self.copies.sync(job_id)

    def syncing(self) -> SyncView | None:
        """How far the sync is that is under way, or the last one."""
        return self._collector.snapshot().sync

    def start_demo(self, options: Sequence[str]) -> LocalJob:
        """Start the training run of `ugro-tui demo` on this machine and follow it.

        Raises:
            UgroError: it cannot be started; the message says why and what to do.
        """
        from ugro_tui.act.demo import demo_plan  # only who launches pays for the launcher's imports
        from ugro_tui.act.local import start

        job = start(demo_plan(self.config.metrics_dir, options, self.clock), self.clock)
        self._collector.start_collection(job.plan.job_id)
        return job

    def look(self) -> Snapshot:
        """The first snapshot after everything was read once.

        Raises:
            NoSource: the metrics directory cannot be read, or not in time.
        """
        self.start()
        deadline = self.clock.monotonic() + FIRST_LOOK_SECONDS
        snapshot = self._collector.snapshot()
        while snapshot.cycles < 1 and self.clock.monotonic() < deadline and not self._collector.stopped:
            snapshot = self._collector.wait_newer(snapshot.version, deadline - self.clock.monotonic())
        if snapshot.cycles < 1:
            raise self._too_slow()
        if snapshot.nodes and all(node.error for node in snapshot.nodes) and not (snapshot.jobs or snapshot.listed):
            raise NoSource("; ".join(node.error for node in snapshot.nodes))
        return snapshot

    def job(self, job_id: str) -> JobView:
        """The newest picture of a job, read now if it was not followed.

        Raises:
            BadInput: no job can have this id, there is none, or it has no records.
            NoSource, NodeError: the metrics directory cannot be read.
        """
        checked_job_id(job_id)
        self.start()
        snapshot, problem = self._after_opening(job_id)
        found = snapshot.job(job_id)
        if found is None:
            there = [job.job_id for job in snapshot.jobs] + list(snapshot.listed)
            raise BadInput(self._unknown(job_id, there if problem else [*there, job_id]))
        return found

    def _after_opening(self, job_id: str) -> tuple[Snapshot, str]:
        """The snapshot after every node was asked for the job, and why none has it; empty where one does."""
        if self._collector.stopped:
            return self._collector.snapshot(), "not watched any more"
        number = self._collector.request(OpenJob(job_id)).number
        deadline = self.clock.monotonic() + FIRST_LOOK_SECONDS
        snapshot = self.look()
        while (answer := next((one for one in snapshot.answers if one.number == number), None)) is None:
            if self.clock.monotonic() >= deadline:
                raise self._too_slow()
            snapshot = self._collector.wait_newer(snapshot.version, deadline - self.clock.monotonic())
        return snapshot, answer.problem

    def _too_slow(self) -> NoSource:
        remedy = "look at its disk" if self.copies is None else "see `ugro-tui doctor`"
        return NoSource(
            f"{self.place} was not read within {FIRST_LOOK_SECONDS:.0f} s: {remedy}, or name another directory "
            "with --metrics-dir"
        )

    def _unknown(self, job_id: str, known: Sequence[str]) -> str:
        place = visible(self.place)
        if job_id in known:
            return f"job {job_id} in {place} has no records yet: see what its training script prints, or wait"
        there = f"jobs there: {', '.join(known[:8])}{', …' if len(known) > 8 else ''}" if known else "it holds no jobs"
        return f"no job {job_id} in {place} ({there}): choose one of them, or another directory with --metrics-dir"

    def get_job_summary(self, job_id: str) -> dict[str, Any]:
        """A job in numbers: the fields of `JobSummary`; `per_rank_stats` by rank. None for what is not known.

        Raises:
            BadInput, NoSource: as `job`.
        """
        return summary_dict(self.job(job_id).summary)

    def get_live_metrics(self, job_id: str) -> dict[str, Any]:
        """The newest values of a job and of each of its ranks; None for what is not known.

        Raises:
            BadInput, NoSource: as `job`.
        """
        return live_dict(self.job(job_id))


def summary_dict(summary: JobSummary) -> dict[str, Any]:
    """A summary as JSON can hold it."""
    found: dict[str, Any] = jsonable(summary)
    found["per_rank_stats"] = {str(rank["rank"]): rank for rank in found["per_rank_stats"]}
    return found


def status_dict(snapshot: Snapshot) -> dict[str, Any]:
    """All jobs and nodes as JSON can hold them; NaN becomes null."""
    found: dict[str, Any] = jsonable({"nodes": snapshot.nodes, "listed": snapshot.listed, "notices": snapshot.notices})
    return {"jobs": [summary_dict(job.summary) for job in snapshot.jobs], **found, "reading": snapshot.reading}


def live_dict(view: JobView) -> dict[str, Any]:
    """The newest values of a job and its ranks as JSON can hold them; ages in seconds."""
    found: dict[str, Any] = jsonable(view.summary)
    del found["per_rank_stats"]
    ranks = view.ranks
    names = [column for column in Column if column not in (Column.SEQ, Column.BAD)]
    found["phase"] = view.phase
    found["ranks"] = {
        str(ranks.rank[row]): {
            "node": ranks.node[row],
            "state": RankState(int(ranks.state[row])).word,
            "step_age": jsonable(float(ranks.step_age[row])),
        }
        | {column.name.lower(): jsonable(float(ranks.latest[row, column])) for column in names}
        for row in range(len(ranks))
    }
    return found
