"""The memory of the whole application over thousands of ranks, against tens: `ugro-tui watch` on a local job."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import orjson
import pytest

from tests.benchmarks.terminals import cpu_of, end, open_in_terminal, read_until

pytestmark = pytest.mark.bench

FEW, MANY = 64, 8_192
RECORDS = 60
MOST_MIB = 64
"""What thousands may take beyond tens: 8 KiB a rank."""

CALM_SECONDS, CALM_SHARE = 2.0, 0.5
"""The application is at rest when it has used less than this share of a core, three times for so long."""

READ_SECONDS = 0.5e-3
"""CPU seconds a rank that reading takes at the least: before, it cannot be at rest."""


def written(folder: Path, ranks: int) -> None:
    """A job whose ranks have written their records and a heartbeat just now."""
    (folder / "large").mkdir(parents=True)
    now = time.time()
    for rank in range(ranks):
        suffix = f".rank-{rank}" if rank else ""
        (folder / "large" / f"metrics{suffix}.jsonl").write_bytes(b"".join(_lines(rank, ranks, now)))
        (folder / "large" / f"heartbeat{suffix}.json").write_bytes(orjson.dumps(_beat(rank, now)))


def _lines(rank: int, ranks: int, now: float) -> list[bytes]:
    common = {"v": 1, "rank": rank, "run_id": f"run-{rank}"}
    start = {"kind": "start", "seq": 0, "ts": now - RECORDS, "attempt": 1, "world_size": ranks, "host": f"n{rank // 8}"}
    gpu = {"util": 95, "mem_used": 60e9, "mem_total": 80e9, "temp": 66, "power": 600.0, "ecc": 0, "throttle": []}
    phases = {"data": 0.004, "forward": 0.07, "backward": 0.14, "sync_wait": 0.02, "optimizer": 0.01}
    values = {"loss": 2.0 + rank * 1e-4, "lr": 1e-3, "grad_norm": 1.0, "throughput": 16e3, "step_time": 0.99}
    steps = [
        {"kind": "step", "seq": step, "ts": now - RECORDS + step, "step": step, "phases": phases, "gpu": gpu, **values}
        for step in range(1, RECORDS + 1)
    ]
    return [orjson.dumps(common | record) + b"\n" for record in (start, *steps)]


def _beat(rank: int, now: float) -> dict[str, object]:
    gpu = {"util": 95, "mem_used": 60e9, "mem_total": 80e9, "temp": 66}
    words = {"v": 1, "run_id": f"run-{rank}", "rank": rank, "ts": now, "pid": 100 + rank, "rss": 2e9, "gpu": gpu}
    return {**words, "step": RECORDS, "step_age": 0.3, "state": "running", "phase": "backward"}


def memory_at_rest(folder: Path, ranks: int) -> float:
    """MiB of the application that are its own, once all is read."""
    process, handle = open_in_terminal(
        [sys.executable, "-m", "ugro_tui", "watch", "large", "--metrics-dir", str(folder)]
    )
    calm, spent = 0, 0.0
    while calm < 3:
        read_until(handle, b"never", CALM_SECONDS)
        before, spent = spent, cpu_of(process.pid)
        rests = spent - before < CALM_SHARE * CALM_SECONDS and spent > READ_SECONDS * ranks
        calm = calm + 1 if rests else 0
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    end(process, handle)
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def test_thousands_of_ranks_take_little_more_than_their_newest_records(tmp_path: Path) -> None:
    found = []
    for ranks in (FEW, MANY):
        written(tmp_path / str(ranks), ranks)
        found.append(memory_at_rest(tmp_path / str(ranks), ranks))
    few, many = found
    print(f"\nmemory with {RECORDS} records each: {FEW} ranks {few:.0f} MiB, {MANY:,} ranks {many:.0f} MiB")
    assert many - few <= MOST_MIB
