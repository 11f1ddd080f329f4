"""Exit codes of the headless commands, and what decides on them. The first that fits: unwell, none reached, partial."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from ugro_tui.core.alerts import UNHEARD, Severity
from ugro_tui.core.health import CENTRAL, NodeHealth
from ugro_tui.nodes.base import NodeMissing

if TYPE_CHECKING:
    from ugro_tui.act.diagnose import Bundle
    from ugro_tui.collect.doctor import Diagnosis
    from ugro_tui.core.alerts import Alert
    from ugro_tui.core.snapshot import JobView, NodeView, Snapshot, SyncView

WELL, UNWELL, NONE_REACHED, PARTIAL = 0, 1, 3, 4


def unread(snapshot: Snapshot) -> tuple[NodeView, ...]:
    """The nodes that could not be read. One without a metrics directory could: no job was ever there."""
    return tuple(node for node in snapshot.nodes if node.error and node.brief != NodeMissing.brief)


def of_status(snapshot: Snapshot) -> int:
    """The code for all jobs."""
    critical = any(alert.severity is Severity.CRIT for alert in snapshot.heard)
    if critical or any(job.summary.heard_unwell for job in snapshot.jobs):
        return UNWELL
    return _of_nodes(unread(snapshot), snapshot.nodes)


def of_job(view: JobView, snapshot: Snapshot) -> int:
    """The code for one job. A node that could not be read counts where something of the job may be missing."""
    if view.summary.heard_unwell:
        return UNWELL
    return _of_nodes(unread(snapshot), snapshot.nodes) if lacks_ranks(view) else WELL


def of_alerts(alerts: Iterable[Alert], snapshot: Snapshot) -> int:
    """The code for the alerts that fire. That a node does not answer is told by the codes for nodes."""
    if any(alert.severity is Severity.CRIT and alert.rule not in UNHEARD for alert in alerts):
        return UNWELL
    return _of_nodes(unread(snapshot), snapshot.nodes)


def lacks_ranks(view: JobView) -> bool:
    """Whether there are ranks that were never seen, or of which nothing is heard now."""
    summary = view.summary
    away = any(rank.state == "unreachable" for rank in summary.per_rank_stats)
    return away or summary.ranks_seen < summary.world_size


def of_files(snapshot: Snapshot) -> int:
    """The code for what the files of a job hold, whether it is well or not."""
    return _of_nodes(unread(snapshot), snapshot.nodes)


def of_sync(view: SyncView, snapshot: Snapshot) -> int:
    """The code for a sync; `snapshot` was taken after it."""
    empty = {node.name for node in snapshot.nodes if node.brief == NodeMissing.brief}
    failed = [node for node in view.nodes if node.denied or (node.error and node.node not in empty)]
    return PARTIAL if any(node.denied for node in failed) else _of_nodes(failed, view.nodes)


def of_diagnosis(bundle: Bundle) -> int:
    """The code for a diagnosis that was written: whether all nodes could be asked, not whether the job is well."""
    return _of_nodes(bundle.failed, range(bundle.asked))


def of_doctor(nodes: Sequence[Diagnosis], central: Diagnosis | None) -> int:
    """The code for what was found on all nodes and in the central directory."""
    failed = [one for one in nodes if one.failed]
    if failed and not any(one.reached for one in nodes):
        return NONE_REACHED
    if failed and len(failed) < len(nodes):
        return PARTIAL
    return UNWELL if failed or (central is not None and central.failed) else WELL


def of_health(healths: Sequence[NodeHealth]) -> int:
    """The code for how nodes are. One that does not answer, or could not tell, counts as that, not as unwell."""
    from ugro_tui.core.health_score import is_well  # the whole catalogue: who asks for health alone needs it

    nodes = [one for one in healths if one.node != CENTRAL]
    away = [one for one in nodes if not one.state.reached or (one.error and math.isnan(one.age))]
    if any(not is_well(one) for one in healths if one not in away):
        return UNWELL
    return _of_nodes(away, nodes)


def _of_nodes(failed: Collection[object], nodes: Collection[object]) -> int:
    if not failed:
        return WELL
    return NONE_REACHED if len(failed) == len(nodes) else PARTIAL
