"""All records of one job, read once more from the beginning: from its own files, or from their central copies."""

from __future__ import annotations

from collections.abc import Iterable

from ugro_tui.collect.reader import JobReader
from ugro_tui.core.layout import FileKind
from ugro_tui.core.records import Batch
from ugro_tui.core.replay import Told
from ugro_tui.nodes.base import Ask, Node

_METRICS = frozenset({FileKind.METRICS})


def read_history(sources: Iterable[tuple[str, Node]], job_id: str) -> list[Told]:
    """The records of every rank, as each node shows them. `sources`: a node's name, and what reads its files.

    Raises:
        NodeError: one of them cannot be read.
    """
    return [told for name, source in sources for told in _read(name, source, job_id)]


def _read(name: str, source: Node, job_id: str) -> list[Told]:
    reader, found, more = JobReader(name, job_id, 0), dict[int, list[Batch]](), True
    while more:
        reply = source.poll(Ask({job_id: reader.known(_METRICS)}, _METRICS))
        delivery, news = reader.take((one for one in reply.chunks if one.job_id == job_id), (), reply.more, 0.0)
        for piece in delivery.pieces:
            if isinstance(piece.content, Batch):
                found.setdefault(piece.rank, []).append(piece.content)
        more = reply.more and news
    return [Told(rank, name, batches) for rank, batches in sorted(found.items())]
