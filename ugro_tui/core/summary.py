"""One summary of a job for every front end: `status --json`, the header and `Agent` cannot disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ugro_tui.core.alerts import UNHEARD, Alert, Severity, worst
from ugro_tui.core.archive import Floats
from ugro_tui.core.columns import HISTORY_WIDTH, Column
from ugro_tui.core.ends import Ends
from ugro_tui.core.eta import mean_seconds_per_step, paces, remaining_seconds
from ugro_tui.core.job import JobState
from ugro_tui.core.liveness import States, ended_ages, step_ages, write_ages
from ugro_tui.core.rank import Rank
from ugro_tui.core.rank_stats import RankStats, stats_of
from ugro_tui.core.records import Matrix
from ugro_tui.core.rules.ends import launcher_words
from ugro_tui.core.rules.line import MOST_RANKS
from ugro_tui.core.sample import sample
from ugro_tui.core.states import HUNG, STALLED, STEPPING, JobStatus, RankState
from ugro_tui.core.watch import evaluate


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One job in numbers. Times in s, throughput in tokens/s; NaN: not known.

    `throughput` (of the newest records) and `seconds_per_step` (the median of the last 20) are of now: there is none of
    ranks that do not step. `eta` goes by this pace, and by how much evaluations and checkpoints took of the last 200.
    Means over the run begin with `avg_`: `avg_throughput` over the time that steps took, without declared pauses and a
    standstill after the last step, `avg_seconds_per_step` over all the time up to it.
    """

    job_id: str
    status: JobStatus
    state: str
    """Its status as people are told it: `hung` or `stalled` where it runs, and nothing steps."""
    attempt: int
    step: float
    total_steps: int | None
    seconds_per_step: float
    duration: float
    eta: float
    world_size: int
    ranks_seen: int
    ranks_ok: int
    final_loss: float
    loss_bad: bool
    last_finite_loss: float
    min_loss: float
    throughput: float
    avg_throughput: float
    avg_seconds_per_step: float
    tokens: float
    age: float
    """Since any rank wrote anything last, its heartbeats included."""
    step_age: float
    """Since the newest step of any rank."""
    ended_age: float
    """Since the last of its ranks ended; NaN while it is not over."""
    alerts: tuple[Alert, ...]
    per_rank_stats: RankStats
    verdict: str
    unjudged: tuple[str, ...] = ()
    """What no rule judges, and why."""
    restarts: int = 0
    """How often torchrun has started the ranks again within this attempt."""

    @property
    def missing(self) -> int:
        """Records that were lost, and lines that are no record, of all ranks."""
        lost, skipped = self.per_rank_stats.column("lost"), self.per_rank_stats.column("skipped")
        return int(sum(lost) + sum(skipped))

    @property
    def shown_age(self) -> float:
        """What a column `Age` tells: seconds since the newest step; of a job that is over, since its end."""
        return self.ended_age if self.status.over else self.step_age

    @property
    def ends(self) -> Ends:
        """What the loss came to, and which rank had the lowest."""
        lowest, ranks = self.per_rank_stats.column("min_loss"), self.per_rank_stats.column("rank")
        who = ranks[lowest.index(self.min_loss)] if math.isfinite(self.min_loss) else -1
        return Ends(self.final_loss, self.min_loss, who, len(ranks), self.loss_bad)

    @property
    def unwell(self) -> bool:
        """Whether a script should stop and look: the job failed, or something critical is wrong with it."""
        return self.status is JobStatus.FAILED or any(alert.severity is Severity.CRIT for alert in self.alerts)

    @property
    def heard_unwell(self) -> bool:
        """Whether it is unwell by what its nodes say, not only because one of them does not answer."""
        crit = {alert.rule for alert in self.alerts if alert.severity is Severity.CRIT}
        return self.status is JobStatus.FAILED or bool(crit - UNHEARD)


_WELL: Final = (*STEPPING, RankState.FINISHED)


_ENDED: Final = {JobStatus.FINISHED: "finished, but ", JobStatus.STOPPED: "stopped; "}
"""How the verdict of a job that is over begins, where something is wrong in it: that it failed is what is wrong."""


def summarise(
    job: JobState, now: float, alerts: tuple[Alert, ...] | None = None, unjudged: tuple[str, ...] = ()
) -> JobSummary:
    """The summary of `job` at `now` (monotonic seconds), with the `alerts` of its watch; of a first look without.

    `final_loss` is the mean of the ranks' last losses: under DDP that is the loss of the global batch. It is not known
    where the newest loss of a rank is no number (`loss_bad`); `last_finite_loss` is the mean of the last that were. A
    new attempt has no numbers before its first record; `min_loss` is that of the whole run as soon as it has made a
    step, as its curve is.
    `duration` runs from the attempt's first record to its last, by the node's clock, plus the time since that was
    written while the job lives.
    """
    alerts = evaluate(job, now) if alerts is None else alerts
    joined = not job.relaunched(now)  # else all that ranks tell is of an attempt before this one
    current, rows = (job.current(), job.current_rows()) if joined else ([], job.current_rows()[:0])
    states = job.states(now)
    status = job.status(now)
    ranks = stats_of(job, current, states, job.first_failure(now))
    here, latest = states[rows], job.table.latest[rows]
    newest, step = job.attempt, job.step() if joined else math.nan
    living = status in (JobStatus.RUNNING, JobStatus.STARTING)
    stepping = bool(np.isin(here, STEPPING).any()) and living
    told = _most_told(current)
    pace, planned = paces(told) if stepping else (math.nan, math.nan)
    bad = any(ranks.column("loss_bad"))
    return JobSummary(
        job_id=job.job_id,
        status=status,
        state=_state(status, here),
        attempt=job.attempt,
        step=step,
        total_steps=job.total_steps,
        seconds_per_step=pace,
        duration=_longest(current, job.table.write_at[rows], now if living else math.nan),
        eta=remaining_seconds(step, job.total_steps, planned),
        world_size=job.world_size,
        ranks_seen=len(current),
        ranks_ok=int(np.isin(here, _WELL).sum()),
        final_loss=math.nan if bad else _mean(ranks.column("final_loss")),
        loss_bad=bad,
        last_finite_loss=_mean(ranks.column("last_finite_loss")),
        min_loss=_least(ranks.column("min_loss")),
        throughput=_total(ranks.column("throughput")) if stepping else math.nan,
        avg_throughput=_total(ranks.column("avg_throughput")),
        avg_seconds_per_step=mean_seconds_per_step(told),
        tokens=_greatest(latest[:, Column.TOKENS].tolist()),
        age=_least(write_ages(job.table, now)[rows].tolist()),
        step_age=_least(step_ages(job.table, now)[rows][~np.isnan(latest[:, Column.STEP])].tolist()),
        ended_age=_least(ended_ages(job.table, states, now)[rows].tolist()) if status.over else math.nan,
        alerts=alerts,
        per_rank_stats=ranks,
        verdict=_verdict(job, status, alerts, states),
        unjudged=unjudged,
        restarts=max((rank.restarts for rank in current if rank.attempt == newest), default=0),
    )


def _state(status: JobStatus, here: States) -> str:
    if not status.over and RankState.HUNG in here:
        return HUNG
    alone = status is JobStatus.RUNNING and RankState.STALLED in here and not np.isin(here, STEPPING).any()
    return STALLED if alone else status.value


def _verdict(job: JobState, status: JobStatus, alerts: tuple[Alert, ...], states: States) -> str:
    said, backend = (job.manifest.said, job.manifest.backend) if job.manifest else ("", "")
    ended_by_slurm = backend == "slurm" and status in (JobStatus.FAILED, JobStatus.STOPPED)
    if said and (status is JobStatus.PENDING or ended_by_slurm):
        return said  # a scheduler's word: what became of ranks follows from it
    first = worst(alerts)
    if first is not None and first.rule != "launch_failed":
        return f"{_ENDED.get(status, '')}{first.sentence}"
    if status == JobStatus.RUNNING:
        return _progress(job, states)
    if status == JobStatus.UNKNOWN and (away := job.unreachable()):
        nodes = sorted({node for rank in away for node in rank.sources.names})
        return f"no news: {', '.join(nodes[:4])}{', …' if len(nodes) > 4 else ''}: {job.away[nodes[0]].why}"
    return {
        JobStatus.FINISHED: "finished",
        JobStatus.STARTING: "started, waiting for the first step",
        JobStatus.PENDING: "waiting for the first record",
        JobStatus.STOPPED: "stopped",
        JobStatus.FAILED: launcher_words(job),
    }.get(status, "no news: neither records nor heartbeats tell what it does")


def _progress(job: JobState, states: States) -> str:
    phase = min({rank.phase for rank in job.current()} - {""}, default="")
    rows = job.current_rows()
    stepped = ~np.isnan(job.table.latest[rows, Column.STEP])
    stepping = int((np.isin(states[rows], STEPPING) & stepped).sum())
    size = job.world_size
    away = int((states[rows] == RankState.UNREACHABLE).sum())
    if away:
        return f"{stepping} of {size} ranks are stepping; {away} cannot be reached"
    if stepping < size:
        return f"{stepping} of {size} ranks are stepping"
    if phase:
        return f"in {phase}"
    return f"all {size} ranks are stepping" if size > 1 else "stepping"


def _most_told(current: list[Rank]) -> Matrix:
    """The rows of the rank that has recorded most, of some of them: they step together."""
    some = sample(current, MOST_RANKS)
    return max((rank.attempt_rows for rank in some), key=len) if some else np.empty((0, HISTORY_WIDTH))


def _longest(current: list[Rank], written: Floats, now: float) -> float:
    """Seconds from a rank's first record to its last, or from what was `written` last to `now` while it lives; NaN
    without times."""
    first, last = np.array([rank.first_ts for rank in current]), np.array([rank.last_ts for rank in current])
    living = np.array([rank.end is None for rank in current], float)
    since = np.fmax(now - written, 0.0) * living
    return _greatest((np.maximum(last - first, 0.0) + since).tolist())


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _total(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) if known else math.nan


def _greatest(values: Sequence[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=math.nan)


def _least(values: Sequence[float]) -> float:
    return min((value for value in values if math.isfinite(value)), default=math.nan)
