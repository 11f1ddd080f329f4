"""One job as a stream of lines: a line for every new step, change of status and new alert."""

from __future__ import annotations

import math

from ugro_tui.agent import Agent
from ugro_tui.core.alerts import Subject
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.headless import Trouble, complain
from ugro_tui.output import print_json, print_lines
from ugro_tui.plain import summary_dict
from ugro_tui.report import alert_line, monitor_line

WAKE_SECONDS = 1.0

AWAY_SECONDS = 60.0
"""How long the ranks of nodes that do not answer are waited for when all others have ended: a node that is restarted,
or a network, is back by then; under DDP they cannot train on alone."""

_ENDED = {"finished", "stopped", "dead"}


def follow(agent: Agent, job_id: str, *, as_json: bool) -> tuple[JobView, Snapshot]:
    """Print the job until it ends, and trouble with reading it on standard error; its last picture, and that of all.

    It also ends `AWAY_SECONDS` after the last rank that is heard of has ended, whatever nodes are away then.

    Raises:
        BadInput, Partial, NoSource: as `Agent.job`.
        ReaderGone: nobody reads what is printed.
    """
    view = agent.job(job_id)
    snapshot = agent.collector.snapshot()
    trouble = Trouble()
    shown: tuple[object, ...] = ()
    alerts: frozenset[Subject] = frozenset()
    alone_at = math.inf
    while True:
        trouble.say(snapshot)
        if _news(view) != shown:
            shown = _news(view)
            _print(view, alerts, as_json=as_json)
        alerts = frozenset(alert.subject for alert in view.summary.alerts)
        now = agent.clock.monotonic()
        alone_at = min(alone_at, now) if _only_away(view) else math.inf
        if view.summary.status.over:
            return view, snapshot
        if now - alone_at >= AWAY_SECONDS:
            complain([_given_up(view)])
            return view, snapshot
        snapshot = agent.collector.wait_newer(snapshot.version, WAKE_SECONDS)
        view = snapshot.job(job_id) or view


def _only_away(view: JobView) -> bool:
    """Whether every rank that is heard of has ended, and others are on nodes that do not answer."""
    states = {rank.state for rank in view.summary.per_rank_stats}
    return "unreachable" in states and bool(states & _ENDED) and states <= {"unreachable", *_ENDED}


def _given_up(view: JobView) -> str:
    ranks = [rank for rank in view.summary.per_rank_stats if rank.state == "unreachable"]
    nodes = ", ".join(dict.fromkeys(rank.node or "?" for rank in ranks))
    return (
        f"{view.job_id}: all other ranks ended {AWAY_SECONDS:.0f} s ago; how the {len(ranks)} on {nodes} ended is not "
        "known: look when they can be read again"
    )


def _print(view: JobView, known: frozenset[Subject], *, as_json: bool) -> None:
    """One line for the job as it is now, and one for each alert that is not among `known`."""
    if as_json:
        print_json(summary_dict(view.summary))
        return
    fresh = [alert for alert in view.summary.alerts if alert.subject not in known]
    print_lines([monitor_line(view), *map(alert_line, fresh)])


def _news(view: JobView) -> tuple[object, ...]:
    summary = view.summary
    names = tuple(alert.subject for alert in summary.alerts)
    return (summary.state, summary.attempt, repr(summary.step), view.phase, names)
