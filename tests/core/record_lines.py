"""Lines as a rank's emitter writes them, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import orjson

from ugro_tui.core.decode import decode
from ugro_tui.core.documents import parse_heartbeat
from ugro_tui.core.job import JobState
from ugro_tui.core.records import Heartbeat

START_TS = 1_000_000.0
"""When runs start by the node's clock, Unix seconds."""


def line(kind: str, **fields: Any) -> bytes:
    """One record as a line."""
    return orjson.dumps({"v": 1, "kind": kind, **fields}) + b"\n"


def start(ts: float = START_TS, seq: int = 0, **fields: Any) -> bytes:
    """A `start` record: attempt 1 of one rank on host `node-a` unless told otherwise."""
    record = {"run_id": "r", "attempt": 1, "world_size": 1, "host": "node-a", "total_steps": 100, **fields}
    return line("start", seq=seq, ts=ts, **record)


def step(number: float, ts: float | None = None, **fields: Any) -> bytes:
    """A `step` record, one second a step after the start."""
    return line("step", step=number, ts=START_TS + number if ts is None else ts, **fields)


def steps(first: int, last: int, loss: float = 2.0, **fields: Any) -> bytes:
    """Records of the steps `first` to `last`, both included, with `seq` equal to the step."""
    return b"".join(step(number, seq=number, loss=loss, **fields) for number in range(first, last + 1))


def end(status: str = "completed", ts: float = START_TS + 100, **fields: Any) -> bytes:
    """An `end` record."""
    return line("end", status=status, ts=ts, **{"error": None, "dropped": 0, **fields})


def heartbeat(step_age: float = 0.0, **fields: Any) -> Heartbeat:
    """A heartbeat, parsed."""
    found = parse_heartbeat(orjson.dumps({"v": 1, "run_id": "r", "step_age": step_age, **fields}))
    assert found is not None
    return found


def job(*ranks: bytes, at: float = 0.0) -> JobState:
    """A job of which the ranks 0, 1, ... have written these lines, the newest at `at` (monotonic seconds)."""
    state = JobState("job")
    for number, lines in enumerate(ranks):
        state.apply(number, decode(lines), at, "local")
    return state
