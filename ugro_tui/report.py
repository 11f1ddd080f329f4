"""Jobs as lines of text, for pipes and people without a full-screen terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ugro_tui.core.alerts import Alert
from ugro_tui.core.numbers import UNKNOWN, age, clock, compact, count, counted_bad, loss_text, per_step, plain
from ugro_tui.core.rank_stats import RankSummary
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.core.states import JobStatus, RankState
from ugro_tui.core.summary import JobSummary
from ugro_tui.nodes.inventory import LOCAL

_STATUS_TITLES = ("JOB", "STATUS", "STEP", "LOSS", "TOK/S", "ETA", "RANKS", "AGE")
_RANK_TITLES = ("RANK", "NODE", "STATE", "STEP", "LOSS", "MIN", "TOK/S", "MEAN", "RECORDS", "LOST")


def progress(summary: JobSummary) -> str:
    """`120/500`, or `120` where the plan is not known."""
    total = "" if summary.total_steps is None else f"/{count(summary.total_steps)}"
    return count(summary.step) + total


def status_lines(snapshot: Snapshot, place: str) -> Iterator[str]:
    """All jobs, one line each, and what is wrong with them."""
    if not snapshot.jobs and not snapshot.listed:
        here = [node.name for node in snapshot.nodes] == [LOCAL]
        start = "start one with `ugro-tui demo`, or" if here else "start a training script there;"
        yield f"no jobs in {place} yet: {start} see the three lines in the README"
        yield from trouble_lines(snapshot)
        return
    yield from table([_STATUS_TITLES, *map(_status_row, snapshot.jobs)])
    pending = [job.summary for job in snapshot.jobs if job.summary.status is JobStatus.PENDING]
    yield from (f"{summary.job_id}: {summary.verdict}" for summary in pending)
    for job in snapshot.jobs:
        if job.summary.unwell:
            yield f"{job.job_id}: {job.summary.verdict}"
    if snapshot.listed:
        yield f"older than a day: {', '.join(snapshot.listed)} (read one with `ugro-tui summary JOB`)"
    yield from trouble_lines(snapshot)


def trouble_lines(snapshot: Snapshot) -> Iterator[str]:
    """What could not be read, and why."""
    if snapshot.reading:
        yield f"{snapshot.reading}: this is what it has copied so far"
    for node in snapshot.nodes:
        if node.error:
            heard = "" if node.age != node.age else f" (last heard of {age(node.age)} ago)"
            yield f"{node.error}{heard}"
    yield from (alert.sentence for alert in snapshot.heard)
    yield from snapshot.notices


def _status_row(job: JobView) -> tuple[str, ...]:
    summary = job.summary
    return (
        summary.job_id,
        summary.state,
        progress(summary),
        loss_text(summary.final_loss, bad=summary.loss_bad),
        compact(summary.throughput),
        clock(summary.eta),
        f"{summary.ranks_ok}/{summary.world_size}",
        age(summary.shown_age),
    )


def summary_lines(summary: JobSummary) -> Iterator[str]:
    """One job in numbers, then its ranks."""
    facts = (
        ("job", f"{summary.job_id}  attempt {summary.attempt}{_restarted(summary)}"),
        ("status", _status(summary)),
        ("steps", progress(summary)),
        ("pace", f"{per_step(summary.seconds_per_step)}  (mean {per_step(summary.avg_seconds_per_step)})"),
        ("loss", _losses(summary)),
        ("throughput", f"{compact(summary.throughput)} tok/s  (mean over its steps {compact(summary.avg_throughput)})"),
        ("duration", clock(summary.duration)),
        ("ranks", f"{summary.ranks_ok} of {summary.world_size} well, {_stopped(summary)}{summary.ranks_seen} seen"),
    )
    for name, value in facts:
        yield f"{name:<11}{value}"
    yield ""
    yield from table([_RANK_TITLES, *map(_rank_row, summary.per_rank_stats)])


def _restarted(summary: JobSummary) -> str:
    return f", restart {summary.restarts}" if summary.restarts else ""


def _stopped(summary: JobSummary) -> str:
    stopped = summary.per_rank_stats.column("state").count(RankState.STOPPED.word)
    return f"{stopped} stopped, " if stopped else ""


def _losses(summary: JobSummary) -> str:
    finite = f"  (last finite {plain(summary.last_finite_loss)})" if summary.loss_bad else ""
    return f"{summary.ends.text}{finite}"


def _status(summary: JobSummary) -> str:
    word = summary.state
    return summary.verdict if summary.verdict.startswith(word) else f"{word}: {summary.verdict}"


def _rank_row(rank: RankSummary) -> tuple[str, ...]:
    return (
        str(rank.rank),
        rank.node or UNKNOWN,
        rank.state,
        count(rank.step),
        loss_text(rank.final_loss, bad=rank.loss_bad),
        plain(rank.min_loss),
        compact(rank.throughput),
        compact(rank.avg_throughput),
        counted_bad(rank.records, rank.non_finite),
        str(rank.lost + rank.skipped),
    )


def monitor_line(view: JobView) -> str:
    """The job now, on one line."""
    summary = view.summary
    phase = f" ({view.phase})" if view.phase else ""
    loss = loss_text(summary.final_loss, bad=summary.loss_bad)
    return (
        f"{summary.job_id} {summary.state}{phase}  step {progress(summary)}  loss {loss}  "
        f"{compact(summary.throughput)} tok/s  {per_step(summary.seconds_per_step)}  "
        f"elapsed {clock(summary.duration)}  ETA {clock(summary.eta)}  ranks {summary.ranks_ok}/{summary.world_size}"
    )


def alert_line(alert: Alert) -> str:
    """An alert among the lines of a job."""
    return f"! {alert.severity.name.lower()}  {alert.sentence}"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows with their cells below each other, the titles first."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
