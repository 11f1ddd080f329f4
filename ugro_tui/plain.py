"""Pictures and summaries as plain dictionaries, as JSON can hold them: None for what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ugro_tui.core.columns import Column
from ugro_tui.core.health import CENTRAL, NodeHealth
from ugro_tui.core.health_score import is_well
from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.rank_view import RankView
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.core.states import RankState
from ugro_tui.core.summary import JobSummary


def summary_dict(summary: JobSummary) -> dict[str, Any]:
    """The fields of a summary, its ranks by number."""
    found: dict[str, Any] = jsonable(summary)
    found["per_rank_stats"] = {str(rank["rank"]): rank for rank in found["per_rank_stats"]}
    return found


def status_dict(snapshot: Snapshot) -> dict[str, Any]:
    """All jobs and nodes, and the alerts about nodes; ages in seconds."""
    names = ("alerts", "nodes", "listed", "notices", "reading")
    jobs = [summary_dict(job.summary) for job in snapshot.jobs]
    return {"jobs": jobs} | {name: jsonable(getattr(snapshot, name)) for name in names}


def health_dict(healths: Sequence[NodeHealth]) -> dict[str, Any]:
    """How nodes are, each with `well`: whether nothing has to be done; the central directory's disk apart from them."""
    told = {health.node: {**jsonable(health), "well": is_well(health)} for health in healths}
    central = told.pop(CENTRAL, None)
    return {"nodes": list(told.values()), "central": central}


def rank_dict(view: RankView) -> dict[str, Any]:
    """One rank in full; `numbers` and `phases` by their names."""
    found: dict[str, Any] = jsonable(view)
    for part in ("numbers", "phases"):
        found[part] = {one.pop("name"): one for one in found[part]}
    return found


def live_dict(view: JobView) -> dict[str, Any]:
    """The newest values of a job and its ranks; ages in seconds.

    Of a rank, `step_time` and the phases (`data` to `optimizer`) are means of its newest five records, as everywhere.
    """
    found: dict[str, Any] = jsonable(view.summary)
    del found["per_rank_stats"]
    ranks = view.ranks
    names = [column for column in Column if column not in (Column.SEQ, Column.BAD)]
    found["phase"] = view.phase
    found["ranks"] = {
        str(ranks.rank[row]): {
            "node": ranks.node[row],
            "state": RankState(int(ranks.state[row])).word,
            "step_age": jsonable(float(ranks.step_age[row])),
            "age": jsonable(float(ranks.age[row])),
        }
        | {column.name.lower(): jsonable(float(ranks.latest[row, column])) for column in names}
        for row in range(len(ranks))
    }
    return found
