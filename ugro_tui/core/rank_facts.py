"""How the view of one rank is made from the state of its job."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ugro_tui.core.alerts import Alert
from ugro_tui.core.beside import numbers_beside, outstanding, outstanding_words, phases_beside
from ugro_tui.core.columns import Beat, Column, Throttle
from ugro_tui.core.endings import MADE_OF
from ugro_tui.core.job import JobState
from ugro_tui.core.liveness import newest_values, step_ages, write_ages
from ugro_tui.core.numbers import duration
from ugro_tui.core.rank import Rank
from ugro_tui.core.rank_stats import RankSummary
from ugro_tui.core.rank_view import Ages, Begun, Counts, Identity, Pulse, RankView
from ugro_tui.core.records import End
from ugro_tui.core.states import Ended, JobStatus, RankState
from ugro_tui.core.summary import JobSummary


def rank_view(
    job: JobState, number: int, now: float, summary: JobSummary, polls: Mapping[str, float]
) -> RankView | None:
    """What is known of rank `number` at `now` (monotonic seconds); None where the job has no such rank.

    `summary` is the job's picture at that time, `polls` how long ago each node was last heard, in seconds.
    """
    rank = job.table.by_rank.get(number)
    size = job.world_size
    if rank is None:
        if not 0 <= number < size:
            return None
        state = MADE_OF.get(summary.status, RankState.UNKNOWN)
        return RankView(job.job_id, number, size, seen=False, state=state.word, why=_why_unseen(job, summary))
    told = _told(summary, number)
    states = job.states(now)
    state = RankState(int(states[rank.row]))
    ages = _ages(job, rank, now, polls)
    rows = job.current_rows()
    phases = phases_beside(job.table, rows, rank.row)
    worst = outstanding(phases)
    return RankView(
        job.job_id, number, size, seen=rank.start is not None or rank.heartbeat is not None or rank.records > 0,
        state=state.word, why=_why(job, rank, state, summary, told, ages),
        identity=_identity(rank), ages=ages, pulse=_pulse(job, rank),
        numbers=numbers_beside(job.table, newest_values(job.table, states), rows, rank.row),
        loss_bad=told is not None and told.loss_bad,
        min_loss=math.nan if told is None else told.min_loss,
        avg_throughput=math.nan if told is None else told.avg_throughput,
        metrics=dict(rank.metrics), phases=phases, stands_out="" if worst is None else outstanding_words(worst),
        counts=_counts(job, rank, told), starts=_starts(rank, state), error=rank.error,
        alerts=_alerts(summary, rank),
    )  # fmt: skip


def _told(summary: JobSummary, number: int) -> RankSummary | None:
    """What the summary says of the rank; None of one that is not of the newest attempt."""
    numbers = list(summary.per_rank_stats.column("rank"))
    return summary.per_rank_stats[numbers.index(number)] if number in numbers else None


def _alerts(summary: JobSummary, rank: Rank) -> tuple[Alert, ...]:
    """Those about the rank, and those about its node."""
    return tuple(
        one for one in summary.alerts if one.rank == rank.rank or (one.rank is None and one.node == rank.node != "")
    )


def _identity(rank: Rank) -> Identity:
    start, beat = rank.start, rank.heartbeat
    pid, run_id = (beat.pid, beat.run_id) if beat is not None else (None, "")
    if start is None:
        return Identity(rank.node, pid=pid, run_id=run_id, attempt=rank.attempt)
    return Identity(
        rank.node, start.host, pid if start.pid is None else start.pid, start.run_id or run_id, rank.attempt,
        start.local_rank, start.gpu_name, start.gpu_index, start.gpu_uuid,
    )  # fmt: skip


def _ages(job: JobState, rank: Rank, now: float, polls: Mapping[str, float]) -> Ages:
    heard = [polls[name] for name in rank.sources.names if not math.isnan(polls.get(name, math.nan))]
    step, write = step_ages(job.table, now)[rank.row], write_ages(job.table, now)[rank.row]
    return Ages(float(step), float(write), min(heard, default=math.nan))


def _pulse(job: JobState, rank: Rank) -> Pulse | None:
    beat = rank.heartbeat
    if beat is None:
        return None
    vital, row = rank.vital, job.table.beats[rank.row].tolist()
    return Pulse(
        beat.state, beat.phase, row[Beat.RSS], row[Beat.RAM], row[Beat.DISK_FREE], row[Beat.DISK_TOTAL],
        "" if vital is None else vital.state.name.lower(),
        throttle_words(float(job.table.latest[rank.row, Column.GPU_THROTTLE])), beat.gpu,
    )  # fmt: skip


def throttle_words(mask: float) -> tuple[str, ...]:
    """The reasons in a mask of `Throttle` by their names in the protocol."""
    if not math.isfinite(mask):
        return ()
    return tuple(reason.name.lower() for reason in Throttle if reason.name and int(mask) & reason)


def _counts(job: JobState, rank: Rank, told: RankSummary | None) -> Counts:
    dropped = 0 if told is None else told.dropped
    skipped_steps = float(job.table.latest[rank.row, Column.SKIPPED])
    return Counts(rank.records, rank.bad_records, rank.lost, dropped, rank.skipped, skipped_steps)


def _starts(rank: Rank, state: RankState) -> tuple[Begun, ...]:
    """Its starts, the newest last, which has the end of the process that there is now."""
    ends = [_ended(life.end) for life in rank.before]
    over = state in (RankState.DEAD, RankState.FINISHED, RankState.STOPPED)
    last = "" if not over else _ended(rank.end)
    return tuple(Begun(at, step, ended) for (at, step), ended in zip(rank.starts, [*ends, last], strict=False))


def _ended(end: End | None) -> str:
    if end is None:
        return "without a word"
    return f"{end.status}: {end.error_type}" if end.error_type else end.status


def _why(job: JobState, rank: Rank, state: RankState, summary: JobSummary, told: RankSummary | None, ages: Ages) -> str:
    """Why it is in this state: its cause of death, what an alert says of it, or how long ago its last step was."""
    if told is not None and told.cause:
        return told.cause
    if state is RankState.UNKNOWN:
        return _why_unknown(job, rank, ages)
    if state is RankState.UNREACHABLE:
        away = next((job.away[name] for name in sorted(rank.sources.names) if name in job.away), None)
        return "" if away is None else f"{away.why}; what is shown is what it told before"
    if state in (RankState.FINISHED, RankState.STOPPED):
        return _why_over(job, rank)
    alert = next((one for one in summary.alerts if one.rank == rank.rank and one.rule in _STATE_RULES), None)
    if alert is not None and state is not RankState.RUNNING:
        return alert.what
    return _why_living(rank, ages)


_STATE_RULES = frozenset({"rank_stalled", "job_hang", "straggler"})
"""Rules that say why a rank is slow, stalled or hung."""


def _why_living(rank: Rank, ages: Ages) -> str:
    if rank.phase:
        return f"in {rank.phase}, since its last step {duration(ages.step)} ago"
    if math.isnan(rank.first_step):
        return f"started {duration(ages.step)} ago, no step yet"
    return f"its last step was {duration(ages.step)} ago"


def _why_unknown(job: JobState, rank: Rank, ages: Ages) -> str:
    if rank.attempt < job.attempt:
        return f"it has not joined attempt {job.attempt}: what is shown is of attempt {rank.attempt}"
    if math.isnan(ages.write) or (rank.heartbeat is None and np.isnan(job.table.step_at[rank.row])):
        return _unseen(job)
    return f"nothing heard for {duration(ages.write)}, and no heartbeat tells what it does"


def _why_unseen(job: JobState, summary: JobSummary) -> str:
    if summary.status is JobStatus.FAILED:
        return f"it has recorded nothing before its job failed: {summary.verdict}"
    return f"it has recorded nothing, and its job is {summary.status.value}" if summary.status.over else _unseen(job)


def _unseen(job: JobState) -> str:
    return f"it has written nothing yet; it is expected, because the world size is {job.world_size}"


def _why_over(job: JobState, rank: Rank) -> str:
    ended = Ended(int(job.table.ended[rank.row]))
    if ended in (Ended.NO, Ended.FAILED):
        stopped = job.manifest is not None and job.manifest.status == "stopped"
        return f"its launcher says that the job {'was stopped' if stopped else 'is over'}"
    return "it said that it has completed" if ended is Ended.COMPLETED else "it said that it was stopped"
