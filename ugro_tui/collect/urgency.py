"""The order of jobs: those that people have to see first."""

from __future__ import annotations

import math

from ugro_tui.core.snapshot import JobView
from ugro_tui.core.states import JobStatus

_URGENCY = {
    JobStatus.RUNNING: 1,
    JobStatus.STARTING: 1,
    JobStatus.FAILED: 2,
    JobStatus.PENDING: 3,
    JobStatus.UNKNOWN: 4,
    JobStatus.STOPPED: 5,
    JobStatus.FINISHED: 6,
}


def worst_first(job: JobView, drawn: float) -> tuple[int, int, float, str]:
    """The sort key of a job's picture, which was drawn at `drawn` (monotonic seconds)."""
    summary = job.summary
    alarmed = summary.status is JobStatus.RUNNING and bool(summary.alerts)
    # Of those that are over, the newest first; by when they ended, so that the order does not change any more.
    ended = drawn - summary.age if summary.status.over and math.isfinite(summary.age) else 0.0
    return (0 if alarmed else 1, _URGENCY[summary.status], -round(ended, 1), summary.job_id)
