"""What is asked of the files of jobs so that they can be compared, and what is still missing of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from ugro_tui.core.alerts import Alert
from ugro_tui.core.archive import Finding, Found, Inquiry, Lines, MetricLines, MetricNames
from ugro_tui.core.attempts import Attempt, Attempts
from ugro_tui.core.book import ENDING_RULES
from ugro_tui.core.compared import RunName
from ugro_tui.core.comparison import LOSS, Comparison, compared
from ugro_tui.core.entries import EMPTY_BOOK, BookView
from ugro_tui.core.metric_names import record_path, validation_loss
from ugro_tui.core.pasts import counted
from ugro_tui.core.replay import Fired, Past
from ugro_tui.core.side import Side
from ugro_tui.core.snapshot import JobView
from ugro_tui.core.summary import JobSummary

NOTHING: Final[Finding[Lines]] = Finding(problem="not told")


class Look(Protocol):
    """How files are asked: `Archive.look`, or one that waits."""

    def __call__(self, inquiry: Inquiry[Found], /) -> Finding[Found]:
        """What is known of this by now."""
        ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """One run as its files tell it. `loading`: what it is known by is still being read; `retelling`: what
    fired in it is.

    `names` are the metrics that it has, `shown` the one that is looked at; `problem` says why that is missing.
    """

    side: Side
    names: tuple[str, ...]
    shown: Lines | None
    loading: bool
    problem: str
    retelling: bool = False


def gather(run: RunName, view: JobView | None, look: Look, metric: str = LOSS, book: BookView = EMPTY_BOOK) -> Gathered:
    """Ask for all that is compared of `run`; `view` is the picture of its job, where there is one, `book` what fired
    while somebody watched."""
    names, attempts, past = look(MetricNames(run.job_id)), look(Attempts(run.job_id)), look(Fired(run.job_id))
    told = attempts.content or ()
    newest = max([0 if view is None else view.summary.attempt, *(attempt.number for attempt in told)])
    before = run.attempt if run.attempt is not None and (run.attempt < newest or view is None) else None
    loss = look(MetricLines(run.job_id, LOSS, attempt=before))
    held = _validation(run, look, names.content or (), before)
    other = loss if metric == LOSS else look(MetricLines(run.job_id, metric, attempt=before))
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
        fired=_fired(run.job_id, number, told, past.content or (), book, summary),
        retold=past.content is not None,
    )
    loading = names.loading or attempts.loading or loss.loading or held.loading or other.loading
    shown = other.content if other.content is not None and other.content.lines else None
    problem = _unknown(run, told, 0 if attempts.loading else newest) or ("" if shown is not None else other.problem)
    return Gathered(side, names.content or (), shown, loading, problem, past.loading)


def _known_with(loss: Lines | None, other: Finding[Lines]) -> Finding[Lines]:
    """What of another metric was told up to the newest record of the loss; event files count steps as they like."""
    ends = [float(line.step[-1]) for line in loss.lines if len(line.step)] if loss is not None else []
    if not ends or other.content is None or record_path(other.content.metric) is None:
        return other
    return replace(other, content=other.content.until(max(ends)))


def _fired(
    job_id: str, number: int, told: Sequence[Attempt], past: Sequence[Past], book: BookView, summary: JobSummary | None
) -> tuple[Alert, ...]:
    """What has fired in an attempt, each alert once: by its records, by the book, and now."""
    begun = {attempt.number: attempt.begun for attempt in told if not math.isnan(attempt.begun)}
    end = min((at for other, at in begun.items() if other > number), default=math.inf)
    of_records = [one for one in past if begun.get(number, -math.inf) <= one.fired < end]
    entries = (*book.history, *book.firing)
    mine = [entry for entry in entries if (entry.job_id, entry.attempt) == (job_id, number)]
    of_book = [Past(entry.alert, entry.since, entry.resolved) for entry in mine if entry.alert.rule not in ENDING_RULES]
    return counted([*of_records, *of_book], () if summary is None else summary.alerts)


def _validation(run: RunName, look: Look, names: Sequence[str], past: int | None) -> Finding[Lines]:
    """The loss on held-out data, of records if they tell it: event files tell none of an attempt before the newest."""
    recorded = validation_loss(name for name in names if record_path(name) is not None)
    name = recorded or (validation_loss(names) if past is None else None)
    return look(MetricLines(run.job_id, name, attempt=past)) if name is not None else NOTHING


def _unknown(run: RunName, told: Sequence[Attempt], newest: int) -> str:
    """Why there is no such attempt; empty where there is one, or nothing can be known."""
    numbers = [attempt.number for attempt in told]
    if run.attempt is None or run.attempt in numbers or (not told and run.attempt >= newest):
        return ""
    if not told:
        return f"job {run.job_id} has no attempt {run.attempt} that is known: it is #{newest}, and has no records yet"
    return f"job {run.job_id} has no attempt {run.attempt}: its records tell of {', '.join(map(str, numbers))}"


def comparison_of(found: Sequence[Gathered], metric: str = LOSS) -> Comparison:
    """The comparison of these runs."""
    return compared([one.side for one in found], metric)
