"""What `launch --wait` says while it waits for the end of a job: what is new at once, steps ever more seldom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from threading import Event

from ugro_tui import exits
from ugro_tui.act.backend import JobStanding
from ugro_tui.agent import Agent
from ugro_tui.core.alerts import Subject
from ugro_tui.core.errors import UgroError
from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.snapshot import JobView
from ugro_tui.core.states import JobStatus
from ugro_tui.headless import complain
from ugro_tui.launch_lines import ended_line
from ugro_tui.output import print_json, print_lines
from ugro_tui.report import alert_line, monitor_line

LOOK_SECONDS = 2.0

LEAST_SECONDS, MOST_SECONDS, SHARE = 10.0, 600.0, 0.05
"""How long after a line the next step is told: this share of the time that was waited, within these limits."""


def followed(agent: Agent, job_id: str, *, as_json: bool) -> int:
    """Wait for the end of a job; say how far it is, and on standard error why it waits, or is not known.

    As JSON it tells the end alone. 0: it finished.
    """
    pause, said = Event(), ""
    progress = Progress(agent.clock.monotonic())
    while not (standing := _standing(agent, job_id)).over:
        if standing.status in ("pending", "unknown") and standing.said != said:
            said = standing.said
            complain([said])
        view = agent.feed.snapshot().job(job_id)
        if view is not None and not as_json:
            print_lines(progress.lines(view, agent.clock.monotonic()))
        pause.wait(LOOK_SECONDS)
    _copy_rest(agent, job_id)
    if as_json:
        print_json(jsonable(standing), pretty=True)
    else:
        view = _last_look(agent, job_id)
        print_lines([*(progress.last(view) if view is not None else ()), ended_line(job_id, standing)])
    return exits.WELL if standing.status == "finished" else exits.UNWELL


class Progress:
    """Which lines are due for a job that is waited for. `began`, `now`: monotonic seconds."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._told: tuple[object, ...] = ()
        self._place: tuple[object, ...] = ()
        self._at = began
        self._alerts: frozenset[Subject] = frozenset()

    def lines(self, view: JobView, now: float) -> Iterator[str]:
        """The job on a line where its state or attempt is new, or its step after a while; a line for a new alert."""
        summary = view.summary
        told, wait = (summary.state, summary.attempt), SHARE * (now - self._began)
        if told != self._told or now - self._at >= min(MOST_SECONDS, max(LEAST_SECONDS, wait)):
            self._told, self._at = (told, now)
            yield from self.last(view)
        alerts = {alert.subject: alert for alert in summary.alerts}
        yield from (alert_line(alert) for subject, alert in alerts.items() if subject not in self._alerts)
        self._alerts |= alerts.keys()

    def last(self, view: JobView) -> Iterator[str]:
        """The job on a line, unless it has made no step yet, or was told at this one."""
        summary = view.summary
        place = (summary.state, summary.attempt, summary.step, summary.ranks_ok if summary.status.over else -1)
        before = summary.status in (JobStatus.PENDING, JobStatus.STARTING)  # what is known is of the last attempt
        if place != self._place and not (before or math.isnan(summary.step)):
            self._place = place
            yield monitor_line(view)


def _standing(agent: Agent, job_id: str) -> JobStanding:
    """Where it stands; unknown while nobody who could know it answers, which is no end. Raises UgroError."""
    try:
        return agent.launches.standing(job_id)
    except UgroError as error:
        if error.exit_code not in (exits.NONE_REACHED, exits.PARTIAL):
            raise
        return JobStanding("unknown", said=f"unknown: {error}")


def _last_look(agent: Agent, job_id: str) -> JobView | None:
    """The job as its nodes tell it now that it is over; what was known of it where none of them answers."""
    try:
        return agent.open(job_id).job(job_id)
    except UgroError:
        return agent.feed.snapshot().job(job_id)


def _copy_rest(agent: Agent, job_id: str) -> None:
    """Copy what the nodes hold of a job that has ended; how it ended does not depend on that.

    Where another application copies, it does so by itself.
    """
    if agent.copies is not None and not agent.copies.refusal():
        try:
            agent.sync(job_id)
        except UgroError as error:
            complain([str(error)])
