"""Scalars of a TensorBoard event file, against TensorBoard's own EventAccumulator on the same file in the same run."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.tfrecords import event_file
from ugro_tui.core.scalars import ScalarDecoder
from ugro_tui.core.tfevents import EventFramer

pytestmark = pytest.mark.bench

TAGS = [f"train/metric_{number}" for number in range(10)]
STEPS = 5_000
EVENTS = len(TAGS) * STEPS
PASSES = 5
READ = 1 << 18
"""Bytes read at once."""


def _ours(folder: Path) -> int:
    framer, decoder, count = EventFramer(), ScalarDecoder(), 0
    (file,) = folder.iterdir()
    with file.open("rb") as stream:
        while data := stream.read(READ):
            count += sum(map(len, decoder.take(framer.feed(data)).values()))
    return count


def _theirs(folder: Path) -> int:
    accumulator: Any = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return sum(len(accumulator.Scalars(tag)) for tag in accumulator.Tags()["scalars"])


def _seconds(run: Callable[[Path], int], folder: Path) -> float:
    gc.collect()
    started = time.process_time()
    assert run(folder) == EVENTS
    return time.process_time() - started


def test_scalars_come_at_least_7_times_as_fast_as_from_the_event_accumulator(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1700000000.host.1.0").write_bytes(event_file(TAGS, range(STEPS)))
    pairs = [(_seconds(_ours, tmp_path), _seconds(_theirs, tmp_path)) for _ in range(PASSES)]
    ratio = statistics.median(theirs / ours for ours, theirs in pairs)
    ours, theirs = (EVENTS / statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"\nevent files: {ours:,.0f} events/s, EventAccumulator {theirs:,.0f}, ratio {ratio:.1f}")
    assert ratio >= 7
