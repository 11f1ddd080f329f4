"""What a node's kernel said of a rank: killed for want of memory, or a fault of its GPU. Older lines are of others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

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
    lines = [found for line in node.kernel.splitlines() if (found := _LINE.match(line))]
    for one in ranks:
        pid, began = _process(one)
        if pid is None or one.rank not in node.ranks:
            continue
        for line in lines:
            if float(line["at"]) >= began and (said := _said(line["text"], pid)):
                yield f"the kernel {said} rank {one.rank}: {visible(line['text'], 200)}"


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
