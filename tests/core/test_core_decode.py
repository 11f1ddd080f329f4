"""Lines into items: the same however they are grouped, whichever path they take, whatever they hold."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.record_lines import end, line, start, step, steps
from ugro_tui.core.columns import GPU_FIELDS, PHASE_FIELDS, TOP_FIELDS, WIDTH, Column, Throttle
from ugro_tui.core.decode import CHUNK, FEW, _decode_steps, decode
from ugro_tui.core.documents import parse_heartbeat
from ugro_tui.core.events import decode_forgiving
from ugro_tui.core.records import Batch, End, Item, Matrix, PhaseMark, Start, Steps, Tally, Unknown

NAN = float("nan")


def _rows(batch: Batch) -> Matrix:
    return np.concatenate([np.empty((0, WIDTH)), *(item.rows for item in batch.items if isinstance(item, Steps))])


def _flat(batches: list[Batch]) -> tuple[list[str], Tally]:
    """Items in a form that does not show how they were grouped: runs of steps joined, metrics merged."""
    joined: list[Item] = []
    for item in [item for batch in batches for item in batch.items]:
        last = joined[-1] if joined else None
        if isinstance(item, Steps) and isinstance(last, Steps):
            joined[-1] = Steps(np.concatenate([last.rows, item.rows]), {**last.metrics, **item.metrics})
        else:
            joined.append(item)
    shown = [
        f"{item.rows.tolist()} {sorted(item.metrics.items())}" if isinstance(item, Steps) else repr(item)
        for item in joined
    ]
    return shown, sum((batch.tally for batch in batches), Tally())


# --- what lines may hold

_spelled = st.sampled_from(["NaN", "Infinity", "-Infinity", "nan", "1.5", "", "x"])
_numeric = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.none(), st.booleans(), _spelled, st.just([]))
_good = st.one_of(st.floats(-1e6, 1e6), st.integers(0, 10**6), st.sampled_from(["NaN", "Infinity"]))


def _objects(names: tuple[str, ...], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from([*names, "other"]), values, max_size=4)


def _records(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Step records as lines; NaN as a bare token where the standard library writes one."""
    parts = st.fixed_dictionaries(
        {"kind": st.just("step"), "step": st.one_of(st.integers(0, 1000), values)},
        optional={
            **{name: values for name in TOP_FIELDS if name != "step"},
            "v": st.sampled_from([1, 2, "1", 1.0, None]),
            "phases": _objects(PHASE_FIELDS, values),
            "gpu": st.one_of(st.none(), _objects(GPU_FIELDS, values)),
            "metrics": st.one_of(st.none(), _objects(("a", "b\x1b", "skipped"), values)),
            "future": st.one_of(values, st.lists(values, max_size=2)),
        },
    )
    return parts.map(lambda record: json.dumps(record).encode() + b"\n")


_odd_lines = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b" \n",
        b"\0\0\0\n",
        b"1,2\n",
        b"}{\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'{"kind":"step"}\n',
        b'{"kind":"step","step":3}{"kind":"step","step":4}\n',
        b'{"kind":"step",\n',
        b'"step":5}\n',
        b'{"kind":"step","step":6}\r\n',
        b' {"kind":"step","step":7} \n',
        b'\xef\xbb\xbf{"kind":"step","step":8}\n',
        b'{"kind":"step","step":9,"host":"\xff\xfe"}\n',
        b'{"kind":"step","step":10,"loss":NaN}\n',
        b'{"kind":"step","step":11,"x":' + b"9" * 5000 + b"}\n",
        b'{"kind":"step","step":12,"x":"\\ud800"}\n',
        b'\0\0{"kind":"step","step":13}\n',
        b'{"kind":"dream","seq":1}\n',
        start(),
        end(),
        line("phase", name="eval", state="begin"),
    ]
)
_lines = st.one_of(_records(_good), _records(_numeric), _odd_lines)


@given(st.lists(_lines, max_size=8), st.data())
def test_the_result_does_not_depend_on_how_lines_are_grouped(lines: list[bytes], data: st.DataObject) -> None:
    one_by_one = _flat([decode(part) for part in lines])
    assert _flat([decode(b"".join(lines))]) == one_by_one
    cut = data.draw(st.integers(0, len(lines)))
    assert _flat([decode(b"".join(lines[:cut])), decode(b"".join(lines[cut:]))]) == one_by_one


@given(st.lists(st.one_of(_records(_good), _records(_numeric)), min_size=1, max_size=5).map(b"".join))
def test_the_fast_path_agrees_with_the_forgiving_one(lines: bytes) -> None:
    fast = _decode_steps(lines)
    if fast is not None:
        assert _flat([fast]) == _flat([decode_forgiving(lines)])


@given(st.lists(_records(_good), min_size=FEW + 1, max_size=FEW + 3))
def test_many_records_at_once_agree_with_one_after_the_other(records: list[bytes]) -> None:
    many = decode(b"".join(records))
    assert _flat([many]) == _flat([decode(record) for record in records])


def test_records_of_an_emitter_take_the_fast_path() -> None:
    phases = dict.fromkeys(PHASE_FIELDS, 0.25)
    gpu = {"util": 99, "mem_used": 2**35, "throttle": ["SwPowerCap"], "ecc": None, "temp": None}
    whole: dict[str, Any] = {"lr": 1e-4, "grad_norm": "NaN", "throughput": 5.5, "tokens": 2**40}
    whole |= {"phases": phases, "gpu": gpu}
    lines = steps(1, 50, **whole, metrics={"skipped": 1, "aux": "Infinity"}) + steps(51, 60, gpu=None, metrics={})
    assert _decode_steps(lines) is not None


@given(st.binary(max_size=200))
def test_no_bytes_make_decoding_raise(data: bytes) -> None:
    tally = decode(data + b"\n").tally
    assert tally.skipped <= tally.lines


def test_every_field_lands_in_its_column() -> None:
    record = {name: index + 1 for index, name in enumerate(TOP_FIELDS)}
    record["phases"] = {name: index + 11 for index, name in enumerate(PHASE_FIELDS)}  # type: ignore[assignment]
    throttle = {"throttle": ["hw_slowdown", "sw_power_cap", "hw_slowdown", "a_reason_of_later_years"]}
    record["gpu"] = {name: index + 16 for index, name in enumerate(GPU_FIELDS)} | throttle  # type: ignore[assignment]
    record["metrics"] = {"skipped": 24, "other": 99}  # type: ignore[assignment]
    for batch in (decode(line("step", **record)), decode_forgiving(line("step", **record))):
        assert _rows(batch).tolist() == [[*map(float, range(1, 16)), 0.0, 24.0, *map(float, range(16, 23)), 12.0]]
    gpu = (*(f"gpu_{name}" for name in GPU_FIELDS), "gpu_throttle")
    assert [column.name.lower() for column in Column] == [*TOP_FIELDS, *PHASE_FIELDS, "bad", "skipped", *gpu]


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        ({"throttle": []}, 0.0),
        ({"throttle": ["hw_thermal_slowdown"]}, float(Throttle.HW_THERMAL_SLOWDOWN)),
        ({"throttle": ["HW_THERMAL_SLOWDOWN", ""]}, 0.0),
        ({"throttle": None}, NAN),
        ({"util": 1}, NAN),
        ({}, NAN),
        (None, NAN),
        ({"throttle": [1, None, ["sync_boost"], "sync_boost"]}, float(Throttle.SYNC_BOOST)),
        ({"throttle": "sync_boost"}, NAN),
        ({"throttle": 4}, NAN),
    ],
)
def test_throttle_reasons_are_a_mask_and_unknown_is_not_none(gpu: Any, expected: float) -> None:
    for content in (line("step", step=1, gpu=gpu), line("step", step=1, gpu=gpu) + b"odd\n"):
        np.testing.assert_equal(_rows(decode(content))[0, Column.GPU_THROTTLE], expected)
    beat = parse_heartbeat(line("", gpu=gpu))
    assert beat is not None
    np.testing.assert_equal(beat.gpu.get("throttle", NAN), expected)


def test_throttle_names_are_those_of_the_protocol() -> None:
    text = (Path(__file__).parents[2] / "emitter" / "PROTOCOL.md").read_text()
    assert [f"`{reason.name.lower()}`" in text for reason in Throttle if reason.name] == [True] * 8


@pytest.mark.parametrize(
    ("fields", "loss", "bad"),
    [
        ({"loss": "NaN"}, NAN, 2),
        ({"loss": "Infinity"}, math.inf, 2),
        ({"loss": "-Infinity"}, -math.inf, 2),
        ({"loss": 2.0, "grad_norm": "NaN"}, 2.0, 1),
        ({"loss": "NaN", "grad_norm": "NaN"}, NAN, 2),
        ({"grad_norm": "Infinity"}, NAN, 1),
        ({"loss": 0.0, "grad_norm": "NaN"}, 0.0, 1),
        ({"loss": "abc"}, NAN, 2),
        ({"loss": "1.5"}, NAN, 2),
        ({"loss": None}, NAN, 0),
        ({}, NAN, 0),
        ({"loss": 0.0}, 0.0, 0),
        ({"loss": 10**400}, math.inf, 2),
    ],
)
def test_a_missing_loss_and_one_that_is_not_a_number_differ(fields: dict[str, Any], loss: float, bad: int) -> None:
    content = json.dumps({"v": 1, "kind": "step", "step": 1, **fields}).encode() + b"\n"
    (row,) = _rows(decode(content))
    assert row[Column.BAD] == bad
    np.testing.assert_equal(row[Column.LOSS], loss)


@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"-Infinity"])
def test_bare_tokens_of_other_writers_are_read(token: bytes) -> None:
    batch = decode(steps(1, 2) + b'{"kind":"step","step":3,"loss":' + token + b',"metrics":{"a":' + token + b"}}\n")
    rows = _rows(batch)
    assert rows[:, Column.BAD].tolist() == [0, 0, 2]
    np.testing.assert_equal(rows[2, Column.LOSS], float(token))
    (item,) = batch.items
    assert isinstance(item, Steps)
    np.testing.assert_equal(item.metrics["a"], float(token))
    assert batch.tally.skipped == 0


@pytest.mark.parametrize(
    "damage",
    [
        b"1,2",
        b"}{",
        b'{"kind":"step","step":2',
        b'{"kind":"step","step":2}{"kind":"step","step":2}',
        b"\0" * 4096,
        b"[" * 100_000,
        b'{"kind":"step","step":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"kind":"step","step":1e999}',
        b'{"kind":"step","step":"2"}',
        b'{"kind":"step","step":1e300}',
        b'{"kind":"step"}',
    ],
)
def test_damage_is_skipped_and_counted_and_its_neighbours_are_read(damage: bytes) -> None:
    batch = decode(step(1) + damage + b"\n" + step(3))
    assert _rows(batch)[:, Column.STEP].tolist() == [1, 3]
    assert (batch.tally.lines, batch.tally.skipped) == (3, 1)


@pytest.mark.parametrize(
    "odd",
    [
        b'\xef\xbb\xbf{"kind":"step","step":2,"v":1}',
        b'\0\0\0{"kind":"step","step":2,"v":1}',
        b'{"kind":"step","step":2,"v":1}\r',
        b'{"kind":"step","step":2,"v":1,"host":"\xff"}',
        b'{"kind":"step","step":2,"v":1,"x":' + b"9" * 5_000 + b"}",
        b'{"kind":"step","step":2,"v":1,"phases":3,"gpu":[],"metrics":"x"}',
        b'{"kind":"step","step":2,"v":1,"v2":{"a":[1,{"b":null}]}}',
    ],
)
def test_what_can_be_read_of_an_odd_line_is_read(odd: bytes) -> None:
    batch = decode(step(1) + odd + b"\n" + step(3))
    assert _rows(batch)[:, Column.STEP].tolist() == [1, 2, 3]
    assert batch.tally == Tally(lines=3)


def test_blank_lines_are_no_lines() -> None:
    batch = decode(b"\n" + step(1) + b"\r\n \n" + step(2) + b"\n")
    assert batch.tally == Tally(lines=2)
    assert decode(b"") == Batch()
    assert decode(b"\n\n") == Batch()


def test_unknown_versions_and_kinds_are_counted_and_their_known_parts_read() -> None:
    batch = decode(line("step", step=1, seq=1) + orjson.dumps({"v": 2, "kind": "step", "step": 2, "new": {}}) + b"\n")
    assert len(_rows(batch)) == 2
    assert batch.tally == Tally(lines=2, unknown_versions=1)
    batch = decode(steps(1, 1) + line("dream\x1b", seq=2, ts=5.0) + orjson.dumps({"kind": 7}) + b"\n")
    assert batch.items[1:] == (Unknown(2, 5.0, "dream␛"), batch.items[2])
    assert batch.tally == Tally(lines=3, unknown_kinds=2, unknown_versions=1)


def test_a_block_larger_than_a_chunk_and_a_line_longer_than_one() -> None:
    long = line("step", step=5_000, text="x" * (CHUNK + 10))
    batch = decode(steps(0, 4_999) + long + step(5_001))
    assert _rows(batch)[:, Column.STEP].tolist() == list(range(5_002))
    assert batch.tally == Tally(lines=5_002)


def test_events_keep_their_place_between_the_steps() -> None:
    content = (
        start(seq=0, rank=1, gpu={"name": "H\x1b"}, pid=7, emit_every=10)
        + steps(1, 2)
        + line("phase", seq=3, ts=9.0, name="eval", state="begin")
        + line("phase", seq=4, ts=9.5, name="eval", state="end")
        + steps(5, 5)
        + end("failed", ts=12.0, seq=6, error={"type": "ValueError", "message": "no\nway"}, dropped=3)
    )
    first, two, begin, over, one, last = decode(content).items
    assert first == Start(0, 1_000_000.0, "r", 1, 1, "node-a", 7, "H␛", 100, 10)
    assert (begin, over) == (PhaseMark(3, 9.0, "eval", True), PhaseMark(4, 9.5, "eval", False))
    assert last == End(6, 12.0, "failed", "ValueError", "no␊way", 3)
    assert isinstance(two, Steps)
    assert isinstance(one, Steps)
    assert [len(two.rows), len(one.rows)] == [2, 1]


@pytest.mark.parametrize("wrong", [None, "x", [], {}, -1, 0, 1e300, "NaN", 2**80])
def test_a_start_with_nonsense_in_it_still_starts(wrong: object) -> None:
    record = dict.fromkeys(("attempt", "world_size", "total_steps", "emit_every", "host", "gpu", "run_id"), wrong)
    (item,) = decode(json.dumps({"kind": "start", **record}).encode() + b"\n").items
    assert isinstance(item, Start)
    assert (item.seq, item.attempt, item.world_size, item.total_steps, item.emit_every) == (-1, 1, None, None, 1)
    assert math.isnan(item.ts)


def test_metrics_that_only_some_records_carry_are_not_lost() -> None:
    content = line("step", step=1, metrics={"eval_loss": 3.5, "aux": 1}) + line("step", step=2, metrics={"aux": "NaN"})
    for batch in (decode(content), decode_forgiving(content)):
        (item,) = batch.items
        assert isinstance(item, Steps)
        assert item.metrics["eval_loss"] == 3.5
        assert math.isnan(item.metrics["aux"])


def test_records_are_frozen() -> None:
    (item,) = decode(start()).items
    with pytest.raises(dataclasses.FrozenInstanceError):
        item.seq = 3  # type: ignore[misc, union-attr]
