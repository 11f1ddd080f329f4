"""What is asked of the files of jobs so that they can be compared, and what is still missing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from ugro_tui.core.archive import Finding, Found, Inquiry, Lines, MetricLines, MetricNames
from ugro_tui.core.attempts import Attempt, Attempts
from ugro_tui.core.compared import RunName
from ugro_tui.core.comparison import LOSS, Comparison, compared
from ugro_tui.core.metric_names import record_path, validation_loss
from ugro_tui.core.side import Side
from ugro_tui.core.snapshot import JobView

NOTHING: Final[Finding[Lines]] = Finding(problem="not told")


class Look(Protocol):
    """How files are asked: `Archive.look`, or one that waits."""

    def __call__(self, inquiry: Inquiry[Found], /) -> Finding[Found]:
        """What is known of this by now."""
        ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """One run as its files tell it. `loading`: what it is known by is still being read.

    `names` are the metrics that it has, `shown` the one that is looked at; `problem` says why that is missing.
    """

    side: Side
    names: tuple[str, ...]
    shown: Lines | None
    loading: bool
    problem: str


def gather(run: RunName, view: JobView | None, look: Look, metric: str = LOSS) -> Gathered:
    """Ask for all that is compared of `run`; `view` is the picture of its job, where there is one."""
    names, attempts = look(MetricNames(run.job_id)), look(Attempts(run.job_id))
    told = attempts.content or ()
    newest = max([0 if view is None else view.summary.attempt, *(attempt.number for attempt in told)])
    past = run.attempt if run.attempt is not None and (run.attempt < newest or view is None) else None
    loss = look(MetricLines(run.job_id, LOSS, attempt=past))
    held = _validation(run, look, names.content or (), past)
    other = loss if metric == LOSS else look(MetricLines(run.job_id, metric, attempt=past))
    number = newest if run.attempt is None else run.attempt
    summary = view.summary if view is not None and number == view.summary.attempt else None
    mine = next((attempt for attempt in told if attempt.number == number), None)
    if summary is not None and not summary.status.over:
        mine = None if mine is None else mine.as_of(loss.content)
        held, other = (_known_with(loss.content, one) for one in (held, other))
    side = Side(
        run=run,
        summary=summary,
        told=mine,
        newest=newest,
        loss=loss.content,
        validation=held.content,
        metric=None if metric == LOSS else other.content,
    )
    loading = names.loading or attempts.loading or loss.loading or held.loading or other.loading
    shown = other.content if other.content is not None and other.content.lines else None
    problem = _unknown(run, told) or ("" if shown is not None else other.problem)
    return Gathered(side, names.content or (), shown, loading, problem)


def _known_with(loss: Lines | None, other: Finding[Lines]) -> Finding[Lines]:
    """What of another metric was told up to the newest record of the loss; event files count steps as they like."""
    ends = [float(line.step[-1]) for line in loss.lines if len(line.step)] if loss is not None else []
    if not ends or other.content is None or record_path(other.content.metric) is None:
        return other
    return replace(other, content=other.content.until(max(ends)))


def _validation(run: RunName, look: Look, names: Sequence[str], past: int | None) -> Finding[Lines]:
    """The loss on held-out data, of records if they tell it: event files tell none of an attempt before the newest."""
    recorded = validation_loss(name for name in names if record_path(name) is not None)
    name = recorded or (validation_loss(names) if past is None else None)
    return look(MetricLines(run.job_id, name, attempt=past)) if name is not None else NOTHING


def _unknown(run: RunName, told: Sequence[Attempt]) -> str:
    """Why there is no such attempt; empty where there is one, or nothing is known of any."""
    numbers = [attempt.number for attempt in told]
    if run.attempt is None or not told or run.attempt in numbers:
        return ""
    return f"job {run.job_id} has no attempt {run.attempt}: its records tell of {', '.join(map(str, numbers))}"


def comparison_of(found: Sequence[Gathered], metric: str = LOSS) -> Comparison:
    """The comparison of these runs."""
    return compared([one.side for one in found], metric)
