"""What is known when all nodes were asked: by rank, from the node where it runs, else from our copies."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ugro_tui.act.cleaned import lines_of
from ugro_tui.act.evidence import LOG_LINES, NodeEvidence, RankEvidence
from ugro_tui.core.documents import parse_error, parse_heartbeat
from ugro_tui.core.entries import Entry
from ugro_tui.core.layout import FileKind, mirror_folder
from ugro_tui.core.records import ErrorReport, Heartbeat
from ugro_tui.core.snapshot import JobView
from ugro_tui.core.stacks import Thread, main_thread, parse_stacks
from ugro_tui.core.states import RankState

MOST_RANKS = 256
"""Ranks of which logs and documents are kept in one bundle."""

_MOST_BYTES = 1 << 17
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:%-]{0,127}")


@dataclass(frozen=True)
class RankFinding:
    """All that is known of one rank. `copied`: from our copies, as its node did not tell; `age` in seconds, NaN."""

    rank: int
    node: str
    state: str
    cause: str
    step: float
    age: float
    evidence: RankEvidence = field(default_factory=RankEvidence)
    copied: bool = False

    @cached_property
    def beat(self) -> Heartbeat | None:
        """Its newest heartbeat."""
        return parse_heartbeat((self.evidence.heartbeat or "").encode("utf-8", "replace"))

    @cached_property
    def error(self) -> ErrorReport | None:
        """Its error file."""
        return parse_error((self.evidence.error or "").encode("utf-8", "replace"))

    @cached_property
    def threads(self) -> tuple[Thread, ...]:
        """Its stacks."""
        return parse_stacks(self.evidence.stack)

    @property
    def main(self) -> Thread | None:
        """The thread that trains."""
        return main_thread(self.threads)

    @cached_property
    def log(self) -> list[str]:
        """The end of its log, cleaned."""
        return lines_of(self.evidence.log or "")

    @property
    def known(self) -> bool:
        """Whether there is anything to keep of it."""
        told = self.evidence
        return bool(told.stack or told.heartbeat or told.error or told.log or told.process)


@dataclass(frozen=True)
class Findings:
    """A job in trouble: its picture, `state` of it all as JSON can hold it, what was found, and what could not be.

    `when` is in Unix seconds; `suspects` are ranks, the first suspected most; `over`: what fired, the newest first.
    """

    view: JobView
    state: Mapping[str, Any]
    when: float
    suspects: tuple[int, ...]
    ranks: tuple[RankFinding, ...]
    nodes: tuple[NodeEvidence, ...]
    over: tuple[Entry, ...] = ()

    @property
    def failed(self) -> tuple[NodeEvidence, ...]:
        """Nodes that could not be asked."""
        return tuple(node for node in self.nodes if not node.asked)

    def rank(self, number: int) -> RankFinding | None:
        """What was found of a rank."""
        return next((one for one in self.ranks if one.rank == number), None)


def folder_of(place: int, node: str) -> str:
    """The folder of the node at this place in a bundle: its name, where that is a plain one."""
    return f"nodes/{node if _PLAIN.fullmatch(node) else f'node-{place}'}"


def of_ranks(
    view: JobView, chosen: Sequence[int], nodes: Sequence[NodeEvidence], copies: Path | None
) -> tuple[RankFinding, ...]:
    """What is known of the `chosen` ranks. `copies`: the job's folder in the central directory, if there is one."""
    rows = {int(rank): row for row, rank in enumerate(view.ranks.rank)}
    stats = {one.rank: one for one in view.summary.per_rank_stats}
    found = []
    for rank in chosen:
        row, stat = rows[rank], stats.get(rank)
        one = RankFinding(
            rank=rank,
            node=view.ranks.node[row],
            state=RankState(int(view.ranks.state[row])).word,
            cause=stat.cause if stat else "",
            step=stat.step if stat else float("nan"),
            age=float(view.ranks.step_age[row]),
        )
        found.append(_with_evidence(one, nodes, copies))
    return tuple(found)


def _with_evidence(one: RankFinding, nodes: Sequence[NodeEvidence], copies: Path | None) -> RankFinding:
    told = [node.ranks[one.rank] for node in nodes if one.rank in node.ranks]
    best = max(
        told,
        key=lambda evidence: (evidence.here, evidence.heartbeat is not None, evidence.log is not None),
        default=None,
    )
    if best is not None and (best.heartbeat or best.log or best.error):
        return replace(one, evidence=best)
    copied = _copied(one, [node.node for node in nodes], copies) if copies else None
    if copied is not None:
        return replace(one, evidence=replace(copied, process=best.process if best else ""), copied=True)
    return replace(one, evidence=best or RankEvidence())


def _copied(one: RankFinding, names: Sequence[str], copies: Path) -> RankEvidence | None:
    for node in dict.fromkeys([one.node, *names]):
        if node in ("", ".", "..") or "/" in node:
            continue
        places = (
            (FileKind.HEARTBEAT, f"heartbeat.rank-{one.rank}.json"),
            (FileKind.ERROR, f"rank_{one.rank}.json"),
            (FileKind.LOG, f"rank_{one.rank}.log"),
        )
        beat, error, log = (_tail(copies / mirror_folder(kind, node) / name) for kind, name in places)
        if beat or error or log:
            last = None if log is None else "\n".join(log.rstrip("\n").split("\n")[-LOG_LINES:])
            return RankEvidence(heartbeat=beat, error=error, log=last)
    return None


def _tail(path: Path) -> str | None:
    """The end of a file of ours; None where there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            return None
        data = os.pread(handle, _MOST_BYTES, max(0, info.st_size - _MOST_BYTES))
        return data.decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(handle)
