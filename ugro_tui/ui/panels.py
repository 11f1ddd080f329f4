"""What stands around the table and the chart: job bar, header, verdict, alerts, state of the sources."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.numbers import UNKNOWN, age, clock, compact, count, duration, per_step, plain
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.core.states import JobStatus, RankState
from ugro_tui.ui.marks import JOB_GLYPHS, JOB_STYLES, SEVERITY_GLYPHS, SEVERITY_STYLES

NARROW = 100

_THREE_LINES = (
    "from ugro_emitter import MetricsEmitter",
    'with MetricsEmitter(job_id="my-run") as emitter:',
    "    ...; emitter.emit_step(step, loss=loss)",
)


def job_bar(jobs: Sequence[JobView], current: str | None, width: int) -> Content:
    """All jobs on one line, the shown one marked; those around it when there is no room for all."""
    place = next((index for index, job in enumerate(jobs) if job.job_id == current), 0)
    lead = Content.styled(f" {place + 1}/{len(jobs)} ", "$text-muted")
    names = [_job_name(job, job.job_id == current) for job in jobs]
    room, first = width - lead.cell_length, place
    room -= names[place].cell_length if names else 0
    while first > 0 and room >= names[first - 1].cell_length:
        first -= 1
        room -= names[first].cell_length
    return Content("").join([lead, *names[first:]])


def _job_name(job: JobView, shown: bool) -> Content:
    status = job.summary.status
    alarm = [("!", "bold $error")] if job.summary.unwell and not status.over else []
    style = "bold reverse" if shown else "$text-muted"
    return Content.assemble(" ", (JOB_GLYPHS[status], JOB_STYLES[status]), *alarm, " ", (f" {job.job_id} ", style))


def header(view: JobView, width: int) -> Content:
    """The job on one line: status, progress, pace, times, loss."""
    summary = view.summary
    status = summary.status
    total = "" if summary.total_steps is None else f"/{count(summary.total_steps)}"
    doing = view.phase or ("hung" if RankState.HUNG in view.ranks.state else "")
    phase = f" ({doing})" if doing and not status.over else ""
    attempt = f" #{summary.attempt}" if summary.attempt > 1 else ""
    parts: list[tuple[str, str] | str] = [
        (f" {summary.job_id}{attempt} ", "bold"),
        (f" {JOB_GLYPHS[status]} {status.value.upper()}{phase} ", f"bold {JOB_STYLES[status]}"),
        f" step {count(summary.step)}{total}{_percent(view)}",
        f"  ETA {clock(summary.eta)}" if not status.over else f"  took {clock(summary.duration)}",
    ]
    if width >= NARROW:
        parts[3:3] = [f"  {per_step(summary.seconds_per_step)}"]
        parts += [] if status.over else [f"  elapsed {clock(summary.duration)}"]
        parts += [f"  {compact(summary.throughput if not status.over else summary.avg_throughput)} tok/s"]
    ranks = f"  {summary.ranks_ok}/{summary.world_size} ranks"
    parts += [(ranks, "" if summary.ranks_ok >= summary.world_size else "bold $warning")]
    return Content.assemble(*parts)


def _percent(view: JobView) -> str:
    total = view.summary.total_steps
    if not total or view.summary.step != view.summary.step:
        return ""
    return f" {min(100.0, 100 * view.summary.step / total):.0f}%"


def verdict(view: JobView) -> Content:
    """One sentence: the worst that is known, or that all is well."""
    alerts = view.summary.alerts
    if alerts and alerts[0].severity > Severity.INFO:
        worst = alerts[0].severity
        more = f"  (+{len(alerts) - 1} more)" if len(alerts) > 1 else ""
        text = f" {SEVERITY_GLYPHS[worst]} {view.summary.verdict}{more}"
        return Content.styled(text, f"bold {SEVERITY_STYLES[worst]}")
    style = JOB_STYLES[view.summary.status]
    return Content.styled(f" {JOB_GLYPHS[view.summary.status]} {view.summary.verdict}", style)


def alert_lines(alerts: Sequence[Alert], status: JobStatus, most: int) -> Content:
    """The alerts, one line each, worst first."""
    if not alerts and status is JobStatus.FAILED:
        return Content.styled(
            "no rank said why the job failed: the second line of the screen says where to look", "$text-muted"
        )
    if not alerts:
        return Content.styled("nothing is wrong, as far as the records tell", "$text-muted")
    lines = [_alert_line(alert) for alert in alerts[: most if len(alerts) <= most else max(1, most - 1)]]
    if len(lines) < len(alerts):
        lines.append(Content.styled(f"… and {len(alerts) - len(lines)} more", "$text-muted"))
    return Content("\n").join(lines)


def _alert_line(alert: Alert) -> Content:
    node = f" on {alert.node}" if alert.node else ""
    return Content.assemble(
        (f"{SEVERITY_GLYPHS[alert.severity]} {alert.name}", f"bold {SEVERITY_STYLES[alert.severity]}"),
        f"  rank {alert.rank}{node}: {alert.what}",
        (f"  since {duration(alert.age)}" if alert.age else "", "$text-muted"),
        f"  → {alert.next_step}",
    )


def sources(snapshot: Snapshot, view: JobView | None, keys: str) -> Content:
    """The last line: how fresh the data is, what went wrong reading it, what of the job is missing, and keys."""
    parts: list[tuple[str, str] | str] = []
    for node in snapshot.nodes:
        if node.error:
            parts.append((f" {node.name} ✖ {node.error}", "$error"))
        else:
            parts.append((f" {node.name} {age(node.age)}", "$text-muted"))
    mine = f": {view.job_id}: " if view is not None else ""
    notices = sorted(snapshot.notices, key=lambda notice: mine not in notice)
    parts += [(f" │ {notice}", "$warning") for notice in notices[:1]]
    missing = 0 if view is None else sum(rank.lost + rank.skipped for rank in view.summary.per_rank_stats)
    if missing:
        parts.append((f" │ {missing:,} records lost or unreadable", "$warning"))
    return Content.assemble(*parts, (f"   {keys}", "$text-muted"))


def empty(snapshot: Snapshot, place: str) -> Content:
    """What to do when there is no job to show."""
    if not snapshot.cycles:
        return Content.styled(f"reading {place} …", "$text-muted")
    problems = [node.error for node in snapshot.nodes if node.error]
    width = max(map(len, _THREE_LINES))  # as one block: each line centred by itself would lose its indentation
    lines: list[Content | str | tuple[str, str]] = [("No jobs yet\n\n", "bold")]
    lines += [(f"{problem}\n\n", "$warning") for problem in problems]
    if not problems:
        lines += [f"{place} holds no job that changed within a day.\n\n"]
    if snapshot.listed:
        lines += [f"Older ones: {', '.join(snapshot.listed[:8])}; open one with `ugro-tui watch JOB`.\n\n"]
    lines += [
        "See a real run in a minute:  ",
        ("ugro-tui demo", "bold $accent"),
        "\n\nor give your own script three lines:\n\n",
        ("\n".join(line.ljust(width) for line in _THREE_LINES), "$accent"),
        "\n\nNew jobs appear here by themselves.",
    ]
    return Content.assemble(*lines)


def outcome(view: JobView | None) -> str:
    """What the terminal says after the app has ended."""
    if view is None or view.summary.status not in (JobStatus.RUNNING, JobStatus.STARTING):
        return ""
    loss = plain(view.summary.final_loss)
    step = count(view.summary.step) if view.summary.step == view.summary.step else UNKNOWN
    return f"training goes on: {view.job_id} at step {step}, loss {loss}; come back with: ugro-tui watch {view.job_id}"
