"""What readers see: immutable pictures of the state, published by the keeper, read by screens, CLI and API."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.alerts import UNHEARD, Alert
from ugro_tui.core.columns import Column
from ugro_tui.core.commands import Answer
from ugro_tui.core.curve import EMPTY, Curve, loss_curve
from ugro_tui.core.entries import EMPTY_BOOK, BookView
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.job import JobState
from ugro_tui.core.launching import Executed, LaunchView, Stage
from ugro_tui.core.liveness import ended_ages, newest_values, step_ages
from ugro_tui.core.rank_view import RankView
from ugro_tui.core.recent import TIME_COLUMNS, mean_times
from ugro_tui.core.records import Matrix
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.states import NodeState
from ugro_tui.core.summary import JobSummary, summarise
from ugro_tui.core.watch import JobWatch


@dataclass(frozen=True, slots=True)
class RankColumns:
    """The ranks of a job as columns, ordered by rank; all of length `len(rank)`, numbers NaN where not known.

    These are the ranks of the newest attempt and those that it waits for.

    `latest` holds the newest values; but the seconds of a step and of its phases are the means of the newest `ROUNDS`
    records, by which stragglers are judged: one record is noise. `step_age` is in seconds; so is `age`, the same but of
    ranks that have ended: since then. `spark` has shape `[ranks, SPARK_WIDTH]`, and is NaN before
    the first step of an attempt; `state` holds `RankState` values.
    """

    rank: npt.NDArray[np.int32]
    node: tuple[str, ...]
    state: npt.NDArray[np.int8]
    step_age: npt.NDArray[np.float64]
    age: npt.NDArray[np.float64]
    spark: npt.NDArray[np.float32]
    latest: Matrix

    def __len__(self) -> int:
        return len(self.rank)

    def column(self, column: Column) -> npt.NDArray[np.float64]:
        """One column of `latest`, shape `[ranks]`."""
        return self.latest[:, column]


@dataclass(frozen=True, slots=True)
class JobView:
    """One job in full."""

    summary: JobSummary
    ranks: RankColumns
    curve: Curve = EMPTY
    phase: str = ""
    """The declared phase (`eval`, `checkpoint`) that a rank is in, if any."""
    metrics: tuple[str, ...] = ()
    """The names of the script's own metrics, as the first rank that has some tells them."""
    saved_age: float = math.nan
    """Seconds since the last declared checkpoint ended on any rank; NaN where none was declared."""
    recorded: str = ""
    """The status that job.json tells, as its launcher wrote it; empty: there is none."""
    blank: bool = False
    """Whether no rank has ever written a record."""

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.summary.job_id

    def known_to(self, rank: int | None = None) -> float:
        """The last step of which this picture tells, of a rank or of all; infinite where it tells of none."""
        steps = self.ranks.column(Column.STEP)
        steps = steps if rank is None else steps[self.ranks.rank == rank]
        return float(np.fmax.reduce(steps, initial=-np.inf)) if np.isfinite(steps).any() else math.inf


def labelled(name: str, host: str) -> str:
    """How people are told of a node; `host`: what the machine calls itself, where that is this one, else empty."""
    return f"{host} ({name})" if host else name


@dataclass(frozen=True, slots=True)
class NodeView:
    """How one node could be read at last. Times in seconds, NaN where not known.

    `age`: since the last answer; `retry`: until the next try, where the node is left alone for a while; `round_trip`:
    of the last question; `clock_offset`: its clock minus ours. `error` is a sentence, `brief` two or three words of it.
    `via`: `in place`, `helper`, `sftp`, or `mirror` where another ugro-tui polls and this one reads what it wrote.
    """

    name: str
    age: float
    error: str = ""
    state: NodeState = NodeState.OK
    brief: str = ""
    retry: float = math.nan
    via: str = ""
    round_trip: float = math.nan
    clock_offset: float = math.nan
    rule: str = ""
    """The alert's key that says why it does not answer, where that is no short blip."""
    behind: float = math.nan
    """For how long there has been more to read than one answer held; NaN where all was read."""
    looked: float = math.nan
    """Seconds since the last look at it ended."""
    host: str = ""
    """What the machine calls itself, where that is this one."""

    @property
    def label(self) -> str:
        """How people are told of it: this machine by its own name, as its ranks are."""
        return labelled(self.name, self.host)


@dataclass(frozen=True, slots=True)
class NodeSync:
    """What a sync has brought from one node so far. `error`: why not all of it; `denied`: what may not be read."""

    node: str
    files: int = 0
    bytes: int = 0
    done: bool = False
    error: str = ""
    denied: tuple[str, ...] = ()


STALE_SYNC_SECONDS: Final = 60.0
"""How long a sync that did not bring all is told of."""


@dataclass(frozen=True, slots=True)
class SyncView:
    """The sync under way, or the last one. `what`: `tensorboard`, `logs`, or both; `age`: seconds since it began."""

    what: str
    age: float
    nodes: tuple[NodeSync, ...]
    job_id: str | None = None

    @property
    def done(self) -> bool:
        """Whether every node has brought all, or failed."""
        return all(node.done for node in self.nodes)

    @property
    def stale(self) -> bool:
        """Whether what it failed for is old news: the same is copied unasked, and what fails then is told as well."""
        return self.done and self.age >= STALE_SYNC_SECONDS and any(node.error or node.denied for node in self.nodes)

    def mended_by(self, second: SyncView) -> SyncView:
        """What this sync brought, and for the nodes that it failed with what a second one did."""
        pairs = zip(self.nodes, second.nodes, strict=True)
        return replace(self, nodes=tuple(new if old.error else old for old, new in pairs))


@dataclass(frozen=True, slots=True)
class Question:
    """Something that only a person can answer, with the command `Tell`. `secret`: not to be shown while typed."""

    key: str
    text: str
    secret: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a front end shows, at one moment. `now` is monotonic seconds, `version` grows.

    `listed` are jobs that are too old to be polled until someone opens them.
    """

    version: int = 0
    now: float = 0.0
    jobs: tuple[JobView, ...] = ()
    listed: tuple[str, ...] = ()
    nodes: tuple[NodeView, ...] = ()
    answers: tuple[Answer, ...] = ()
    notices: tuple[str, ...] = ()
    cycles: int = 0
    """Completed looks at the node that was looked at least often: 0 until everything was read once."""
    sync: SyncView | None = None
    questions: tuple[Question, ...] = ()
    book: BookView = EMPTY_BOOK
    """The alerts that fire, with what people said to them, those that are over, and what was told of them."""
    thresholds: Thresholds = DEFAULTS
    """The numbers by which alerts are judged."""
    reading: str = ""
    """Why this application only reads the central directory (another one writes it); empty when it writes itself."""
    alerts: tuple[Alert, ...] = ()
    """What is wrong with nodes, the worst first; what is wrong with a job is in its summary."""
    launch: LaunchView | None = None
    """The launch or stop under way, or the last one."""
    executed: tuple[Executed, ...] = ()
    """The commands that were run on nodes, the newest last."""
    read_only: bool = False
    """Whether jobs may neither be started nor stopped from here."""
    health: tuple[NodeHealth, ...] = ()
    """How each node is; behind them the disk of the central directory, where there is one."""
    rank: RankView | None = None
    """The rank that was opened last, if it is known."""

    @property
    def heard(self) -> tuple[Alert, ...]:
        """The alerts about nodes that can be heard: that others cannot be is told by `nodes`."""
        return tuple(alert for alert in self.alerts if alert.rule not in UNHEARD)

    @property
    def node_names(self) -> tuple[str, ...]:
        """The nodes that are watched."""
        return tuple(node.name for node in self.nodes)

    @property
    def taken(self) -> frozenset[str]:
        """The names that no new job can have. Where a launch failed before the first record, its name is free again."""
        launch = self.launch
        failed = launch.job_id if launch is not None and launch.plan and launch.stage is Stage.FAILED else ""
        free = {job.job_id for job in self.jobs if job.blank and (job.recorded == "failed" or job.job_id == failed)}
        return frozenset((*self.listed, *(job.job_id for job in self.jobs))) - free

    def job(self, job_id: str) -> JobView | None:
        """The job of that id, if it is known."""
        return next((job for job in self.jobs if job.job_id == job_id), None)


def view(
    job: JobState,
    now: float,
    curve: Curve,
    watch: JobWatch | None = None,
    thresholds: Thresholds = DEFAULTS,
    aged: Callable[[str, int, Alert], Alert] = lambda _job_id, _attempt, alert: alert,
) -> JobView:
    """The picture of `job` at `now`; `curve` is handed in because it changes less often than the ages do.

    `watch` remembers from one picture to the next what its rules need; without one it is a first look. `aged` gives an
    alert of a job's attempt its age, where it was seen before.
    """
    watch = watch or JobWatch()
    alerts = watch.tick(job, now, thresholds)
    if not job.status(now).over:  # else it fires no longer than to the end, which records tell
        alerts = tuple(aged(job.job_id, job.attempt, alert) for alert in alerts)
    table = job.table
    ranks = job.expected()
    order = np.array([rank.row for rank in ranks], np.intp)
    states = job.states(now)
    ended = ended_ages(table, states, now)[order]
    stepped = np.where(np.isnan(table.latest[order, Column.STEP]), np.nan, step_ages(table, now)[order])
    latest = newest_values(table, states)[order]
    latest[:, TIME_COLUMNS] = mean_times(table.rounds[order])
    columns = RankColumns(
        rank=np.array([rank.rank for rank in ranks], np.int32),
        node=tuple(rank.node for rank in ranks),
        state=states[order],
        step_age=stepped,
        age=np.where(np.isnan(ended), stepped, ended),
        spark=np.where(np.isnan(stepped)[:, None], np.float32(np.nan), table.spark[order]),
        latest=latest,
    )
    phases = {rank.phase for rank in job.current()} - {""}
    own = next((tuple(rank.metrics) for rank in job.current() if rank.metrics), ())
    summary, phase = summarise(job, now, alerts, watch.unjudged), min(phases, default="")
    recorded = "" if job.manifest is None else job.manifest.status
    blank = all(rank.next_seq == 0 for rank in ranks)
    return JobView(summary, columns, curve, phase, own, _saved_age(job, now), recorded, blank)


def _saved_age(job: JobState, now: float) -> float:
    """From the checkpoint to the rank's last record by the node's clock, and from there on by ours."""
    ages = [rank.last_ts - rank.saved_ts + now - job.table.write_at[rank.row] for rank in job.current()]
    return min((float(age) for age in ages if age >= 0), default=math.nan)


def curve_of(job: JobState) -> Curve:
    """The loss curve of a job's newest attempt."""
    return loss_curve(job.current())
