"""A diagnosis as a page that says what happened, for somebody who did not see it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from ugro_tui.act.cleaned import fenced, inline
from ugro_tui.act.findings import Findings, RankFinding, folder_of
from ugro_tui.act.kernel import complaints, is_read, word_on
from ugro_tui.core.alerts import Alert
from ugro_tui.core.entries import Entry
from ugro_tui.core.numbers import duration
from ugro_tui.core.stacks import Thread

MOST_ROWS = 64
"""Ranks in the table."""

MOST_OVER = 10
"""Alerts that are over, the newest."""

_STATES = {
    "slow": "it steps, and the others wait for it",
    "stalled": "it lives, and makes no step for longer than it should",
    "hung": "all ranks stand still together: in synchronous training most only wait for the one that holds them up",
    "dead": "its process has ended in failure, or is gone without a word",
    "unreachable": "its node does not answer, so nothing is known of what it does now",
    "unknown": "nothing tells what it does",
}
_FILES = (
    "- `state.json`: the job, its alerts and the nodes as they were known when this was written",
    "- `rank_N/`: all stacks, the last lines of the log, heartbeat and error file of rank N",
    "- `nodes/`: GPUs, kernel messages and the processes of the ranks above on each node",
)
_DUMP = re.compile(r"its stack: d \(ugro-tui diagnose\), or py-spy dump --pid \d+")
_KERNEL = "look at its node's kernel log (dmesg), and "
_FRAMES, _LOG_LINES, _TRACE_LINES = 30, 20, 20


def report(found: Findings) -> str:
    """The page, in Markdown. What nodes said is in it as text, never as markup."""
    parts = (_head, _short, _suspects, _ranks, _nodes, _gaps, _next, _legend)
    return "\n".join(line for part in parts for line in part(found)) + "\n"


def _head(found: Findings) -> Iterator[str]:
    summary = found.view.summary
    of = f" of {summary.total_steps:,}" if summary.total_steps else ""
    when = datetime.fromtimestamp(found.when, UTC)
    verdict = summary.verdict
    for alert in summary.alerts[:1]:
        verdict = verdict.replace(alert.next_step, _first(found, alert, "below")) if alert.next_step else verdict
    yield from (f"# Job {inline(summary.job_id)}", "", f"**{inline(verdict, 600)}**", "")
    yield (
        f"Job `{summary.job_id}` is {summary.state}, at step {_step(summary.step)}{of}, attempt "
        f"{summary.attempt}; {summary.ranks_ok} of {summary.world_size} ranks are well. Seen at "
        f"{when:%Y-%m-%d %H:%M:%S} UTC."
    )
    yield ""


def _short(found: Findings) -> Iterator[str]:
    """What happened, a line for ranks that stand in the same place."""
    yield from ("## What happened", "")
    told = [f"{_line(one)} (began {_ago(found, one.age)})" for one in found.view.summary.alerts[:10]]
    yield from (f"- {line}" for line in told or ["no alert fires"])
    yield from (f"- over: {_line(one.alert)} ({_span(found, one)})" for one in reversed(found.over[:MOST_OVER]))
    if len(found.over) > MOST_OVER:
        yield f"- {len(found.over) - MOST_OVER} more that were over before are in `state.json`"
    places: dict[str, list[int]] = {}
    for one in _close(found):
        if one.main is not None and one.main.place:
            places.setdefault(one.main.place, []).append(one.rank)
    for place, ranks in places.items():
        yield f"- {_these(ranks)} {'stands' if len(ranks) == 1 else 'stand'} in `{_code(place)}`"
    yield from (f"- {inline(line, 400)}" for node in found.nodes for line in complaints(node, found.ranks))
    yield ""


def _suspects(found: Findings) -> Iterator[str]:
    yield from ("## Ranks looked at closely", "")
    for one in _close(found):
        yield from (f"### Rank {one.rank}{f' on {inline(one.node)}' if one.node else ''}: {one.state}", "")
        yield from _known(found, one)
        yield from _stack(one)
        if one.error is not None:
            lines = one.error.traceback.splitlines()[-_TRACE_LINES:]
            yield from (f"Its error file says (`rank_{one.rank}/error.json`):", "")
            yield from (*fenced([one.error.message, *lines]), "")
        if one.log:
            whence = " as it was copied last" if one.copied else ""
            yield from (f"The end of its log{whence} (`rank_{one.rank}/log.txt`):", "")
            yield from (*fenced(one.log[-_LOG_LINES:]), "")


def _known(found: Findings, one: RankFinding) -> Iterator[str]:
    beat = one.beat
    if one.cause:
        yield f"- why: {inline(one.cause)}"
    yield f"- last step: {_step(one.step)}{'' if math.isnan(one.age) else f', at {_ago(found, one.age)}'}"
    if beat is not None:
        phase = f", in the phase `{_code(beat.phase)}`" if beat.phase else ""
        pid = "unknown" if beat.pid is None else str(beat.pid)
        copied = " (copied)" if one.copied else ""
        yield f"- its heartbeat{copied}: pid {pid}, {inline(beat.state) or 'no state'}{phase}"
    if one.evidence.process:
        yield f"- on its node: {inline(one.evidence.process)}"
    if one.state == "dead" and one.error is None and (word := word_on(one, found.nodes)):
        yield f"- {inline(word, 400)}"
    yield ""


def _stack(one: RankFinding) -> Iterator[str]:
    main, how = one.main, {"py-spy": "py-spy", "signal": "a signal that the rank handles"}.get(one.evidence.how, "")
    if main is None:
        yield from ("No stacks: see *Not gathered*.", "")
        return
    yield from (
        f"It stands in `{_code(main.place)}`. The thread that trains, innermost call first (by {how}{_in_vain(one)}):",
        "",
    )
    yield from (*fenced([f"{frame.function} ({frame.file}:{frame.line})" for frame in main.frames[:_FRAMES]]), "")
    others = [_other(thread) for thread in one.threads if thread is not main]
    if others:
        yield from (f"{len(others)} more threads: `rank_{one.rank}/stack.txt`.", "")


def _in_vain(one: RankFinding) -> str:
    return f"; {inline('; '.join(one.evidence.tried), 600)}" if one.evidence.tried else ""


def _other(thread: Thread) -> str:
    return thread.name or "a thread"


def _ranks(found: Findings) -> Iterator[str]:
    yield from ("## Ranks", "", "| rank | node | state | step | made at | phase |", "|---|---|---|---|---|---|")
    for one in found.ranks[:MOST_ROWS]:
        phase = one.beat.phase if one.beat is not None else ""
        cells = (str(one.rank), inline(one.node), one.state, _step(one.step), _ago(found, one.age), inline(phase))
        yield f"| {' | '.join(cell or '–' for cell in cells)} |"
    left = len(found.view.ranks) - min(len(found.ranks), MOST_ROWS)
    if left:
        yield from ("", f"{left} more are in `state.json`.")
    yield ""


def _nodes(found: Findings) -> Iterator[str]:
    yield from ("## Nodes", "", "| node | asked | GPUs | kernel |", "|---|---|---|---|")
    for place, node in enumerate(found.nodes):
        folder = folder_of(place, node.node)
        gpu = f"`{folder}/gpu.txt`" if _is_told(node.gpu) else inline(node.gpu) or "–"
        lines = node.kernel.strip().splitlines() if _is_told(node.kernel) else []
        kernel = f"{len(lines)} lines: `{folder}/kernel.txt`" if lines else inline(node.kernel) or "no complaints"
        yield f"| {inline(node.node)} | {'yes' if node.asked else 'no'} | {gpu} | {kernel if node.asked else '–'} |"
    yield ""


def _gaps(found: Findings) -> Iterator[str]:
    gaps = [f"{inline(node.node)}: {inline(node.problem, 600)}" for node in found.nodes if node.problem]
    lacking: dict[str, list[int]] = {}
    for one in _close(found):
        reasons = one.evidence.tried or (one.evidence.process or "its node did not tell",)
        for why in () if one.threads else reasons:
            lacking.setdefault(why, []).append(one.rank)
    gaps += [f"stacks of {_these(ranks)}: {inline(why, 600)}" for why, ranks in lacking.items()]
    yield from ("## Not gathered", "", *(f"- {gap}" for gap in gaps or ["nothing is missing"]), "")


def _next(found: Findings) -> Iterator[str]:
    alerts = [alert for alert in found.view.summary.alerts if alert.next_step]
    steps = [f"{_whose(alert.rank, alert.node)}: {inline(_first(found, alert, 'above'))}" for alert in alerts]
    dumb = [one.rank for one in _close(found) if not one.threads and one.evidence.here]
    hints = ["have the script use `MetricsEmitter(stack_signal=True)`, or install py-spy there"] if dumb else []
    hints += [f"`ugro-tui doctor` says what is wrong with {inline(node.node)}" for node in found.failed]
    yield from ("## What to look at next", "", *(f"- {step}" for step in [*steps, *hints][:20] or ["nothing"]))


def _first(found: Findings, alert: Alert, place: str) -> str:
    """What to do first, without what the diagnosis has done already; `place`: where on this page it stands."""
    one, step = found.rank(alert.rank) if alert.rank is not None else None, alert.next_step
    if one is None:
        return step
    step = _DUMP.sub(f"its stack is {place}", step) if one.threads else step
    return step.replace(_KERNEL, "") if is_read(one, found.nodes) else step


def _legend(found: Findings) -> Iterator[str]:
    """What the words and the files mean, for who has only this directory."""
    states = dict.fromkeys(one.state for one in found.ranks if one.state in _STATES)
    yield from ("", "## How to read this", "", *(f"- *{state}*: {_STATES[state]}" for state in states), *_FILES)


def _close(found: Findings) -> list[RankFinding]:
    return [one for rank in found.suspects if (one := found.rank(rank)) is not None]


def _these(ranks: list[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"


def _is_told(text: str) -> bool:
    """Whether a tool said something itself; why it did not stands in brackets."""
    return bool(text.strip()) and not text.startswith("(")


def _line(alert: Alert) -> str:
    whose = _whose(alert.rank, alert.node)
    return f"{alert.severity.name.lower()}: **{inline(alert.name)}**, {whose}: {inline(alert.what)}"


def _ago(found: Findings, age: float) -> str:
    """A moment so many seconds before this was written: by the clock, and how long ago."""
    return "–" if math.isnan(age) else f"{_clock(found, found.when - age)}, {duration(age)} ago"


def _span(found: Findings, entry: Entry) -> str:
    """When an alert fired that is over, and in which attempt, if that was another one; an event has no length."""
    seconds = entry.resolved - entry.since
    lasted = f", for {duration(seconds)}" if math.isfinite(seconds) else " to the end of the records"
    earlier = f", in attempt {entry.attempt}" if 0 < entry.attempt < found.view.summary.attempt else ""
    return f"{_clock(found, entry.since)}{lasted if seconds else ''}{earlier}"


def _clock(found: Findings, at: float) -> str:
    """Unix seconds by the clock in UTC, with the date where it is another day's."""
    try:
        when, written = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(found.when, UTC)
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"
    return f"{when:{'%H:%M:%S' if when.date() == written.date() else '%Y-%m-%d %H:%M:%S'}} UTC"


def _whose(rank: int | None, node: str) -> str:
    where = f" on {inline(node)}" if node else ""
    return f"rank {rank}{where}" if rank is not None else f"the job{where}"


def _code(text: str) -> str:
    """Text for a code span: its own ticks would end it."""
    return text.replace("`", "'")


def _step(step: float) -> str:
    return "–" if math.isnan(step) else f"{step:,.0f}"
