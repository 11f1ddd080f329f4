"""Lines as a rank's emitter writes them, jobs that took them in, and what follows; for the tests of this folder."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import orjson

from ugro_tui.core.decode import decode
from ugro_tui.core.documents import parse_heartbeat, parse_manifest
from ugro_tui.core.job import JobState
from ugro_tui.core.records import Heartbeat
from ugro_tui.core.states import RankState
from ugro_tui.core.watch import evaluate

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


def end(status: str = "completed", ts: float | None = START_TS + 100, **fields: Any) -> bytes:
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


RUNNING = start(world_size=2) + steps(1, 20)
"""A rank of two that makes a step a second."""


def states(state: JobState, now: float) -> list[str]:
    """The ranks' states by rank number."""
    found = state.states(now)
    return [RankState(int(found[rank.row])).word for rank in state.ranks]


def alerts(state: JobState, now: float) -> list[tuple[str, int | None]]:
    """Names and ranks of what fires, in order."""
    return [(alert.name, alert.rank) for alert in evaluate(state, now)]


def manifest(state: JobState, status: str, **fields: Any) -> None:
    """Let the launcher's manifest say so."""
    found = parse_manifest(json.dumps({"status": status, **fields}).encode())
    assert found is not None
    state.apply_manifest(found)


def more(state: JobState, rank: int, lines: bytes, at: float) -> None:
    """Further lines of one rank, written `at`."""
    state.apply(rank, decode(lines), at, "local")


def fields_of(record: Any) -> dict[str, Any]:
    """The fields of a dataclass, not copied."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
