"""A job of 8,192 ranks with a record each a second: what each part costs is printed, growth with the ranks asserted."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import orjson
import pytest

from ugro_tui.core.curve import EMPTY
from ugro_tui.core.decode import decode
from ugro_tui.core.documents import parse_heartbeat
from ugro_tui.core.job import JobState
from ugro_tui.core.records import Batch, Heartbeat
from ugro_tui.core.snapshot import curve_of, view
from ugro_tui.core.summary import summarise
from ugro_tui.core.watch import JobWatch

pytestmark = pytest.mark.bench

_Found = TypeVar("_Found")

FEW, MANY, PER_NODE = 256, 8_192, 8
BEFORE, SECONDS = 70, 4
"""Records of each rank from before, and seconds that are measured; the cheapest one counts."""

GROWTH = 2.0
"""A rank of many may cost so many times one of few: caches that hold 256 ranks do not hold 8,192."""


class LargeJob:
    """Ranks that train in step: a record and, for simplicity, a heartbeat each a second."""

    def __init__(self, ranks: int) -> None:
        self.state, self.watch = JobState("job"), JobWatch()
        self.ranks, self.second = ranks, BEFORE
        for rank in range(ranks):
            begin = self._line(rank, 0, "start", world_size=ranks, host=_node(rank), run_id=f"run-{rank}", attempt=1)
            steps = [self._step(rank, second) for second in range(1, BEFORE + 1)]
            self.state.apply(rank, decode(begin + b"".join(steps)), float(BEFORE), _node(rank))
        self.watch.tick(self.state, float(BEFORE))

    def _line(self, rank: int, seq: int, kind: str, **fields: object) -> bytes:
        return orjson.dumps({"v": 1, "kind": kind, "seq": seq, "ts": 1e9 + seq, "rank": rank, **fields}) + b"\n"

    def _step(self, rank: int, second: int) -> bytes:
        phases = {"data": 0.004, "forward": 0.07, "backward": 0.14, "sync_wait": 0.02, "optimizer": 0.01}
        gpu = {"util": 95, "mem_used": 60e9, "mem_total": 80e9, "temp": 66, "power": 600.0, "ecc": 0, "throttle": []}
        values = {"loss": 2.0 + rank * 1e-4, "lr": 1e-3, "grad_norm": 1.0, "throughput": 16e3, "step_time": 0.244}
        return self._line(rank, second, "step", step=second, phases=phases, gpu=gpu, **values)

    def _beat(self, rank: int) -> bytes:
        gpu = {"util": 95, "mem_used": 60e9, "mem_total": 80e9, "temp": 66}
        words = {"pid": 100 + rank, "step": self.second, "step_age": 0.3, "state": "running", "phase": "backward"}
        beat = {"v": 1, "run_id": f"run-{rank}", "rank": rank, "ts": 1e9 + self.second, "rss": 2e9, "gpu": gpu, **words}
        return orjson.dumps(beat)

    def a_second(self) -> dict[str, float]:
        """What each part of a second takes, seconds of this process."""
        self.second += 1
        now, state = float(self.second), self.state
        lines = [self._step(rank, self.second) for rank in range(self.ranks)]
        beats = [self._beat(rank) for rank in range(self.ranks)]
        gc.collect()
        took: dict[str, float] = {}
        batches = _timed(took, "decode records", lambda: list(map(decode, lines)))
        _timed(took, "apply records", lambda: self._apply(batches, now))
        parsed = _timed(took, "decode heartbeats", lambda: [beat for beat in map(parse_heartbeat, beats) if beat])
        _timed(took, "apply heartbeats", lambda: self._apply_beats(parsed, now))
        alerts = _timed(took, "rules", lambda: self.watch.tick(state, now))
        assert alerts == ()
        summary = _timed(took, "summary", lambda: summarise(state, now, alerts))
        assert summary.ranks_ok == self.ranks
        _timed(took, "rules, summary, columns", lambda: view(state, now, EMPTY, self.watch))
        _timed(took, "curve", lambda: curve_of(state))
        return took

    def _apply(self, batches: Sequence[Batch], now: float) -> None:
        for rank, batch in enumerate(batches):
            self.state.apply(rank, batch, now, _node(rank))

    def _apply_beats(self, beats: Sequence[Heartbeat], now: float) -> None:
        for rank, beat in enumerate(beats):
            self.state.apply_heartbeat(rank, beat, now, _node(rank))


def _node(rank: int) -> str:
    return f"n{rank // PER_NODE}"


def _timed(took: dict[str, float], part: str, work: Callable[[], _Found]) -> _Found:
    begun = time.process_time()
    found = work()
    took[part] = time.process_time() - begun
    return found


def _least(ranks: int) -> dict[str, float]:
    job = LargeJob(ranks)
    seconds: Sequence[dict[str, float]] = [job.a_second() for _ in range(SECONDS)]
    return {part: min(second[part] for second in seconds) for part in seconds[0]}


def test_a_rank_of_thousands_costs_no_more_than_one_of_hundreds() -> None:
    few, many = _least(FEW), _least(MANY)
    print(f"\nmilliseconds for a record and a heartbeat of each rank: {FEW} and {MANY:,} ranks")
    for part, took in many.items():
        print(f"{part:<24}{1e3 * few[part]:8.1f}{1e3 * took:9.1f}")
    assert sum(many.values()) / MANY <= GROWTH * sum(few.values()) / FEW
    drawing = many["rules, summary, columns"]
    assert drawing <= 0.5 * (many["decode records"] + many["apply records"])
