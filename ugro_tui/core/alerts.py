"""What is wrong, by rule: non-finite loss, a stalled rank, a rank that ended in failure. Pure, over job state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ugro_tui.core.job import JobState
from ugro_tui.core.liveness import stall_limits, step_ages, write_ages
from ugro_tui.core.numbers import duration, plain
from ugro_tui.core.ranks import Rank
from ugro_tui.core.states import JobStatus, RankState

UNREACHABLE = "node unreachable"
"""The name of the alert that is about a node, not about what the job does there."""


class Severity(IntEnum):
    """How bad it is."""

    INFO = 0
    WARN = 1
    CRIT = 2


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong with one rank. `age` is in seconds; `next_step` is what to do first."""

    name: str
    severity: Severity
    rank: int
    node: str
    what: str
    age: float
    next_step: str


def evaluate(job: JobState, now: float) -> tuple[Alert, ...]:
    """All alerts of a job that fire at `now` (monotonic seconds): the worst first, causes before their effects.

    So a rank that failed comes before the ranks that wait for it, and of several the one that failed first.
    """
    if job.relaunched(now):
        return ()
    states = job.states(now)
    found = [*_failed(job, states, now), *_oldest(_bad_loss(job, now)), *_unreachable(job)]
    found += [*_stalled(job, states, now), *_recovered(job)]
    return tuple(sorted(found, key=lambda alert: -alert.severity))


def _oldest(alerts: Iterator[Alert]) -> list[Alert]:
    return sorted(alerts, key=lambda alert: (-alert.age, alert.rank))


def _bad_loss(job: JobState, now: float) -> Iterator[Alert]:
    for rank in job.current():
        if rank.bad is not None:
            value = "NaN" if np.isnan(rank.bad.value) else plain(rank.bad.value)
            yield Alert(
                "non-finite loss",
                Severity.CRIT,
                rank.rank,
                rank.node,
                f"loss or gradient norm not finite since step {rank.bad.step:,.0f} (loss {value})",
                max(0.0, now - rank.bad.since),
                "stop, resume an earlier checkpoint with a lower learning rate",
            )


def _recovered(job: JobState) -> Iterator[Alert]:
    """A loss that was not finite for a while: over, but nobody who looked away should miss it."""
    once = [rank for rank in job.current() if rank.bad is None and rank.bad_records]
    if once:
        rank = max(once, key=lambda rank: rank.last_bad_step)
        ranks = f"{len(once)} ranks" if len(once) > 1 else f"rank {rank.rank}"
        records = sum(rank.bad_records for rank in once)
        step = f"{rank.last_bad_step:,.0f}"
        what = f"not finite in {records:,} of the records of {ranks}, the last at step {step}; finite since"
        yield Alert(
            "loss recovered", Severity.INFO, rank.rank, rank.node, what, 0.0, "keep an eye on the gradient norm"
        )


def _unreachable(job: JobState) -> Iterator[Alert]:
    """Nodes of the job that have not answered several times in a row. Of their ranks nothing else is said."""
    nodes: dict[str, list[int]] = {}
    for rank in job.unreachable():
        for node in rank.sources.names:
            nodes.setdefault(node, []).append(rank.rank)
    for node, ranks in sorted(nodes.items()):
        away = job.away[node]
        if away.sure:
            heard = "never heard of" if np.isnan(away.age) else f"last heard of {duration(away.age)} ago"
            what = f"{away.why}; {heard}; {_counted(ranks)} there"
            age = float(np.nan_to_num(away.age))
            yield Alert(UNREACHABLE, Severity.CRIT, min(ranks), node, what, age, away.next_step)


def _counted(ranks: list[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"{len(ranks)} ranks"


def _stalled(job: JobState, states: np.ndarray, now: float) -> list[Alert]:
    """Stalled ranks; first those that do not wait in a backward pass, where ranks wait for each other."""
    ages, limits, silence = step_ages(job.table, now), stall_limits(job.table), write_ages(job.table, now)
    stalled = job.current_in(states, RankState.STALLED, RankState.HUNG)
    alerts = []
    for rank in sorted(stalled, key=lambda rank: (_waits(rank), -ages[rank.row], rank.rank)):
        age = float(np.fmax(ages[rank.row], 0.0))
        late = age > limits[rank.row] and not job.table.paused[rank.row]
        what = f"no step for {duration(age)} (limit {duration(float(limits[rank.row]))}){_place(rank, stalled)}"
        if not late:
            what = f"no heartbeat for {duration(float(silence[rank.row]))}: the process is frozen, gone or cannot write"
        alerts.append(Alert("rank stalled", Severity.CRIT, rank.rank, rank.node, what, age, _look_at(job, rank)))
    return alerts


def _waits(rank: Rank) -> bool:
    return rank.heartbeat is not None and rank.heartbeat.phase == "backward"


def _place(rank: Rank, stalled: list[Rank]) -> str:
    """Where a rank stands, when the heartbeats tell the ranks apart."""
    if rank.heartbeat is None or len({_waits(other) for other in stalled}) < 2:
        return ""
    return ", in the backward pass: waits for others" if _waits(rank) else ", not in the backward pass as others are"


def _look_at(job: JobState, rank: Rank) -> str:
    pid = rank.heartbeat.pid if rank.heartbeat else rank.start.pid if rank.start else None
    stack = f"; its stack: py-spy dump --pid {pid}" if pid is not None else ""
    return f"look at {_output(job, rank)}{stack}"


def _output(job: JobState, rank: Rank) -> str:
    """Where a rank's words are: only a launcher keeps them in a file that we know."""
    return f"logs/rank_{rank.rank}.log of the job" if job.manifest is not None else "what it printed"


def _failed(job: JobState, states: np.ndarray, now: float) -> list[Alert]:
    if job.status(now) is JobStatus.STOPPED:
        return []  # the ranks that were stopped later lost their peers: no news
    first, silence = job.first_failure(now), write_ages(job.table, now)
    dead = job.current_in(states, RankState.DEAD)
    alerts = [
        Alert(
            "rank failed",
            Severity.CRIT,
            rank.rank,
            rank.node,
            cause_of_death(rank, first),
            max(0.0, float(np.fmax(now - rank.ended_at, 0.0 if rank.end else silence[rank.row]))),
            f"read the end of {_output(job, rank)}",
        )
        for rank in dead
    ]
    return sorted(alerts, key=lambda alert: (first is None or alert.rank != first.rank, -alert.age, alert.rank))


def cause_of_death(rank: Rank, first: Rank | None) -> str:
    """Why a rank is taken for dead, in one line. `first`: the rank that the job's failure began with."""
    if rank.end is not None and rank.end.error_type:
        return f"{rank.end.error_type}: {rank.end.error_message}"
    if rank.error is not None and rank.error.message:
        return rank.error.message
    if rank.end is not None:
        return "ended in failure, without saying why"
    killed = rank.vital is not None and rank.vital.state.over
    if killed and rank.vital is not None and rank.vital.oom:
        return "killed: out of memory"
    if killed and (first is None or first is rank):
        return "killed: its process is gone, without an end record or an error file (SIGKILL?)"
    if first is None or first is rank:
        return "gone without a word: killed (SIGKILL, out of memory), or its machine went down"
    return f"ended after rank {first.rank} had failed"
