"""Records as dictionaries into items: the forgiving path, one value at a time, for whatever the fast path refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import orjson

from ugro_tui.core.columns import GPU_FIELDS, MAX_COUNT, PHASE_FIELDS, TOP_FIELDS, WIDTH, Column, throttle_mask
from ugro_tui.core.fields import integer, number, numbers, positive, text, word
from ugro_tui.core.layout import MAX_RANK
from ugro_tui.core.records import PROTOCOL_VERSION, Batch, End, Item, Matrix, PhaseMark, Start, Steps, Tally, Unknown

Record = dict[str, Any]


def decode_forgiving(lines: bytes) -> Batch:
    """Decode whole lines one by one. Lines that are no JSON object are skipped and counted; never raises."""
    records, unreadable = parse(lines)
    items: list[Item] = []
    skipped, unknown = unreadable, 0
    for kind, run in groupby(records, _kind):
        group = list(run)
        if kind == "step":
            steps = _steps(group)
            skipped += len(group) - sum(len(item.rows) for item in steps)
            items += steps
        else:
            items += [_MAKERS.get(kind, _unknown)(record) for record in group]
            unknown += len(group) if kind not in _MAKERS else 0
    versions = sum(record.get("v") != PROTOCOL_VERSION for record in records)
    return Batch(tuple(items), Tally(len(records) + unreadable, skipped, unknown, versions))


def parse(lines: bytes) -> tuple[list[Record], int]:
    """The JSON objects of whole lines, and how many of these hold none."""
    records, skipped = [], 0
    for line in lines.split(b"\n"):
        stripped = line.strip(b"\0 \t\r")  # NULs: the hole that a crashed file system leaves
        record = _parse_line(stripped) if stripped else None
        if record is not None:
            records.append(record)
        skipped += record is None and (bool(stripped) or b"\0" in line)
    return records, skipped


def _parse_line(line: bytes) -> Record | None:
    record: object
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            # As floats, because Python refuses integers of more than 4,300 digits.
            record = json.loads(line.decode("utf-8-sig", "replace"), parse_int=float)
        except (ValueError, RecursionError):
            return None
    return record if isinstance(record, dict) else None


def _kind(record: Record) -> str:
    kind = record.get("kind")
    return kind if isinstance(kind, str) else ""


def _steps(records: Sequence[Record]) -> list[Steps]:
    usable = [record for record in records if abs(number(record.get("step"))) <= MAX_COUNT]
    if not usable:
        return []
    rows: Matrix = np.full((len(usable), WIDTH), np.nan)
    for row, record in zip(rows, usable, strict=True):
        _fill(row, 0, record, TOP_FIELDS)
        _fill(row, Column.DATA, record.get("phases"), PHASE_FIELDS)
        _fill(row, Column.GPU_UTIL, record.get("gpu"), GPU_FIELDS)
        row[Column.GPU_THROTTLE] = throttle_of(record.get("gpu"))
        row[Column.BAD] = badness(record.get("loss"), record.get("grad_norm"))
        row[Column.SKIPPED] = skipped_of(record.get("metrics"))
    metrics: dict[str, float] = {}
    for record in usable:
        metrics |= numbers(record.get("metrics"))
    return [Steps(rows, metrics)]


def _fill(row: Matrix, first: int, part: object, fields: tuple[str, ...]) -> None:
    if isinstance(part, dict):
        row[first : first + len(fields)] = [number(part.get(name)) for name in fields]


def throttle_of(gpu: object) -> float:
    """The reasons of the `throttle` in a record's `gpu`, as a `Throttle` in a float; NaN where it is not told."""
    names = gpu.get("throttle") if isinstance(gpu, dict) else None
    return throttle_mask(names) if isinstance(names, list) else math.nan


def skipped_of(metrics: object) -> float:
    """The steps that a record's `metrics` says were skipped; NaN where it does not."""
    return number(metrics.get("skipped")) if isinstance(metrics, dict) else math.nan


def badness(loss: object, grad_norm: object) -> float:
    """What the column BAD says of a record with these values."""
    return 2.0 if is_bad(loss) else float(is_bad(grad_norm))


def is_bad(value: object) -> bool:
    """Whether a value that should be a number is there but not finite (or not a number at all)."""
    return value is not None and not math.isfinite(number(value))


def _start(record: Record) -> Start:
    told = record.get("gpu")
    gpu = told if isinstance(told, dict) else {}
    return Start(
        seq=_seq(record),
        ts=number(record.get("ts")),
        run_id=word(record.get("run_id")),
        attempt=positive(record.get("attempt")) or 1,
        world_size=positive(record.get("world_size"), MAX_RANK + 1),
        host=word(record.get("host")),
        pid=integer(record.get("pid")),
        pid_start=integer(record.get("pid_start")),
        local_rank=integer(record.get("local_rank")),
        gpu_name=word(gpu.get("name")),
        gpu_index=integer(gpu.get("index")),
        gpu_uuid=text(gpu.get("uuid")),
        total_steps=positive(record.get("total_steps")),
        emit_every=positive(record.get("emit_every")) or 1,
    )


def _phase(record: Record) -> PhaseMark:
    return PhaseMark(
        seq=_seq(record),
        ts=number(record.get("ts")),
        name=text(record.get("name")),
        begins=record.get("state") == "begin",
    )


def _end(record: Record) -> End:
    error = record.get("error")
    error = error if isinstance(error, dict) else {}
    return End(
        seq=_seq(record),
        ts=number(record.get("ts")),
        status=text(record.get("status")),
        error_type=text(error.get("type")),
        error_message=text(error.get("message")),
        dropped=positive(record.get("dropped")) or 0,
    )


def _unknown(record: Record) -> Unknown:
    return Unknown(_seq(record), number(record.get("ts")), text(record.get("kind")))


def _seq(record: Record) -> int:
    found = integer(record.get("seq"))
    return -1 if found is None else found


_MAKERS: dict[str, Callable[[Record], Item]] = {"start": _start, "phase": _phase, "end": _end}
