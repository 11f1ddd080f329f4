"""What nodes know of a job in trouble: each is asked once, all at the same time, and none is waited for too long."""

from __future__ import annotations

import json
import logging
import queue
import secrets
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from ugro_tui.core.errors import UgroError
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Node, NodeLied, NodeUnfit
from ugro_tui.nodes.bootstrap import NO_PYTHON, argv_of, evidence_program

LOG_LINES = 200
"""Lines that are kept of the end of each log."""

GATHER_SECONDS, RUN_SECONDS, TOTAL_SECONDS = 30.0, 45.0, 75.0
"""How long a node may look for things; its answer may take, with the connection; all of it may."""

MOST_AT_ONCE = 16
"""Nodes that are asked at the same time."""

_MOST = 64 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RankEvidence:
    """What one node knows of a rank, as it was sent. `process`: which it is there, or why there is none.

    `how` the stacks were got (empty: not at all), and what was `tried` in vain. None: there is no such file.
    """

    here: bool = False
    process: str = ""
    how: str = ""
    stack: str = ""
    tried: tuple[str, ...] = ()
    heartbeat: str | None = None
    error: str | None = None
    log: str | None = None


@dataclass(frozen=True, slots=True)
class NodeEvidence:
    """What one node knows. `problem`: why it was not asked, or what it cannot read; empty where all went well."""

    node: str
    problem: str = ""
    asked: bool = False
    """Whether it has answered."""
    gpu: str = ""
    kernel: str = ""
    processes: str = ""
    ranks: Mapping[int, RankEvidence] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a node is to be asked: `root` is its metrics directory as it spells it; `suspects` are some of `ranks`."""

    node: Node
    root: str
    job_id: str
    ranks: tuple[int, ...]
    suspects: tuple[int, ...]


class _Stacks(msgspec.Struct):
    how: str
    text: str
    tried: list[str]


class _Rank(msgspec.Struct):
    here: bool = False
    process: str = ""
    stacks: _Stacks | None = None
    heartbeat: str | None = None
    error: str | None = None
    log: str | None = None


class _Answer(msgspec.Struct):
    ranks: dict[str, _Rank]
    job: str = ""
    gpu: str = ""
    kernel: str = ""
    processes: str = ""


_ANSWER = msgspec.json.Decoder(_Answer)


def gather(inquiries: Sequence[Inquiry], seconds: float = TOTAL_SECONDS) -> tuple[NodeEvidence, ...]:
    """What all of them answer, in their order; who does not within `seconds` is told with the reason."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    told: queue.SimpleQueue[tuple[int, NodeEvidence]] = queue.SimpleQueue()
    for place in range(len(inquiries)):
        waiting.put(place)

    def work() -> None:
        while True:
            try:
                place = waiting.get_nowait()
            except queue.Empty:
                return
            told.put((place, _asked(inquiries[place])))

    for _ in range(min(MOST_AT_ONCE, len(inquiries))):
        threading.Thread(target=work, name="diagnosis", daemon=True).start()
    found = {place: NodeEvidence(one.node.name, f"not within {seconds:.0f} s") for place, one in enumerate(inquiries)}
    until = time.monotonic() + seconds
    for _ in inquiries:
        try:
            place, evidence = told.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        found[place] = evidence
    return tuple(found[place] for place in range(len(inquiries)))


def _asked(inquiry: Inquiry) -> NodeEvidence:
    try:
        return ask(inquiry)
    except UgroError as error:
        return NodeEvidence(inquiry.node.name, str(error))
    except Exception as error:  # a thread's outer edge: one node must not end the diagnosis
        log.exception("asking %s failed", inquiry.node.name)
        return NodeEvidence(inquiry.node.name, f"{error!r}: an error in ugro-tui, see its log")
    finally:
        inquiry.node.close()


def ask(inquiry: Inquiry, seconds: float = GATHER_SECONDS) -> NodeEvidence:
    """What one node answers.

    Raises:
        NodeError: it cannot be asked, or what comes is no answer.
    """
    node, program = inquiry.node, evidence_program()
    request = {
        "root": inquiry.root,
        "job": inquiry.job_id,
        "ranks": inquiry.ranks,
        "suspects": inquiry.suspects,
        "lines": LOG_LINES,
        "seconds": seconds,
    }
    mark = secrets.token_hex(8)  # a login script may print something before
    ran = node.run(argv_of(program, mark), stdin=program + json.dumps(request).encode(), seconds=RUN_SECONDS)
    data = ran.out.partition(mark.encode())[2]
    if not data or data.startswith(NO_PYTHON):
        said = visible(ran.err.decode("utf-8", "replace").strip(), 200)
        raise NodeUnfit(f"{node.name}: it runs no Python >= 3.6 for us{f': {said}' if said else ''}")
    return _evidence(node.name, data, inquiry.ranks)


def _evidence(node: str, data: bytes, ranks: Sequence[int]) -> NodeEvidence:
    try:
        whole = zlib.decompressobj()
        told = _ANSWER.decode(whole.decompress(data, _MOST))
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NodeLied(f"{node}: what came is not the answer that was asked for: {visible(str(error), 200)}") from None
    found = {rank: _rank(told.ranks[str(rank)]) for rank in ranks if str(rank) in told.ranks}
    problem = f"the job's folder cannot be read there: {visible(told.job, 200)}" if told.job else ""
    return NodeEvidence(node, problem, True, told.gpu, told.kernel, told.processes, found)


def _rank(told: _Rank) -> RankEvidence:
    plain = RankEvidence(told.here, told.process, "", "", (), told.heartbeat, told.error, told.log)
    if told.stacks is None:
        return plain
    return replace(plain, how=told.stacks.how, stack=told.stacks.text, tried=tuple(told.stacks.tried))
