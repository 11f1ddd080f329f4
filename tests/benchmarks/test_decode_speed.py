"""Decoding and keeping a million records, against a bare orjson loop over the same bytes in the same run."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable

import orjson
import pytest

from ugro_tui.core.columns import HISTORY_WIDTH
from ugro_tui.core.decode import decode
from ugro_tui.core.framing import LineFramer
from ugro_tui.core.records import Steps
from ugro_tui.core.series import Series

pytestmark = pytest.mark.bench

RECORDS = 200_000
PASSES = 5
"""Interleaved pairs of a pass over the same 200,000 records: a million records through each side."""

READ = 1 << 20
"""Bytes a poller reads at once."""


def _lines(with_metrics: bool) -> bytes:
    draw = random.Random(7)
    lines = []
    for step in range(RECORDS):
        record = {
            "v": 1,
            "kind": "step",
            "seq": step + 1,
            "ts": round(1_750_000_000 + step * 0.1 + draw.random() / 100, 3),
            "rank": 3,
            "step": step,
            "loss": round(2.0 + draw.random(), 6),
            "lr": round(3e-4 * draw.random(), 9),
            "grad_norm": round(draw.random(), 6),
            "throughput": round(51_200.0 + draw.random(), 1),
            "step_time": round(0.1 + draw.random() / 1000, 6),
            "epoch": step // 10_000,
            "tokens": step * 5_120,
            "phases": {
                name: round(draw.random() / 10, 5) for name in ("data", "forward", "backward", "sync_wait", "optimizer")
            },
        }
        if with_metrics:
            record["metrics"] = {"aux_loss": round(draw.random(), 6), "skipped": 0}
        lines.append(orjson.dumps(record) + b"\n")
    return b"".join(lines)


def _bare(content: bytes) -> int:
    loads = orjson.loads
    count = 0
    for line in content.splitlines():
        loads(line)
        count += 1
    return count


def _columns(content: bytes) -> int:
    """The same way as a poller: read, frame, decode, keep."""
    framer, count = LineFramer(), 0
    for start in range(0, len(content), READ):
        batch = decode(framer.feed(content[start : start + READ]))
        count += sum(len(item.rows) for item in batch.items if isinstance(item, Steps))
    return count


def _seconds(run: Callable[[bytes], int], content: bytes) -> float:
    gc.collect()
    started = time.process_time()
    assert run(content) == RECORDS
    return time.process_time() - started


@pytest.mark.parametrize("with_metrics", [False, True])
def test_decoding_to_columns_costs_at_most_1_6_of_a_bare_orjson_loop(with_metrics: bool) -> None:
    content = _lines(with_metrics)
    pairs = [(_seconds(_columns, content), _seconds(_bare, content)) for _ in range(PASSES)]
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    ours, bare = (statistics.median(side) / RECORDS * 1e6 for side in zip(*pairs, strict=True))
    print(
        f"\ndecode, {len(content) / RECORDS:.0f} B a record, metrics {with_metrics}: {ours:.2f} us to columns, "
        f"{bare:.2f} us bare, ratio {ratio:.2f}"
    )
    assert ratio <= 1.6


def test_a_point_that_is_kept_takes_at_most_10_bytes() -> None:
    content = _lines(with_metrics=False)
    series = Series(capacity=RECORDS)
    for item in decode(content).items:
        assert isinstance(item, Steps)
        series.append(item.rows)
    points = len(series) * HISTORY_WIDTH
    print(f"\nkept: {series.nbytes / points:.2f} B a point, {len(series):,} rows of {HISTORY_WIDTH} points")
    assert len(series) == RECORDS
    assert series.nbytes <= 10 * points
