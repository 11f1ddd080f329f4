"""`Agent`: the composition root and the Python API; the CLI and the screens stand on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.config import Config
from ugro_tui.core.columns import Column
from ugro_tui.core.commands import OpenJob
from ugro_tui.core.errors import BadInput, NoSource
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.ports import Clock, Feed
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.core.states import RankState
from ugro_tui.core.summary import JobSummary
from ugro_tui.core.text import visible
from ugro_tui.nodes.local import LocalNode

if TYPE_CHECKING:
    from ugro_tui.act.local import LocalJob

FIRST_LOOK_SECONDS = 60.0
"""How long the first look at all sources may take before a headless command gives up."""


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


class Agent:
    """Watches the jobs of `config.metrics_dir`. Use it as a context manager, or call `start` and `close`.

    With `only`, that job alone is read.
    """

    def __init__(self, config: Config, clock: Clock | None = None, only: str | None = None) -> None:
        self.config = config
        self._clock = clock or SystemClock()
        self._node = LocalNode(config.metrics_dir, self._clock.time)
        self._collector = TrainingMetricsCollector([self._node], self._clock, config.refresh, only)

    def __enter__(self) -> Agent:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin to watch."""
        self._collector.start()

    def close(self) -> None:
        """Watch no more. What was learned stays readable."""
        self._collector.stop()

    @property
    def feed(self) -> Feed:
        """What the screens see."""
        return self._collector

    @property
    def collector(self) -> TrainingMetricsCollector:
        """What launchers hand their jobs to."""
        return self._collector

    def follow(self, job_id: str) -> None:
        """Read this job first from now on, whatever its age. Cheap: only the list of jobs is looked at.

        Raises:
            BadInput: no job can have this id, or there is none.
            NodeError: the metrics directory cannot be read.
        """
        checked_job_id(job_id)
        known = [entry.job_id for entry in self._node.jobs()]
        if job_id not in known:
            raise BadInput(self._unknown(job_id, known))
        self._collector.start_collection(job_id)

    def start_demo(self, options: Sequence[str]) -> LocalJob:
        """Start the training run of `ugro-tui demo` on this machine and follow it.

        Raises:
            UgroError: it cannot be started; the message says why and what to do.
        """
        from ugro_tui.act.demo import demo_plan  # only who launches pays for the launcher's imports
        from ugro_tui.act.local import start

        job = start(demo_plan(self.config.metrics_dir, options, self._clock), self._clock)
        self._collector.start_collection(job.plan.job_id)
        return job

    def look(self) -> Snapshot:
        """The first snapshot after everything was read once.

        Raises:
            NoSource: the metrics directory cannot be read, or not in time.
        """
        self.start()
        deadline = self._clock.monotonic() + FIRST_LOOK_SECONDS
        snapshot = self._collector.snapshot()
        while snapshot.cycles < 1 and self._clock.monotonic() < deadline and not self._collector.stopped:
            snapshot = self._collector.wait_newer(snapshot.version, deadline - self._clock.monotonic())
        if snapshot.cycles < 1:
            raise self._too_slow()
        if snapshot.nodes and all(node.error for node in snapshot.nodes):
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
        found = (self._collector.snapshot() if self._collector.stopped else self._after_opening(job_id)).job(job_id)
        if found is None:
            raise BadInput(self._unknown(job_id, [entry.job_id for entry in self._node.jobs()]))
        return found

    def _after_opening(self, job_id: str) -> Snapshot:
        number = self._collector.request(OpenJob(job_id)).number
        deadline = self._clock.monotonic() + FIRST_LOOK_SECONDS
        snapshot = self.look()
        while all(answer.number < number for answer in snapshot.answers):
            if self._clock.monotonic() >= deadline:
                raise self._too_slow()
            snapshot = self._collector.wait_newer(snapshot.version, deadline - self._clock.monotonic())
        return snapshot

    def _too_slow(self) -> NoSource:
        return NoSource(
            f"{self.config.metrics_dir} was not read within {FIRST_LOOK_SECONDS:.0f} s: look at its disk, or name "
            "another directory with --metrics-dir"
        )

    def _unknown(self, job_id: str, known: Sequence[str]) -> str:
        place = visible(str(self.config.metrics_dir))
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
