"""The small JSON files that are replaced whole: heartbeat, manifest, torch elastic error file."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

from ugro_tui.core.events import throttle_of
from ugro_tui.core.fields import integer, number, numbers, positive, text, word
from ugro_tui.core.layout import MAX_RANK
from ugro_tui.core.records import ErrorReport, Heartbeat, Manifest

MAX_TRACEBACK_LINES = 200
MAX_EXIT_CODE = 1 << 16
_RANK = re.compile(r"\d{1,6}", re.ASCII)


def parse_heartbeat(data: bytes) -> Heartbeat | None:
    """The heartbeat in `data`, or None where it is not one."""
    doc = _document(data)
    if doc is None:
        return None
    return Heartbeat(
        run_id=word(doc.get("run_id")),
        pid=integer(doc.get("pid")),
        step=number(doc.get("step")),
        step_age=number(doc.get("step_age")),
        state=word(doc.get("state")),
        phase=word(doc.get("phase")),
        rss=number(doc.get("rss")),
        disk_free=number(doc.get("disk_free")),
        dropped=positive(doc.get("dropped")) or 0,
        gpu=_gpu(doc.get("gpu")),
        ts=number(doc.get("ts")),
        pid_start=integer(doc.get("pid_start")),
        mem_total=number(doc.get("mem_total")),
        disk_total=number(doc.get("disk_total")),
    )


def _gpu(gpu: object) -> dict[str, float]:
    found, throttle = numbers(gpu), throttle_of(gpu)
    found.pop("throttle", None)
    return found if math.isnan(throttle) else {**found, "throttle": throttle}


def parse_manifest(data: bytes) -> Manifest | None:
    """The manifest in `data`, or None where it is not one."""
    doc = _document(data)
    if doc is None:
        return None
    command = doc.get("command")
    return Manifest(
        backend=text(doc.get("backend")),
        status=text(doc.get("status")),
        attempt=positive(doc.get("attempt")) or 1,
        world_size=positive(doc.get("world_size"), MAX_RANK + 1),
        command=tuple(text(part) for part in command) if isinstance(command, list) else (),
        exit_code=integer(doc.get("exit_code")),
        started=_optional(doc.get("started")),
        ended=_optional(doc.get("ended")),
        exits=_exits(doc.get("exits")),
        said=text(doc.get("said")),
        orphaned={
            text(name): int(code) for name, code in numbers(doc.get("orphaned")).items() if abs(code) < MAX_EXIT_CODE
        },
    )


def _exits(told: object) -> dict[int, int]:
    """Names of ranks to exit codes; JSON has no other names than strings."""
    return {int(name): code for name, code in _codes(told).items() if _RANK.fullmatch(name)}


def _codes(told: object) -> dict[str, int]:
    """Names to exit codes."""
    return {text(name): int(code) for name, code in numbers(told).items() if abs(code) < MAX_EXIT_CODE}


def parse_error(data: bytes) -> ErrorReport | None:
    """The torch elastic error file in `data` (`{"message": {"message", "extraInfo"}}` or a plain message)."""
    doc = _document(data)
    if doc is None:
        return None
    message = doc.get("message")
    if not isinstance(message, dict):
        return ErrorReport(text(message), "", number(doc.get("timestamp")))
    extra = message.get("extraInfo")
    extra = extra if isinstance(extra, dict) else {}
    trace = extra.get("py_callstack")
    lines = trace.splitlines()[-MAX_TRACEBACK_LINES:] if isinstance(trace, str) else []
    return ErrorReport(
        message=text(message.get("message")),
        traceback="\n".join(text(line) for line in lines),
        ts=_timestamp(extra.get("timestamp")),
    )


def _document(data: bytes) -> dict[str, Any] | None:
    """The object in `data`; read strictly if it is plain JSON, as a rule, and else as forgivingly as Python does."""
    try:
        doc = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        try:
            doc = json.loads(data.decode("utf-8-sig", "replace"), parse_int=float)
        except (ValueError, RecursionError):
            return None
    return doc if isinstance(doc, dict) else None


def _optional(value: object) -> float | None:
    found = number(value)
    return found if math.isfinite(found) else None


def _timestamp(value: object) -> float:
    """torch writes the time as a string of whole seconds."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return float(value)
    return number(value)
