"""What a node's kernel said of a rank: killed for want of memory, or a fault of its GPU. Older lines are of others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from ugro_tui.act.evidence import NodeEvidence
from ugro_tui.act.findings import RankFinding
from ugro_tui.core.text import visible

_TICKS = 100
"""Clock ticks a second (USER_HZ), in which a heartbeat tells when its process began."""

_LINE = re.compile(r"\[ *(?P<at>\d+\.\d+)\] (?P<text>.*)")
_KILLED = re.compile(r"[Kk]illed process (?P<pid>\d+)\b")
_XID = re.compile(r"NVRM: Xid\b.*?(?:\bpid=(?P<pid>\d+)\b|$)")


def complaints(node: NodeEvidence, ranks: Iterable[RankFinding]) -> Iterator[str]:
    """A sentence for each rank of the node that the kernel tells of, by its pid, since it began."""
    lines = _lines(node)
    for one in ranks:
        if one.rank in node.ranks:
            yield from (f"the kernel {said} rank {one.rank}: {text}" for said, text in _of(one, lines))


def word_on(one: RankFinding, nodes: Sequence[NodeEvidence]) -> str:
    """Whether the kernel log of its node names the process of a rank, in one sentence; empty where nobody knows it."""
    pid, _ = _process(one)
    asked = _its(one, nodes)
    if pid is None or not asked:
        return ""
    named = [text for node in asked for _, text in _of(one, _lines(node))]
    if named:
        return f"the kernel log of its node names its process {pid}: {named[-1]}"
    if is_read(one, nodes):
        return f"the kernel log of its node does not name its process {pid}: no sign that the kernel killed it"
    return f"the kernel log of its node could not be read: {visible(asked[0].kernel.strip('()'), 200)}"


def is_read(one: RankFinding, nodes: Sequence[NodeEvidence]) -> bool:
    """Whether the kernel log of the rank's node was read, and its process is known to look for there."""
    asked = _its(one, nodes)
    return bool(asked) and not any(node.kernel.startswith("(") for node in asked) and _process(one)[0] is not None


def _its(one: RankFinding, nodes: Sequence[NodeEvidence]) -> list[NodeEvidence]:
    """The nodes that have answered and on which it may run: on a shared file system records name machines instead."""
    asked = [node for node in nodes if node.asked and one.rank in node.ranks]
    return [node for node in asked if node.node == one.node] or asked


def _lines(node: NodeEvidence) -> list[re.Match[str]]:
    return [found for line in node.kernel.splitlines() if (found := _LINE.match(line))]


def _of(one: RankFinding, lines: Iterable[re.Match[str]]) -> Iterator[tuple[str, str]]:
    """What the kernel did to the process of a rank, and its words."""
    pid, began = _process(one)
    for line in lines:
        if pid is not None and float(line["at"]) >= began and (said := _said(line["text"], pid)):
            yield said, visible(line["text"], 200)


def _said(text: str, pid: int) -> str:
    killed, xid = _KILLED.search(text), _XID.search(text)
    if killed and int(killed["pid"]) == pid:
        return "killed, as memory ran out,"
    return "tells of a fault of the GPU of" if xid and xid["pid"] and int(xid["pid"]) == pid else ""


def _process(one: RankFinding) -> tuple[int | None, float]:
    """The rank's process, and when it began, in seconds since boot."""
    try:
        beat = json.loads(one.evidence.heartbeat or "")
        return int(beat["pid"]), float(beat["pid_start"]) / _TICKS
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None, 0.0
