"""Whole lines of a metrics file into columns.

The fast path decodes a chunk of step records with one typed msgspec call and lifts the columns out with C-level
iteration: a typed struct skips what is not asked for and makes no dictionaries (a dictionary per record costs 1.7 x as
much; see tests/benchmarks). A chunk that holds anything else, or one odd line, takes the forgiving path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Literal

import msgspec
import numpy as np

from ugro_tui.core.columns import GPU_FIELDS, MAX_COUNT, PHASE_FIELDS, TOP_FIELDS, WIDTH, Column, throttle_mask
from ugro_tui.core.events import badness, decode_forgiving
from ugro_tui.core.fields import numbers
from ugro_tui.core.records import PROTOCOL_VERSION, Batch, Item, Matrix, Steps, Tally

CHUNK = 256 * 1024
"""Bytes decoded at once: larger chunks gain nothing and cost memory (measured, 1M records)."""

_Spelled = Literal["NaN", "Infinity", "-Infinity"]
FEW = 8
"""Records that become rows one by one, as a delivery brings them: one call of numpy costs as much as one of them."""

FORGIVEN = 2 * 1024
"""Bytes around an odd line that are decoded value by value: a `start` at a file's head costs some lines, not 850."""

_Number = float | _Spelled | None


class _Phases(msgspec.Struct, gc=False):
    data: _Number = None
    forward: _Number = None
    backward: _Number = None
    sync_wait: _Number = None
    optimizer: _Number = None


class _Gpu(msgspec.Struct, gc=False):
    util: _Number = None
    mem_used: _Number = None
    mem_total: _Number = None
    temp: _Number = None
    power: _Number = None
    power_limit: _Number = None
    ecc: _Number = None
    throttle: tuple[str, ...] | None = None


class _Step(msgspec.Struct, gc=False):
    kind: Literal["step"]
    step: float
    v: int = 0
    seq: _Number = None
    ts: _Number = None
    loss: _Number = None
    lr: _Number = None
    grad_norm: _Number = None
    throughput: _Number = None
    step_time: _Number = None
    epoch: _Number = None
    tokens: _Number = None
    phases: _Phases | None = None
    gpu: _Gpu | None = None
    metrics: dict[str, float | _Spelled] | None = None


_DECODER = msgspec.json.Decoder(_Step)
_TOP = attrgetter(*TOP_FIELDS)
_PHASES = attrgetter(*PHASE_FIELDS)
_GPU = attrgetter(*GPU_FIELDS)
_NO_PHASES = _Phases()
_NO_GPU = _Gpu()
_NO_METRICS: dict[str, float | str] = {}
_version: Callable[[Any], int] = attrgetter("v")
_phases: Callable[[Any], _Phases | None] = attrgetter("phases")
_gpu: Callable[[Any], _Gpu | None] = attrgetter("gpu")
_metrics: Callable[[Any], dict[str, float | str] | None] = attrgetter("metrics")


def decode(block: bytes) -> Batch:
    """Decode whole lines (`block` is empty or ends in a newline). Never raises on what a node may send."""
    items: list[Item] = []
    tally = Tally()
    for lines in chunks(block):
        for batch in _batches(lines):
            items += batch.items
            tally += batch.tally
    return Batch(tuple(items), tally)


def _batches(lines: bytes) -> Iterator[Batch]:
    """The batches of a chunk, halved until only the neighbours of an odd line take the forgiving path."""
    batch = _decode_steps(lines)
    half = lines.find(b"\n", len(lines) // 2) + 1
    if batch is not None:
        yield batch
    elif len(lines) <= FORGIVEN or not 0 < half < len(lines):
        yield decode_forgiving(lines)
    else:
        yield from _batches(lines[:half])
        yield from _batches(lines[half:])


def chunks(block: bytes) -> Iterator[bytes]:
    """Whole lines in pieces that are decoded at once."""
    start, size = 0, len(block)
    while start < size:
        end = block.rfind(b"\n", start, start + CHUNK) + 1
        if not end:  # one line longer than a chunk
            end = block.find(b"\n", start) + 1 or size
        yield block[start:end]
        start = end


def _decode_steps(lines: bytes) -> Batch | None:
    """The batch, where every line is an ordinary step record; else None."""
    try:
        records = _DECODER.decode_lines(lines)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not is_one_a_line(lines, len(records)):
        return None
    if len(records) <= FEW:
        rows: Matrix = np.array(list(map(_row, records)), np.float64)
    else:
        rows = _matrix(records)
    if max(map(abs, rows[:, Column.STEP].tolist())) > MAX_COUNT:
        return None
    metrics = numbers(_newest(records))
    unknown = len(records) - list(map(_version, records)).count(PROTOCOL_VERSION)
    return Batch((Steps(rows, metrics),), Tally(len(records), 0, 0, unknown))


def is_one_a_line(lines: bytes, records: int) -> bool:
    """Whether each line is one of the `records` that msgspec read.

    It reads a stream of values: two on a line, or one over two lines, pass.
    """
    text = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    starts = ends[:-1] + 1
    return bool(records == len(ends) and (text[ends - 1] == ord("}")).all() and (text[starts] == ord("{")).all())


def _newest(records: Sequence[_Step]) -> dict[str, float | str]:
    """The newest value of each metric: some come with some records only, such as an evaluation's loss."""
    newest: dict[str, float | str] = {}
    for metrics in filter(None, map(_metrics, records)):
        newest.update(metrics)
    return newest


def _row(record: _Step) -> list[_Number]:
    """One record as the columns have it."""
    phases, gpu, metrics = record.phases or _NO_PHASES, record.gpu or _NO_GPU, record.metrics or _NO_METRICS
    odd = badness(record.loss, record.grad_norm), metrics.get("skipped")
    return [*_TOP(record), *_PHASES(phases), *odd, *_GPU(gpu), _mask(gpu.throttle)]


def _matrix(records: Sequence[_Step]) -> Matrix:
    rows: Matrix = np.full((len(records), WIDTH), np.nan)
    rows[:, : len(TOP_FIELDS)] = _lift(_TOP, records, len(TOP_FIELDS))
    phases = [part or _NO_PHASES for part in map(_phases, records)]
    rows[:, Column.DATA : Column.OPTIMIZER + 1] = _lift(_PHASES, phases, len(PHASE_FIELDS))
    gpus = list(map(_gpu, records))
    if gpus.count(None) < len(gpus):
        parts = [part or _NO_GPU for part in gpus]
        rows[:, Column.GPU_UTIL : Column.GPU_ECC + 1] = _lift(_GPU, parts, len(GPU_FIELDS))
        rows[:, Column.GPU_THROTTLE] = [_mask(part.throttle) for part in parts]
    metrics = list(map(_metrics, records))
    if metrics.count(None) < len(metrics):
        rows[:, Column.SKIPPED] = [(part or _NO_METRICS).get("skipped") for part in metrics]
    _mark_bad(rows, records)
    return rows


def _lift(fields: Callable[[Any], tuple[_Number, ...]], parts: Sequence[Any], width: int) -> Matrix:
    """numpy reads None as NaN and the protocol's strings as what they spell."""
    values: Iterator[Any] = chain.from_iterable(map(fields, parts))
    return np.fromiter(values, np.float64, len(parts) * width).reshape(len(parts), width)


@lru_cache(maxsize=256)  # the same few sets of reasons come again and again
def _mask(names: tuple[str, ...] | None) -> float:
    return math.nan if names is None else throttle_mask(names)


def _mark_bad(rows: Matrix, records: Sequence[_Step]) -> None:
    rows[:, Column.BAD] = 0.0
    odd = ~np.isfinite(rows[:, Column.LOSS]) | ~np.isfinite(rows[:, Column.GRAD_NORM])
    for index in map(int, np.flatnonzero(odd)):
        rows[index, Column.BAD] = badness(records[index].loss, records[index].grad_norm)
