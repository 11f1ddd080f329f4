"""The table of jobs: its lines, its columns, and what it is filtered and sorted by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ugro_tui.core.alerts import Severity
from ugro_tui.core.filter_fields import NUMBER, PERCENT, SECONDS, Field
from ugro_tui.core.numbers import UNKNOWN, age, clock, compact, count, loss_text
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.core.states import HUNG, STALLED, JobStatus
from ugro_tui.ui.columns import TableColumn
from ugro_tui.ui.lines import Listed
from ugro_tui.ui.marks import JOB_GLYPHS, SEVERITY_GLYPHS
from ugro_tui.ui.spark import sparkline

OLDER: Final = "older"
"""The state of jobs that have not changed for a day: they are read when they are opened."""

AGE_WORDS: Final = {"Age": "since the newest step; since the end of what has ended"}
"""What the column means, of jobs as of ranks."""

_SPARK: Final = 16

_NAN: Final = math.nan


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job. Numbers are NaN where not known; `crit`, `warn` and `info` count its alerts."""

    job_id: str
    state: str
    glyph: str = "·"
    step: float = _NAN
    total: float = _NAN
    eta: float = _NAN
    took: float = _NAN
    over: bool = True
    loss: float = _NAN
    loss_bad: bool = False
    spark: tuple[float, ...] = field(default=())
    throughput: float = _NAN
    ranks_ok: float = _NAN
    world_size: float = _NAN
    crit: int = 0
    warn: int = 0
    info: int = 0
    age: float = _NAN
    says: str = ""
    unwell: bool = False

    @property
    def done(self) -> float:
        """How far it is, 0 to 100."""
        return min(100 * self.step / self.total, 100.0) if self.total > 0 else _NAN  # NaN stays NaN


def job_lines(snapshot: Snapshot) -> Listed[JobLine]:
    """All jobs, the worst first, and behind them those that are only listed."""
    known = sorted((_line(job) for job in snapshot.jobs), key=_trouble, reverse=True)
    older = [JobLine(name, OLDER, says="enter reads it") for name in snapshot.listed]
    return Listed([*known, *older], lambda line: line.job_id, _VALUES, _trouble)


def _line(job: JobView) -> JobLine:
    summary = job.summary
    severities = [alert.severity for alert in summary.alerts]
    return JobLine(
        job.job_id,
        summary.state,
        JOB_GLYPHS[summary.state],
        summary.step,
        _NAN if summary.total_steps is None else summary.total_steps,
        summary.eta,
        summary.duration,
        summary.status.over,
        summary.final_loss,
        summary.loss_bad,
        _spark(job),
        summary.throughput,
        summary.ranks_ok,
        summary.world_size,
        severities.count(Severity.CRIT),
        severities.count(Severity.WARN),
        severities.count(Severity.INFO),
        summary.shown_age,
        summary.verdict,
        summary.unwell,
    )


def _spark(job: JobView) -> tuple[float, ...]:
    """The newest losses of the curve, and behind them one that is no number, if the newest is none."""
    if math.isnan(job.summary.step):
        return ()
    finite = tuple(job.curve.median[-4 * _SPARK :: 4].tolist())
    return (*finite[1 - _SPARK :], _NAN) if job.summary.loss_bad else finite


def _trouble(line: JobLine) -> float:
    return 3.0 * line.unwell + 2.0 * (line.crit > 0) + (line.warn > 0)


FIELDS: Final = (
    Field("job", aliases=("name", "id")),
    Field(
        "state",
        words=("failed", HUNG, STALLED, "running", "starting", "pending", "unknown", "stopped", "finished", OLDER),
    ),
    Field("step", NUMBER, whole=True),
    Field("done", PERCENT, aliases=("%",)),
    Field("eta", SECONDS),
    Field("loss", NUMBER),
    Field("tok", NUMBER, aliases=("tok/s", "throughput")),
    Field("ranks", NUMBER, whole=True),
    Field("alerts", NUMBER, whole=True),
    Field("age", SECONDS),
    Field("says", aliases=("verdict",)),
)

_VALUES: Final = {
    "job": lambda line: line.job_id,
    "state": lambda line: line.state,
    "step": lambda line: line.step,
    "done": lambda line: line.done,
    "eta": lambda line: line.eta,
    "loss": lambda line: math.inf if line.loss_bad else line.loss,
    "tok": lambda line: line.throughput,
    "ranks": lambda line: line.world_size,
    "alerts": lambda line: float(line.crit + line.warn + line.info),
    "age": lambda line: line.age,
    "says": lambda line: line.says,
}


def _tone(line: JobLine, _: str) -> str:
    if line.unwell:
        return "bad"
    if line.state == JobStatus.RUNNING.value:
        return "warn" if line.crit or line.warn else "good"
    return "quiet"


def _progress(line: JobLine) -> str:
    total = "" if math.isnan(line.total) else f"/{compact(line.total)}"
    return count(line.step) + total


def _alerts(line: JobLine) -> str:
    said = ((Severity.CRIT, line.crit), (Severity.WARN, line.warn), (Severity.INFO, line.info))
    return " ".join(f"{SEVERITY_GLYPHS[severity]}{number}" for severity, number in said if number)


def _loss(line: JobLine) -> str:
    return loss_text(line.loss, bad=line.loss_bad)


def _ranks(line: JobLine) -> str:
    return UNKNOWN if math.isnan(line.world_size) else f"{line.ranks_ok:.0f}/{line.world_size:.0f}"


def _left(line: JobLine) -> str:
    return f"took {clock(line.took)}" if line.over and not math.isnan(line.took) else clock(line.eta)


def _trend(line: JobLine, _: str) -> str:
    return "bad" if line.loss_bad else "trend"


COLUMNS: Final[Sequence[TableColumn[JobLine]]] = (
    TableColumn("State", 10, 1, lambda line: f"{line.glyph} {line.state}", "state", left=True, tone=_tone, least=1),
    TableColumn(
        "Job", 16, 0, lambda line: line.job_id, "job", left=True, grows=True, names=True, least=8, identifies=True
    ),
    TableColumn("Step", 12, 3, _progress, "step", falling=True),
    TableColumn("Done", 4, 6, lambda line: UNKNOWN if math.isnan(line.done) else f"{line.done:.0f}%", "done"),
    TableColumn("ETA", 13, 7, _left, "eta"),
    TableColumn("Loss", 8, 4, _loss, "loss", tone=lambda line, _: "bad" if line.loss_bad else ""),
    TableColumn("Trend", _SPARK, 9, lambda line: sparkline(line.spark), left=True, tone=_trend),
    TableColumn("Tok/s", 5, 8, lambda line: compact(line.throughput), "tok", falling=True),
    TableColumn("Ranks", 7, 5, _ranks, "ranks", falling=True),
    TableColumn("Alerts", 8, 2, _alerts, "alerts", falling=True, tone=lambda line, _: "bad" if line.crit else "warn"),
    TableColumn("Age", 4, 10, lambda line: age(line.age), "age"),
)
