"""The small JSON files: manifest, heartbeat, error file."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.record_lines import fields_of, heartbeat
from ugro_tui.core.documents import parse_error, parse_heartbeat, parse_manifest

NAN = float("nan")


def test_a_manifest_is_read() -> None:
    found = parse_manifest(
        b'{"backend":"local","status":"running","attempt":2,"world_size":4,"command":["a",1],"exit_code":-9,'
        b'"started":1.5,"ended":null,"exits":{"0":-15,"3":-9,"x":1,"-1":1,"4":"y","5":1e300,"6":"NaN","7":null},'
        b'"orphaned":{"n1":-9,"\\u001b[31mn2":1,"n3":"y"}}'
    )
    assert found is not None
    assert fields_of(found) == {
        "backend": "local",
        "status": "running",
        "attempt": 2,
        "world_size": 4,
        "command": ("a", ""),
        "exit_code": -9,
        "started": 1.5,
        "ended": None,
        "exits": {0: -15, 3: -9},
        "said": "",
        "orphaned": {"n1": -9, "␛[31mn2": 1},
    }


@pytest.mark.parametrize("wrong", [None, "x", [], {}, 0, -3, 1e300, NAN, math.inf])
def test_a_manifest_with_nonsense_in_it_is_still_one(wrong: object) -> None:
    names = ("backend", "status", "attempt", "world_size", "command", "exit_code", "exits", "orphaned")
    found = parse_manifest(json.dumps(dict.fromkeys(names, wrong)).encode())
    assert found is not None
    assert (found.attempt, found.world_size, found.command) == (1, None, ())
    assert (found.exits, found.orphaned) == ({}, {})


def test_a_heartbeat_is_read() -> None:
    found = heartbeat(0.25, pid=12, step=7, state="eval", phase="eval", rss=2**33, disk_free=5, dropped=3, gpu=None)
    assert (found.run_id, found.pid, found.step, found.step_age) == ("r", 12, 7.0, 0.25)
    assert (found.state, found.phase, found.rss, found.disk_free, found.dropped) == ("eval", "eval", 2**33, 5, 3)
    assert found.gpu == {}


def test_a_heartbeats_sizes_identity_and_gpu_are_read() -> None:
    gpu = {
        "index": 3,
        "temp": None,
        "temp_slowdown": 90,
        "remap_failed": False,
        "lost": True,
        "throttle": ["hw_slowdown"],
    }
    found = heartbeat(ts=1.5, pid=12, pid_start=99, mem_total=2**40, disk_total=2**42, gpu=gpu)
    assert (found.ts, found.pid_start, found.mem_total, found.disk_total) == (1.5, 99, 2**40, 2**42)
    assert found.gpu == {"index": 3, "temp_slowdown": 90, "remap_failed": 0, "lost": 1, "throttle": 8}


def test_what_a_heartbeat_does_not_tell_is_unknown() -> None:
    found = heartbeat(pid_start="x", mem_total=None)
    assert found.pid_start is None
    np.testing.assert_equal([found.ts, found.mem_total, found.disk_total], [NAN] * 3)


def test_the_error_file_of_torch_elastic_is_read() -> None:
    trace = 'Traceback (most recent call last):\n  File "x.py", line 3\nValueError: bad \x1b[31m'
    extra = {"py_callstack": trace, "timestamp": "1750000000"}
    found = parse_error(json.dumps({"message": {"message": "ValueError: bad", "extraInfo": extra}}).encode())
    assert found is not None
    assert (found.message, found.ts) == ("ValueError: bad", 1_750_000_000.0)
    assert found.traceback == trace.replace("\x1b", "␛")


@pytest.mark.parametrize(
    ("document", "message", "ts"),
    [
        ({"message": "Signal 9 (SIGKILL)"}, "Signal 9 (SIGKILL)", NAN),
        ({"message": {"message": "m", "extraInfo": {"timestamp": 12.5}}}, "m", 12.5),
        ({"message": {"message": "m", "extraInfo": {"timestamp": "9" * 50}}}, "m", NAN),
        ({"message": {"message": 3, "extraInfo": None}}, "", NAN),
        ({}, "", NAN),
    ],
)
def test_other_shapes_of_an_error_file(document: object, message: str, ts: float) -> None:
    found = parse_error(json.dumps(document).encode())
    assert found is not None
    assert found.message == message
    np.testing.assert_equal(found.ts, ts)


def test_a_long_traceback_keeps_its_end() -> None:
    extra = {"py_callstack": "\n".join(str(number) for number in range(10_000))}
    found = parse_error(json.dumps({"message": {"extraInfo": extra}}).encode())
    assert found is not None
    assert found.traceback.splitlines() == [str(number) for number in range(9_800, 10_000)]


@given(st.one_of(st.binary(max_size=50), st.sampled_from([b"", b"[]", b"3", b"{", b"[" * 100_000, b'{"a":', b"\xff"])))
def test_no_bytes_break_a_document(data: bytes) -> None:
    for parse in (parse_manifest, parse_heartbeat, parse_error):
        parse(data)


def test_a_document_with_a_mark_or_an_endless_number_is_read() -> None:
    found = parse_manifest(b'\xef\xbb\xbf{"status":"failed","x":' + b"9" * 5_000 + b"}")
    assert found is not None
    assert found.status == "failed"
    assert parse_manifest(b"[1]") is None
