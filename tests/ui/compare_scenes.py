"""Jobs to be compared, and what their files tell, for pictures and pilot tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tests.ui.scenes import COMPLETED, FakeArchive, FakeFeed, Record, Run, app_of, ended, job, records, snapshot
from ugro_tui.core.archive import Finding, Line, Lines, MetricLines, MetricNames
from ugro_tui.core.attempts import Attempt, Attempts
from ugro_tui.core.states import JobStatus
from ugro_tui.ui.app import UgroApp

VALIDATION = "metrics.val_loss"

RUNS = (
    Run("gpt2-small", ranks=4),
    Run("ablation-lr-3e-4", ranks=4, steps=500, shift=0.25, ends=ended(4, **COMPLETED)),
    Run("gpt2-wide", ranks=2, steps=220, gpu=False, shift=0.5),
    Run("[red]nope", ranks=1, steps=120, shift=0.75, ends=ended(1, status="stopped")),
)
"""The last one has a name that no job can have, but that a screen must survive."""

OPTIONS = (
    {"lr": "0.0006", "warmup": "50", "model.width": "128", "seed": "1"},
    {"lr": "0.0003", "warmup": "50", "model.width": "128", "seed": "1"},
    {"lr": "0.0003", "warmup": "100", "model.width": "256", "seed": "1", "clip": "1"},
    {"lr": "0.0003", "warmup": "50", "model.width": "128", "seed": "2"},
)


def lines(run: Run, metric: str, shift: float = 0.0, steps: int | None = None) -> Lines:
    """A metric over the ranks of a run, up to a step."""
    last = run.steps if steps is None else steps
    return Lines(metric, tuple(_line(rank, records(run, rank), shift, last) for rank in range(run.ranks)), run.ranks)


def _line(rank: int, told: Iterable[Record], shift: float, last: int) -> Line:
    """The loss, `shift` above what was recorded."""
    rows = [(one["step"], one["ts"], one["tokens"], one["loss"]) for one in told if one["kind"] == "step"][:last]
    step, time, tokens, value = np.array([[np.nan if part == "NaN" else part for part in row] for row in rows], float).T
    return Line(rank, step, time, tokens, value + shift)


def attempt(run: Run, options: dict[str, str], number: int = 1) -> Attempt:
    """What the records of a run tell of it."""
    gpu = "NVIDIA H100" if run.gpu else ""
    status = JobStatus.UNKNOWN if number == 1 else JobStatus.RUNNING
    steps = float(run.steps)
    return Attempt(number, status, run.ranks, gpu, steps, steps * 4096, steps / 4, 16_400.0 * run.ranks, options)


def known(count: int) -> FakeArchive:
    """An archive that knows the first `count` of `RUNS`."""
    archive = FakeArchive()
    for place, run in enumerate(RUNS[:count]):
        archive.findings |= {
            MetricNames(run.job_id): Finding(("loss", "lr", VALIDATION)),
            Attempts(run.job_id): Finding((attempt(run, OPTIONS[place]),)),
            MetricLines(run.job_id, "loss"): Finding(lines(run, "loss")),
            MetricLines(run.job_id, VALIDATION): Finding(lines(run, VALIDATION, 0.5)),
        }
    return archive


def compare_app(count: int, archive: FakeArchive | None = None) -> UgroApp:
    """The application with so many jobs, all of them marked."""
    feed = FakeFeed(snapshot(*(job(run) for run in RUNS[:count])))
    app = app_of(feed, RUNS[0].job_id, archive=archive or known(count))
    app.desk.marked = tuple(run.job_id for run in RUNS[:count])
    return app


def restarted_app(newest: int = 2, told: tuple[int, ...] = (1, 2)) -> UgroApp:
    """One job in its attempt `newest`, alone; `told` are those that have records."""
    run = replace(RUNS[0], job_id="gpt2-small")
    state = job(run)
    feed = FakeFeed(snapshot(state))
    view = feed.current.jobs[0]
    feed.current = replace(feed.current, jobs=(replace(view, summary=replace(view.summary, attempt=newest)),))
    archive = FakeArchive(
        {
            MetricNames(run.job_id): Finding(("loss",)),
            Attempts(run.job_id): Finding(tuple(attempt(run, OPTIONS[number > 1], number) for number in told)),
            MetricLines(run.job_id, "loss"): Finding(lines(run, "loss")),
            MetricLines(run.job_id, "loss", attempt=1): Finding(lines(run, "loss", 1.0, 200)),
        }
    )
    return app_of(feed, run.job_id, archive=archive)
