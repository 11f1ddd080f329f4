"""What a person, or the next one, needs to understand a job in trouble: gathered once, as one directory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ugro_tui.act.bundle import write
from ugro_tui.act.cleaned import block_of, json_of
from ugro_tui.act.diagnosis_report import report
from ugro_tui.act.evidence import Inquiry, NodeEvidence, gather
from ugro_tui.act.findings import MOST_RANKS, Findings, RankFinding, folder_of, of_ranks
from ugro_tui.act.suspects import suspects
from ugro_tui.core.entries import Entry
from ugro_tui.core.snapshot import JobView
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Node

MOST_NODES = 64
"""Nodes that are asked; those of suspects first."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A diagnosis that was written. `failed`: why nodes could not be asked, of `asked` ones in all."""

    path: Path
    verdict: str
    suspects: tuple[int, ...]
    failed: Mapping[str, str]
    asked: int

    @property
    def report(self) -> Path:
        """The page to begin with."""
        return self.path / "report.md"


@dataclass(frozen=True, slots=True)
class Watched:
    """A node and its metrics directory, as the node spells it."""

    node: Node
    root: str


def diagnose(
    view: JobView,
    state: Mapping[str, Any],
    nodes: Sequence[Watched],
    folder: Path,
    when: float,
    *,
    copies: bool,
    over: Sequence[Entry] = (),
) -> Bundle:
    """Ask the `nodes`, and write what they say below `folder`, the job's (with `copies` of its files, or its own).

    `state` is the picture as JSON can hold it, `when` Unix seconds, `over` what fired of it, the newest first.
    The nodes are ours: nobody else may use them, and they are closed.

    Raises:
        UgroError: the directory cannot be written.
    """
    close = suspects(view)
    chosen = _chosen(view, close)
    inquiries = _inquiries(view, nodes, chosen, close)
    left = (NodeEvidence(one.node.name, f"{MOST_NODES} others were asked") for one in inquiries[MOST_NODES:])
    told = (*gather(inquiries[:MOST_NODES]), *left)
    ranks = of_ranks(view, chosen, told, folder if copies else None)
    found = Findings(view, state, when, close, ranks, told, tuple(over))
    path = write(folder, dict(_files(found)), when)
    failed = {node.node: node.problem for node in found.failed}
    return Bundle(path, view.summary.verdict, close, failed, len(told))


def _chosen(view: JobView, close: Sequence[int]) -> tuple[int, ...]:
    """The ranks that are kept: all, or the suspects and the lowest of the others; in their order."""
    others = [int(rank) for rank in view.ranks.rank if rank not in close]
    return tuple(sorted([*close, *others[: MOST_RANKS - len(close)]]))


def _inquiries(view: JobView, nodes: Sequence[Watched], chosen: Sequence[int], close: Sequence[int]) -> list[Inquiry]:
    """Each node is asked of its own ranks, and of those whose node is none that is watched: on a shared filesystem
    records name machines, not nodes."""
    names = {one.node.name for one in nodes}
    where = {int(rank): node for rank, node in zip(view.ranks.rank, view.ranks.node, strict=True)}
    found = []
    for one in nodes:
        mine = tuple(rank for rank in chosen if where[rank] == one.node.name or where[rank] not in names)
        if mine:
            looked = tuple(rank for rank in close if rank in mine)
            found.append(Inquiry(one.node, one.root, view.job_id, mine, looked))
    return sorted(found, key=lambda inquiry: not inquiry.suspects)


def _files(found: Findings) -> Iterator[tuple[str, str]]:
    """The files of a bundle; their names are ours."""
    yield "report.md", report(found)
    yield "state.json", json.dumps(found.state, indent=2) + "\n"
    for rank in found.ranks:
        yield from _of_rank(rank, close=rank.rank in found.suspects)
    for place, node in enumerate(found.nodes):
        yield from _of_node(folder_of(place, node.node), node)


def _of_rank(one: RankFinding, *, close: bool) -> Iterator[tuple[str, str]]:
    told, folder = one.evidence, f"rank_{one.rank}"
    if close:
        tried = [f"# {visible(line)}" for line in (told.process, f"by: {told.how or '-'}", *told.tried) if line]
        yield f"{folder}/stack.txt", "\n".join(tried) + "\n\n" + block_of(told.stack)
    if told.log is not None:
        yield f"{folder}/log.txt", "".join(f"{line}\n" for line in one.log)
    if told.error is not None:
        yield f"{folder}/error.json", json_of(told.error)
    if told.heartbeat is not None:
        yield f"{folder}/heartbeat.json", json_of(told.heartbeat)


def _of_node(folder: str, node: NodeEvidence) -> Iterator[tuple[str, str]]:
    yield f"{folder}/node.txt", f"{visible(node.node)}\n{visible(node.problem)}\n"
    parts = {"gpu": node.gpu, "kernel": node.kernel, "processes": node.processes}
    yield from ((f"{folder}/{name}.txt", block_of(text)) for name, text in parts.items() if text.strip())
