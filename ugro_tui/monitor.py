"""One job as a stream of lines: a line for every new step, change of status and new alert."""

from __future__ import annotations

import sys

import orjson

from ugro_tui.agent import Agent, summary_dict
from ugro_tui.core.alerts import Alert
from ugro_tui.core.snapshot import JobView
from ugro_tui.core.summary import JobSummary
from ugro_tui.report import monitor_line

WAKE_SECONDS = 1.0


def follow(agent: Agent, job_id: str, *, as_json: bool) -> JobSummary:
    """Print the job until it ends; its last summary.

    Raises:
        BadInput, NoSource: as `Agent.job`.
    """
    view = agent.job(job_id)
    shown: tuple[object, ...] = ()
    alerts: frozenset[tuple[str, int]] = frozenset()
    version = -1
    while True:
        if _news(view) != shown:
            shown = _news(view)
            _emit(summary_dict(view.summary) if as_json else monitor_line(view))
        fresh = [alert for alert in view.summary.alerts if (alert.name, alert.rank) not in alerts]
        if not as_json:
            for alert in fresh:
                _emit(_alert_line(alert))
        alerts = frozenset((alert.name, alert.rank) for alert in view.summary.alerts)
        if view.summary.status.over:
            return view.summary
        snapshot = agent.collector.wait_newer(version, WAKE_SECONDS)
        version = snapshot.version
        view = snapshot.job(job_id) or view


def _news(view: JobView) -> tuple[object, ...]:
    summary = view.summary
    names = tuple((alert.name, alert.rank) for alert in summary.alerts)
    return (summary.status, summary.attempt, repr(summary.step), view.phase, names)


def _alert_line(alert: Alert) -> str:
    return f"! {alert.severity.name.lower()}  {alert.name}: rank {alert.rank}: {alert.what}; {alert.next_step}"


def _emit(line: object) -> None:
    if isinstance(line, str):
        sys.stdout.write(line + "\n")
    else:
        sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()
