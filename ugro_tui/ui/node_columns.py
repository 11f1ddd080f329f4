"""The table of nodes: how each can be read, and how its machine is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ugro_tui.core import health_words as words
from ugro_tui.core.filter_fields import MILLISECONDS, NUMBER, PERCENT, SECONDS, Field
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.numbers import age
from ugro_tui.core.snapshot import NodeView, Snapshot
from ugro_tui.core.states import NodeState, RankState
from ugro_tui.ui.columns import TableColumn
from ugro_tui.ui.lines import Listed
from ugro_tui.ui.marks import NODE_GLYPHS
from ugro_tui.ui.nodes import condition, well
from ugro_tui.ui.spark import level

UNWELL_BELOW: Final = 70
"""The score below which `ugro-tui health` says that a node is unwell."""


MOST_BLOCKS: Final = 8
"""GPUs of a node that are drawn as a block each."""


class RankThere(NamedTuple):
    """A rank on a node, and its state."""

    job_id: str
    rank: int
    state: RankState


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One node: how it is read, how it is (as told last, or nothing), and how many ranks of jobs that run it has."""

    view: NodeView
    health: NodeHealth
    ranks: int = 0


def node_lines(snapshot: Snapshot, elapsed: float) -> Listed[NodeLine]:
    """All nodes in their order; `elapsed`: seconds since the snapshot."""
    told = {health.node: health for health in snapshot.health}
    ranks = ranks_there(snapshot)
    lines = [
        NodeLine(view, told.get(view.name, NodeHealth(view.name)), len(ranks.get(view.name, ())))
        for view in snapshot.nodes
    ]
    return Listed(lines, lambda line: line.view.name, _values(elapsed), _trouble)


def ranks_there(snapshot: Snapshot) -> dict[str, list[RankThere]]:
    """The ranks of jobs that are not over, by the name of their node; jobs and ranks in their order."""
    alone = snapshot.nodes[0].name if len(snapshot.nodes) == 1 else ""  # a machine calls itself as it likes
    found: dict[str, list[RankThere]] = {}
    for job in snapshot.jobs:
        if not job.summary.status.over:
            ranks = zip(job.ranks.node, job.ranks.rank.tolist(), job.ranks.state.tolist(), strict=True)
            for node, rank, state in ranks:
                found.setdefault(alone or node, []).append(RankThere(job.job_id, rank, RankState(state)))
    return found


def _trouble(line: NodeLine) -> float:
    score = 100 - line.health.score
    return 200.0 if not line.view.state.reached else 100.0 + score if line.view.error else float(score > 0) * score


def _values(elapsed: float) -> dict[str, Callable[[NodeLine], float] | Callable[[NodeLine], str]]:
    return {
        "node": lambda line: line.view.label,
        "state": lambda line: line.view.state.value,
        "heard": lambda line: line.view.age + elapsed,
        "score": lambda line: math.nan if words.is_open(line.health) else line.health.score,
        "rtt": lambda line: line.view.round_trip,
        "clock": lambda line: line.view.clock_offset,
        "load": lambda line: line.health.load[0],
        "mem": lambda line: 100 * words.memory_used(line.health),
        "disk": lambda line: 100 * words.disk_free(line.health),
        "gpus": lambda line: float(len(line.health.gpus)) if line.health.gpus_known else math.nan,
        "ranks": lambda line: float(line.ranks),
        "why": lambda line: why(line),
    }


FIELDS: Final = (
    Field("node", aliases=("host", "name")),
    Field("state", words=tuple(state.value for state in reversed(NodeState))),
    Field("heard", SECONDS, aliases=("age",)),
    Field("score", NUMBER),
    Field("rtt", MILLISECONDS, aliases=("latency",)),
    Field("clock", SECONDS),
    Field("load", NUMBER),
    Field("mem", PERCENT, aliases=("memory",)),
    Field("disk", PERCENT),
    Field("gpus", NUMBER, whole=True, aliases=("gpu",)),
    Field("ranks", NUMBER, whole=True),
    Field("why", aliases=("reason",)),
)


def why(line: NodeLine) -> str:
    """What is wrong with it, in a few words; empty where nothing is."""
    return line.view.error.removeprefix(f"{line.view.name}: ") or words.reason(line.health)


def state_cell(elapsed: float) -> Callable[[NodeLine], str]:
    """How a node is, in a glyph and a few words."""

    def cell(line: NodeLine) -> str:
        glyph = "●" if well(line.view) else NODE_GLYPHS[line.view.state]
        return f"{glyph} {'ok' if well(line.view) else condition(line.view, elapsed, short=True)}"

    return cell


def state_tone(line: NodeLine) -> str:
    """The style of that."""
    if well(line.view):
        return "good"
    return {NodeState.CONNECTING: "quiet", NodeState.OK: "warn", NodeState.SILENT: "warn"}.get(line.view.state, "bad")


def _score_tone(line: NodeLine, _: str) -> str:
    return "bad" if line.health.score < UNWELL_BELOW else "warn" if line.health.score < 100 else "good"


def _gpus(line: NodeLine) -> str:
    """How busy each GPU is, as a block each; all together, and the hottest. As numbers where they are too many."""
    gpus = line.health.gpus
    if not 0 < len(gpus) <= MOST_BLOCKS:
        return words.gpus(line.health)
    blocks = "".join("✖" if gpu.lost else "·" if math.isnan(gpu.util) else level(gpu.util / 100) for gpu in gpus)
    return f"{blocks} {words.gpus_use(line.health)}"


def columns(elapsed: float) -> Sequence[TableColumn[NodeLine]]:
    """The columns, `elapsed` seconds after the snapshot."""
    return (
        TableColumn("Node", 10, 0, lambda line: line.view.label, "node", left=True, grows=True, names=True, least=8),
        TableColumn(
            "State", 19, 1, state_cell(elapsed), "state", left=True, tone=lambda line, _: state_tone(line), least=1
        ),
        TableColumn("Heard", 5, 3, lambda line: age(line.view.age + elapsed), "heard"),
        TableColumn("Score", 5, 2, lambda line: words.score(line.health), "score", tone=_score_tone),
        TableColumn("Ranks", 5, 5, lambda line: str(line.ranks), "ranks", falling=True),
        TableColumn("GPUs", 20, 4, _gpus, "gpus", left=True, tone=lambda *_: "trend"),
        TableColumn("Load", 8, 8, lambda line: words.load(line.health), "load", falling=True),
        TableColumn("Memory", 14, 9, lambda line: words.memory(line.health), "mem", falling=True, left=True),
        TableColumn("Disk", 9, 6, lambda line: words.disk(line.health), "disk"),
        TableColumn("RTT", 6, 10, lambda line: words.latency(line.health), "rtt", falling=True),
        TableColumn("Clock", 7, 11, lambda line: words.clock_offset(line.health), "clock", falling=True),
        TableColumn("Via", 7, 12, lambda line: line.view.via, left=True),
        TableColumn("Why", 26, 7, why, "why", left=True, grows=True),
    )
