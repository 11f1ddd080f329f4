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
from ugro_tui.core.states import RankState


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
    """All alerts of a job that fire at `now` (monotonic seconds), worst and oldest first."""
    states = job.states(now)
    found = [*_failed(job, states, now), *_bad_loss(job, now), *_stalled(job, states, now)]
    return tuple(sorted(found, key=lambda alert: (-alert.severity, -alert.age, alert.rank)))


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


def _stalled(job: JobState, states: np.ndarray, now: float) -> Iterator[Alert]:
    ages, limits, silence = step_ages(job.table, now), stall_limits(job.table), write_ages(job.table, now)
    for rank in job.current():
        if states[rank.row] not in (RankState.STALLED, RankState.HUNG):
            continue
        age = float(np.fmax(ages[rank.row], 0.0))
        late = age > limits[rank.row] and not job.table.paused[rank.row]
        what = f"no step for {duration(age)} (limit {duration(float(limits[rank.row]))})"
        if not late:
            what = f"no heartbeat for {duration(float(silence[rank.row]))}: the process is frozen, gone or cannot write"
        yield Alert("rank stalled", Severity.CRIT, rank.rank, rank.node, what, age, "look at its log and its stack")


def _failed(job: JobState, states: np.ndarray, now: float) -> Iterator[Alert]:
    for rank in job.current():
        if states[rank.row] == RankState.DEAD:
            yield Alert(
                "rank failed",
                Severity.CRIT,
                rank.rank,
                rank.node,
                cause_of_death(rank),
                max(0.0, now - rank.ended_at) if np.isfinite(rank.ended_at) else 0.0,
                f"read logs/rank_{rank.rank}.log from its end",
            )


def cause_of_death(rank: Rank) -> str:
    """Why a rank is taken for dead, in one line."""
    if rank.end is not None and rank.end.error_type:
        return f"{rank.end.error_type}: {rank.end.error_message}"
    if rank.error is not None and rank.error.message:
        return rank.error.message
    if rank.end is not None:
        return "ended in failure, without saying why"
    return "gone without an end record: killed, or with a rank that failed before it"
