"""One tick of all rules over 1,024 and 8,192 ranks: milliseconds are printed, growth is asserted."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import numpy as np
import pytest

from ugro_tui.core.columns import WIDTH, Column
from ugro_tui.core.job import JobState
from ugro_tui.core.records import Batch, Heartbeat, Start, Steps
from ugro_tui.core.watch import JobWatch

pytestmark = pytest.mark.bench

FEW, MANY = 1_024, 8_192
GROWTH = MANY / FEW * 1.3
"""Linear, and a little for caches that no longer hold the columns."""

TICKS, NEWS = 7, 3
"""Looks that are measured; to take records in costs far more than to judge them."""

PER_NODE = 8


class Watched:
    """A job whose ranks train in step, a record a second, with all that an instrumented emitter tells."""

    def __init__(self, ranks: int) -> None:
        self.state, self.watch = JobState("job"), JobWatch()
        self.ranks, self.now, self.step = ranks, 100.0, 0
        draw = np.random.default_rng(7)
        self.rows = np.full((ranks, 1, WIDTH), np.nan)
        for column, value in (
            (Column.LOSS, 2.0), (Column.GRAD_NORM, 1.0), (Column.THROUGHPUT, 16e3), (Column.STEP_TIME, 0.244),
            (Column.DATA, 0.004), (Column.FORWARD, 0.07), (Column.BACKWARD, 0.14), (Column.OPTIMIZER, 0.01),
            (Column.SYNC_WAIT, 0.02), (Column.GPU_UTIL, 95.0), (Column.GPU_MEM_USED, 60e9),
            (Column.GPU_MEM_TOTAL, 80e9), (Column.GPU_TEMP, 66.0), (Column.GPU_ECC, 0.0), (Column.GPU_THROTTLE, 0.0),
        ):  # fmt: skip
            self.rows[:, 0, column] = value * draw.normal(1.0, 0.01, ranks)
        self.rows[:, 0, Column.BAD] = 0.0
        self.rows[:, 0, Column.GPU_THROTTLE] = 0.0
        for rank in range(ranks):
            start = Start(0, 0.0, f"run-{rank}", 1, ranks, f"n{rank // PER_NODE}", rank, "NVIDIA H100", 100_000, 1)
            beat = Heartbeat(
                f"run-{rank}", rank, 1.0, 0.0, "running", "backward", 2e9, 1e12, 0, {"temp_slowdown": 92.0},
                mem_total=1e12, disk_total=4e12,
            )  # fmt: skip
            self.state.apply(rank, Batch((start,)), self.now, f"n{rank // PER_NODE}")
            self.state.apply_heartbeat(rank, beat, self.now, f"n{rank // PER_NODE}")
        self.go_on(12)
        self.tick()

    def go_on(self, steps: int = 1) -> None:
        """Every rank makes a step, or some."""
        self.now += steps
        made = np.arange(self.step + 1, self.step + steps + 1)
        self.step += steps
        for rank in range(self.ranks):
            rows = self.rows[rank].repeat(steps, axis=0)
            rows[:, Column.STEP] = rows[:, Column.SEQ] = rows[:, Column.TS] = made
            self.state.apply(rank, Batch((Steps(rows),)), self.now, f"n{rank // PER_NODE}")

    def wait(self) -> None:
        """A moment without news."""
        self.now += 0.01

    def tick(self) -> int:
        """All rules once; how many alerts there are."""
        return len(self.watch.tick(self.state, self.now))


def _milliseconds(job: Watched, before: Callable[[], None], alerts: int, ticks: int = TICKS) -> float:
    """CPU time of a tick, the least of several; `before` each of them something happens, which is not counted."""
    times = []
    gc.collect()
    for _ in range(ticks):
        before()
        begun = time.process_time()
        assert job.tick() == alerts
        times.append(time.process_time() - begun)
    return 1e3 * min(times)


def test_a_tick_grows_with_the_ranks_and_no_faster() -> None:
    measured = []
    for ranks in (FEW, MANY):
        job = Watched(ranks)
        quiet = _milliseconds(job, job.wait, 0)
        news = _milliseconds(job, job.go_on, 0, NEWS)
        job.now += 30.0
        stalled = _milliseconds(job, job.wait, 1)
        print(f"{ranks:,} ranks: {quiet:.1f} ms a tick, {news:.1f} with a record of each, {stalled:.1f} when all stall")
        measured.append((quiet, news, stalled))
    for few, many in zip(*measured, strict=True):
        assert many <= GROWTH * few
