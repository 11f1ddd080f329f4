"""What stands around the table and the chart: job bar, header, verdict, alerts; and what stands there without a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from textual.content import Content

from ugro_tui.core.alerts import Alert, Severity, Subject
from ugro_tui.core.entries import Mark
from ugro_tui.core.numbers import UNKNOWN, clock, compact, count, counted, duration, loss_text, per_step
from ugro_tui.core.snapshot import JobView, NodeView, Snapshot
from ugro_tui.core.states import JobStatus, NodeState
from ugro_tui.core.summary import JobSummary
from ugro_tui.ui.marks import (
    JOB_GLYPHS,
    JOB_STYLES,
    LESS,
    NODE_GLYPHS,
    NODE_STYLES,
    SEVERITY_GLYPHS,
    SEVERITY_STYLES,
)
from ugro_tui.ui.nodes import NAMED, brief, roll_call, sentences, troubled
from ugro_tui.ui.strip import sync_sentences
from ugro_tui.ui.wording import shortened

NARROW = 100

LEAST_NAME = 10
"""Cells that are left of the name of a job, whatever the width."""

ENDS = 1
"""How soon it is left out when a job ends: the last of all that may be."""

_LEAST_READING = 24
"""Cells of the reason for only reading that are worth to be shown."""

_THREE_LINES = (
    "from ugro_emitter import MetricsEmitter",
    'with MetricsEmitter(job_id="my-run") as emitter:',
    "    ...; emitter.emit_step(step, loss=loss)",
)


def job_bar(jobs: Sequence[JobView], current: str | None, width: int) -> Content:
    """All jobs on one line, the shown one marked; those around it when there is no room for all."""
    place = next((index for index, job in enumerate(jobs) if job.job_id == current), 0)
    lead = Content.styled(f" {place + 1}/{len(jobs)} ", "$text-muted")
    names = [_job_name(job, job.job_id == current, width // 3) for job in jobs]
    room, first = width - lead.cell_length - len(LESS), place
    room -= names[place].cell_length if names else 0
    while first > 0 and room >= names[first - 1].cell_length:
        first -= 1
        room -= names[first].cell_length
    more = Content.styled(LESS, "$text-muted")
    return Content("").join([lead, *([more] if first else []), *names[first:]])


def _job_name(job: JobView, shown: bool, longest: int) -> Content:
    status, state = job.summary.status, job.summary.state
    alarm = [("!", "bold $error")] if job.summary.unwell and not status.over else []
    style = "bold reverse" if shown else "$text-muted"
    return Content.assemble(
        " ", (JOB_GLYPHS[state], JOB_STYLES[state]), *alarm, " ", (f" {shortened(job.job_id, longest)} ", style)
    )


BLIND_SECONDS = 20.0
"""The keeper publishes every five seconds at the least, whatever the nodes do: three of them missed, it is dead."""


def header(view: JobView, reading: str, width: int) -> Content:
    """The job on one line: status, progress, pace, times, loss; and why nothing is written, if so (`reading`)."""
    told = [_parts(view, width, shorter) for shorter in range(4)]
    name, state, numbers = next((one for one in told if sum(part.cell_length for part in one) <= width), told[-1])
    line = Content("").join([name, state, numbers])
    if not reading:
        return line
    room = max(0, width - line.cell_length)
    for said in (f"  ⊘ reading only: {reading}", "  ⊘ reading only"):
        short = Content.styled(said, "bold $warning").truncate(room, ellipsis=True)
        if short.cell_length >= min(len(said), _LEAST_READING):
            return line + short
    return Content("").join([name, state, Content.styled(" ⊘ reading only ", "bold $warning"), numbers])


def _parts(view: JobView, width: int, shorter: int) -> tuple[Content, Content, Content]:
    name, state = _lead(view, width, shorter)
    return name, state, _numbers(view, width, width - name.cell_length - state.cell_length)


def _lead(view: JobView, width: int, shorter: int) -> tuple[Content, Content]:
    """Name and state; `shorter` without its restarts, what it does, most of its name."""
    summary, word = view.summary, view.summary.state
    attempt = f" #{summary.attempt}" if summary.attempt > 1 else ""
    restart = f" restart {summary.restarts}" if summary.restarts and not shorter else ""
    longest = LEAST_NAME if shorter > 2 else max(LEAST_NAME, min(16, width // 2), width // 3)
    doing = _doing(view) if shorter < 2 else ""
    return (
        Content.styled(f" {shortened(summary.job_id, longest)}{attempt}{restart} ", "bold"),
        Content.styled(f" {JOB_GLYPHS[word]} {word.upper()}{doing} ", f"bold {JOB_STYLES[word]}"),
    )


def _doing(view: JobView) -> str:
    return f" ({view.phase})" if view.phase and not view.summary.status.over else ""


def _numbers(view: JobView, width: int, room: int) -> Content:
    """As many of its numbers as there is room for: the least needed go first, step and ranks stay."""
    summary = view.summary
    total = "" if summary.total_steps is None else f"/{count(summary.total_steps)}"
    well = summary.ranks_ok >= summary.world_size or summary.status is JobStatus.STOPPED
    parts = [
        (f" step {count(summary.step)}{total}", "", 0),
        (_percent(view), "", 2),
        *(part for part in _paces(summary) if width >= NARROW or part[2] == ENDS),
        (f"  {summary.ranks_ok}/{summary.world_size} ranks", "" if well else "bold $warning", 0),
    ]
    while sum(len(text) for text, _, _ in parts) > room and any(need for *_, need in parts):
        parts.remove(max(parts, key=lambda part: part[2]))
    return Content.assemble(*((text, style) for text, style, _ in parts))


def _paces(summary: JobSummary) -> list[tuple[str, str, int]]:
    """How fast and how long; what is over has no pace of now. Behind each its style, and how soon it is left out."""
    if summary.status.over:
        pace = f"  mean over steps {per_step(summary.avg_seconds_per_step)}"
        took = (f"  took {clock(summary.duration)}", "", ENDS)
        return [took, (pace, "", 3), (f"  {compact(summary.avg_throughput)} tok/s", "", 5)]
    return [
        (f"  {per_step(summary.seconds_per_step)}", "", 3),
        (f"  ETA {clock(summary.eta)}", "", ENDS),
        (f"  elapsed {clock(summary.duration)}", "", 4),
        (f"  {compact(summary.throughput)} tok/s", "", 5),
    ]


def _percent(view: JobView) -> str:
    total = view.summary.total_steps
    if not total or view.summary.step != view.summary.step:
        return ""
    return f" {min(100.0, 100 * view.summary.step / total):.0f}%"


def verdict(view: JobView, snapshot: Snapshot, elapsed: float = 0.0) -> Content:
    """One sentence: the worst that is known, or that all is well. `elapsed`: seconds since anything was published."""
    if elapsed > BLIND_SECONDS:
        what = f"BLIND: nothing new for {duration(elapsed)}: ugro-tui stands still; restart it, its log says why"
        return Content.styled(f" {SEVERITY_GLYPHS[Severity.CRIT]} {what}", f"bold {SEVERITY_STYLES[Severity.CRIT]}")
    alerts, status = view.summary.alerts, view.summary.status
    if alerts and alerts[0].severity > Severity.INFO:
        return _worst_alert(view, marks(snapshot, view.job_id, view.summary.attempt))
    node = _node_in_trouble(view, snapshot.nodes) if not status.over and status is not JobStatus.UNKNOWN else None
    if node is not None:
        text = f" {NODE_GLYPHS[node.state]} node {node.label}: {brief(node)}; {view.summary.verdict}"
        return Content.styled(text, f"bold {NODE_STYLES[node.state]}")
    return Content.styled(f" {JOB_GLYPHS[status.value]} {view.summary.verdict}", JOB_STYLES[status.value])


def _worst_alert(view: JobView, known: Mapping[Subject, Mark]) -> Content:
    """The verdict of a job with alerts: quiet where the worst is known, but then loud about others that are not."""
    first, *others = view.summary.alerts
    new = next((alert for alert in others if alert.subject not in known and alert.severity > Severity.INFO), None)
    mark = known.get(first.subject)
    loud = f"bold {SEVERITY_STYLES[first.severity]}"
    style = loud if mark is None else "$text-muted"
    more = style if mark is None or new is None else f"bold {SEVERITY_STYLES[new.severity]}"
    return Content.assemble(
        (f" {SEVERITY_GLYPHS[first.severity]} {_marked(mark)}{view.summary.verdict}", style),
        (f"  (+{len(others)} more)" if others else "", more),
    )


def marks(snapshot: Snapshot, job_id: str = "", attempt: int = 0) -> dict[Subject, Mark]:
    """The alerts of a job (without one: of the nodes) that a person has acknowledged or snoozed."""
    entries = [entry for entry in snapshot.book.of(job_id) if entry.attempt == attempt]
    return {entry.alert.subject: entry.state for entry in entries if entry.state is not Mark.FIRING}


def _marked(mark: Mark | None) -> str:
    return "" if mark is None else f"({mark.value}) "


def _node_in_trouble(view: JobView, nodes: Sequence[NodeView]) -> NodeView | None:
    """The worst node of those that the job has ranks on."""
    bad = troubled(nodes)
    if len(nodes) == 1 or not bad:
        return bad[0] if bad else None
    names = set(view.ranks.node)
    return next((node for node in bad if node.name in names), None)


def alert_lines(view: JobView, snapshot: Snapshot, most: int, elapsed: float) -> Content:
    """The worst nodes, the alerts of the job, then what is wrong with other nodes, syncs and files: one line each.

    The nodes come first because they are short, and alerts may be longer than the pane; the worst alert is the verdict.
    """
    alerts = view.summary.alerts
    nodes = _upto(sentences(snapshot.nodes, alerts, elapsed), most)
    mine, theirs = marks(snapshot, view.job_id, view.summary.attempt), marks(snapshot)
    told = [_alert_line(alert, mine.get(alert.subject)) for alert in alerts]
    told += [_alert_line(alert, theirs.get(alert.subject)) for alert in snapshot.heard]
    lines = [*nodes[:NAMED], *_upto(told, most), *nodes[NAMED:]]
    others = sync_sentences(snapshot)
    if snapshot.reading:
        others.append(Content.styled(f"⊘ reading only: {snapshot.reading}", "$warning"))
    lines += _upto([*others, *(Content.styled(f"⚠ {notice}", "$warning") for notice in snapshot.notices)], most)
    if not alerts and view.summary.status is JobStatus.FAILED:
        silent = "no rank recorded why the job failed: the second line of the screen says what is known"
        return Content("\n").join([Content.styled(silent, "$text-muted"), *lines])
    if not lines:
        return Content.styled("nothing is wrong, as far as the records tell", "$text-muted")
    return Content("\n").join(lines)


def _upto(lines: list[Content], most: int) -> list[Content]:
    if len(lines) <= most:
        return lines
    kept = lines[: max(1, most - 1)]
    return [*kept, Content.styled(f"… and {len(lines) - len(kept)} more", "$text-muted")]


def alerts_title(view: JobView, snapshot: Snapshot) -> Content:
    """How many alerts the job has, and apart from them the nodes; and how many nodes are in trouble."""
    nodes, theirs = len(troubled(snapshot.nodes)), _counted(snapshot.heard)
    beside = [f"nodes {theirs}"] if snapshot.heard else []
    beside += [f"{counted(nodes, 'node')} in trouble"] if nodes else []
    return Content(" · ".join([f"Alerts {_counted(view.summary.alerts)}", *beside]))


def _counted(alerts: Sequence[Alert]) -> str:
    """How many of each severity, the worst first: `✖1 ⚠2`."""
    found = Counter(alert.severity for alert in alerts)
    return " ".join(f"{SEVERITY_GLYPHS[one]}{found[one]}" for one in reversed(Severity) if found[one]) or "0"


def _alert_line(alert: Alert, mark: Mark | None) -> Content:
    who = f"{alert.who}: " if alert.who else ""
    line = Content.assemble(
        (f"{SEVERITY_GLYPHS[alert.severity]} {_marked(mark)}{alert.name}", f"bold {SEVERITY_STYLES[alert.severity]}"),
        f"  {who}{alert.what}",
        (f"  {alert.since}" if alert.since else "", "$text-muted"),
        f"  → {alert.next_step}",
    )
    return line if mark is None else Content.styled(line.plain, "$text-muted")


def empty(snapshot: Snapshot, place: str, *, ready: bool, size: tuple[int, int], elapsed: float) -> Content:
    """What to do when there is no job to show. `ready`: what there is has been looked at."""
    nodes = roll_call(snapshot.nodes, max(3, size[1] - 20), size[0], elapsed) if _told_apart(snapshot.nodes) else None
    if not ready or all(node.state is NodeState.CONNECTING for node in snapshot.nodes):
        lines = [Content.styled(f"reading {place} …", "$text-muted"), *([Content(""), nodes] if nodes else [])]
        return Content("\n").join(lines)
    problems = [node.error for node in snapshot.nodes if node.error] if nodes is None else []
    width = max(map(len, _THREE_LINES))  # as one block: each line centred by itself would lose its indentation
    parts: list[Content | str | tuple[str, str]] = [("No jobs yet\n\n", "bold")]
    parts += [(f"⊘ reading only: {snapshot.reading}\n\n", "$warning")] if snapshot.reading else []
    parts += [nodes, "\n\n"] if nodes else [(f"{problem}\n\n", "$warning") for problem in problems]
    if not problems and nodes is None:
        parts += [f"{place} holds no job that changed within a day.\n\n"]
    if snapshot.listed:
        parts += [f"Older ones: {', '.join(snapshot.listed[:8])}; open one with `ugro-tui watch JOB`.\n\n"]
    parts += [
        *(() if snapshot.read_only else ("Launch a job from here:  ", ("L", "bold $accent"), "\n\n")),
        "See a real run in a minute:  ",
        ("ugro-tui demo", "bold $accent"),
        "\n\nor give your own script three lines:\n\n",
        ("\n".join(line.ljust(width) for line in _THREE_LINES), "$accent"),
        "\n\nNew jobs appear here by themselves.",
    ]
    return Content.assemble(*parts)


def _told_apart(nodes: Sequence[NodeView]) -> bool:
    """Whether each node has something to say of its own: several have, or one that does not answer."""
    return len(nodes) > 1 or any(node.state not in (NodeState.OK, NodeState.CONNECTING) for node in nodes)


def outcome(view: JobView | None, again: Callable[[str], str]) -> str:
    """What the terminal says after the app has ended; `again` is the command that shows a job."""
    if view is None or view.summary.status not in (JobStatus.RUNNING, JobStatus.STARTING, JobStatus.PENDING):
        return ""
    back = f"come back with: {again(view.job_id)}"
    if view.summary.status is JobStatus.PENDING:
        return f"{view.job_id} waits for its first record; {back}"
    loss = loss_text(view.summary.final_loss, bad=view.summary.loss_bad)
    step = count(view.summary.step) if view.summary.step == view.summary.step else UNKNOWN
    return f"training goes on: {view.job_id} at step {step}, loss {loss}; {back}"
