"""One job as a stream of lines: a line for every new step, change of status and new alert."""

from __future__ import annotations

import sys

from ugro_tui.agent import Agent, summary_dict
from ugro_tui.core.alerts import Alert
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.core.summary import JobSummary
from ugro_tui.output import print_json, print_lines
from ugro_tui.report import monitor_line

WAKE_SECONDS = 1.0


def follow(agent: Agent, job_id: str, *, as_json: bool) -> JobSummary:
    """Print the job until it ends, and trouble with reading it on standard error; its last summary.

    Raises:
        BadInput, NoSource: as `Agent.job`.
        ReaderGone: nobody reads what is printed.
    """
    view = agent.job(job_id)
    snapshot = agent.collector.snapshot()
    shown: tuple[object, ...] = ()
    alerts: frozenset[tuple[str, int]] = frozenset()
    problems: frozenset[str] = frozenset()
    while True:
        if _news(view) != shown:
            shown = _news(view)
            _print(view, alerts, as_json=as_json)
        alerts = frozenset((alert.name, alert.rank) for alert in view.summary.alerts)
        for problem in _problems(snapshot) - problems:
            print(f"ugro-tui: {problem}", file=sys.stderr, flush=True)
        problems = _problems(snapshot)
        if view.summary.status.over:
            return view.summary
        snapshot = agent.collector.wait_newer(snapshot.version, WAKE_SECONDS)
        view = snapshot.job(job_id) or view


def _print(view: JobView, known: frozenset[tuple[str, int]], *, as_json: bool) -> None:
    """One line for the job as it is now, and one for each alert that is not among `known`."""
    if as_json:
        print_json(summary_dict(view.summary))
        return
    fresh = [alert for alert in view.summary.alerts if (alert.name, alert.rank) not in known]
    print_lines([monitor_line(view), *map(_alert_line, fresh)])


def _problems(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(snapshot.notices) | {node.error for node in snapshot.nodes if node.error}


def _news(view: JobView) -> tuple[object, ...]:
    summary = view.summary
    names = tuple((alert.name, alert.rank) for alert in summary.alerts)
    return (summary.status, summary.attempt, repr(summary.step), view.phase, names)


def _alert_line(alert: Alert) -> str:
    return f"! {alert.severity.name.lower()}  {alert.name}: rank {alert.rank}: {alert.what}; {alert.next_step}"
