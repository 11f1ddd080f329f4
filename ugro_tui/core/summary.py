"""One summary of a job for every front end: `status --json`, the header and `Agent` cannot disagree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ugro_tui.core.alerts import UNHEARD, Alert, Severity
from ugro_tui.core.columns import Column
from ugro_tui.core.eta import remaining_seconds, seconds_per_step
from ugro_tui.core.job import JobState
from ugro_tui.core.liveness import write_ages
from ugro_tui.core.rank import MILLION, Rank
from ugro_tui.core.rules.ends import cause_of_death
from ugro_tui.core.states import JobStatus, RankState
from ugro_tui.core.watch import evaluate, worst


@dataclass(frozen=True, slots=True)
class RankSummary:
    """One rank in numbers. Losses are as recorded, throughputs in tokens/s of this rank; NaN where not known.

    `loss_bad`: its newest loss is no number (any more); `final_loss` is then not known, whatever it was before.
    """

    rank: int
    node: str
    state: str
    cause: str
    step: float
    final_loss: float
    min_loss: float
    lr: float
    grad_norm: float
    throughput: float
    avg_throughput: float
    records: int
    loss_bad: bool
    last_finite_loss: float
    non_finite: int
    lost: int
    dropped: int
    skipped: int


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One job in numbers. Times in s, throughput in tokens/s over the ranks that are well; NaN: not known."""

    job_id: str
    status: JobStatus
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
    tokens: float
    age: float
    alerts: tuple[Alert, ...]
    per_rank_stats: tuple[RankSummary, ...]
    verdict: str
    unjudged: tuple[str, ...] = ()
    """What no rule judges, and why."""

    @property
    def unwell(self) -> bool:
        """Whether a script should stop and look: the job failed, or something critical is wrong with it."""
        return self.status is JobStatus.FAILED or any(alert.severity is Severity.CRIT for alert in self.alerts)

    @property
    def heard_unwell(self) -> bool:
        """Whether it is unwell by what its nodes say, not only because one of them does not answer."""
        crit = {alert.rule for alert in self.alerts if alert.severity is Severity.CRIT}
        return self.status is JobStatus.FAILED or bool(crit - UNHEARD)


_WELL = ("running", "slow", "finished")


def summarise(
    job: JobState, now: float, alerts: tuple[Alert, ...] | None = None, unjudged: tuple[str, ...] = ()
) -> JobSummary:
    """The summary of `job` at `now` (monotonic seconds), with the `alerts` of its watch; of a first look without.

    `final_loss` is the mean of the ranks' last losses: under DDP that is the loss of the global batch. It is not known
    where the newest loss of a rank is no number (`loss_bad`); `last_finite_loss` is the mean of the last that were.
    `duration` runs from the attempt's first record to its last, by the node's clock, plus the time since that was
    written while the job lives.
    """
    alerts = evaluate(job, now) if alerts is None else alerts
    current = job.current()
    states = job.states(now)
    status = job.status(now)
    first = job.first_failure(now)
    known = [RankState(state) for state in states.tolist()]
    ranks = tuple(_rank(job, rank, known[rank.row], first) for rank in current)
    pace = _pace(current)
    step = job.step()
    stepping = any(rank.state in ("running", "slow") for rank in ranks)
    living = status in (JobStatus.RUNNING, JobStatus.STARTING)
    age = _youngest(job, current, now)
    bad = any(rank.loss_bad for rank in ranks)
    return JobSummary(
        job_id=job.job_id,
        status=status,
        attempt=job.attempt,
        step=step,
        total_steps=job.total_steps,
        seconds_per_step=pace,
        duration=_greatest([_span(job, rank, now if living else math.nan) for rank in current]),
        eta=remaining_seconds(step, job.total_steps, pace) if living and stepping else math.nan,
        world_size=job.world_size,
        ranks_seen=len(current),
        ranks_ok=sum(rank.state in _WELL for rank in ranks),
        final_loss=math.nan if bad else _mean([rank.final_loss for rank in ranks]),
        loss_bad=bad,
        last_finite_loss=_mean([rank.last_finite_loss for rank in ranks]),
        min_loss=_least([rank.min_loss for rank in ranks]),
        throughput=_total([rank.throughput for rank in ranks if rank.state in _WELL]),
        avg_throughput=_total([rank.avg_throughput for rank in ranks]),
        tokens=_total([float(job.table.latest[rank.row, Column.TOKENS]) for rank in current]),
        age=age,
        alerts=alerts,
        per_rank_stats=ranks,
        verdict=_verdict(job, status, alerts, ranks),
        unjudged=unjudged,
    )


def _rank(job: JobState, rank: Rank, state: RankState, first: Rank | None) -> RankSummary:
    latest = job.table.latest[rank.row]
    loss = rank.series.column(Column.LOSS)
    finite = loss[np.isfinite(loss)]
    rows = rank.throughput_rows
    bad = rank.bad is not None and rank.bad.of_loss and not rank.bad.finite
    return RankSummary(
        rank=rank.rank,
        node=rank.node,
        state=state.word,
        cause=cause_of_death(job, rank, first) if state == RankState.DEAD else "",
        step=float(latest[Column.STEP]),
        final_loss=float(finite[-1]) if len(finite) and not bad else math.nan,
        min_loss=float(finite.min()) if len(finite) else math.nan,
        lr=float(latest[Column.LR]),
        grad_norm=float(latest[Column.GRAD_NORM]),
        throughput=float(latest[Column.THROUGHPUT]),
        avg_throughput=rank.throughput_sum / MILLION / rows if rows else math.nan,
        records=rank.records,
        loss_bad=bad,
        last_finite_loss=float(finite[-1]) if len(finite) else math.nan,
        non_finite=rank.bad_records,
        lost=rank.lost,
        dropped=rank.end.dropped if rank.end else (rank.heartbeat.dropped if rank.heartbeat else 0),
        skipped=rank.tally.skipped,
    )


def _verdict(job: JobState, status: JobStatus, alerts: tuple[Alert, ...], ranks: tuple[RankSummary, ...]) -> str:
    if (first := worst(alerts)) is not None:
        return first.sentence
    if status == JobStatus.RUNNING:
        return _progress(job, ranks)
    if status == JobStatus.UNKNOWN and (away := job.unreachable()):
        nodes = sorted({node for rank in away for node in rank.sources.names})
        return f"no news: {', '.join(nodes[:4])}{', …' if len(nodes) > 4 else ''}: {job.away[nodes[0]].why}"
    return {
        JobStatus.FINISHED: "finished",
        JobStatus.STARTING: "started, waiting for the first step",
        JobStatus.PENDING: "waiting for the first record",
        JobStatus.STOPPED: "stopped",
        JobStatus.FAILED: _failed_before_records(job),
    }.get(status, "no news: neither records nor heartbeats tell what it does")


def _failed_before_records(job: JobState) -> str:
    """What is known of a job of which no rank is known to have failed: its launcher's word."""
    code = job.manifest.exit_code if job.manifest else None
    ended = "" if code is None else f" with exit code {code}"
    return f"its launcher ended{ended} and no rank said why; read the ends of logs/rank_0.log and logs/torchrun.log"


def _progress(job: JobState, ranks: tuple[RankSummary, ...]) -> str:
    phase = min({rank.phase for rank in job.current()} - {""}, default="")
    stepping = sum(rank.state in ("running", "slow") and not math.isnan(rank.step) for rank in ranks)
    size = job.world_size
    away = sum(rank.state == "unreachable" for rank in ranks)
    if away:
        return f"{stepping} of {size} ranks are stepping; {away} cannot be reached"
    if stepping < size:
        return f"{stepping} of {size} ranks are stepping"
    if phase:
        return f"in {phase}"
    return f"all {size} ranks are stepping" if size > 1 else "stepping"


def _pace(current: list[Rank]) -> float:
    return seconds_per_step(max((rank.attempt_rows for rank in current), key=len)) if current else math.nan


def _span(job: JobState, rank: Rank, now: float) -> float:
    """Seconds from the rank's first record to its last, or to `now` while it lives; NaN without times."""
    since = 0.0 if rank.end else float(np.fmax(now - job.table.write_at[rank.row], 0.0))
    return float(np.maximum(rank.last_ts - rank.first_ts, 0.0)) + since


def _youngest(job: JobState, current: list[Rank], now: float) -> float:
    ages = write_ages(job.table, now)[[rank.row for rank in current]]
    known = ages[np.isfinite(ages)]
    return float(known.min()) if len(known) else math.nan


def _mean(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _total(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) if known else math.nan


def _greatest(values: list[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=math.nan)


def _least(values: list[float]) -> float:
    return min((value for value in values if math.isfinite(value)), default=math.nan)
