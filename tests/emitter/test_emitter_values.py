"""Values: NaN and infinities survive, odd ones are left out and counted, tensors are copied."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import ugro_emitter.writer
from ugro_emitter import MetricsEmitter
from ugro_emitter.capture import defer, plain
from ugro_emitter.encode import encode_with_json, fastest_encoder

from tests.emitter.support import read_records, run_script, steps_of

NON_FINITE = [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]


@pytest.mark.parametrize("encode", [encode_with_json, fastest_encoder()], ids=["json", "fastest"])
@pytest.mark.parametrize(("value", "name"), NON_FINITE)
def test_a_non_finite_value_survives_the_round_trip(
    encode: Any, value: float, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ugro_emitter.writer, "fastest_encoder", lambda: encode)
    with MetricsEmitter("job", tmp_path) as emitter:
        emitter.emit_step(1, loss=value, lr=np.float32(value), mine=torch.tensor(value))
    (step,) = steps_of(read_records(tmp_path / "job"))
    assert (step["loss"], step["lr"], step["metrics"]["mine"]) == (name, name, name)
    back = float(step["loss"].replace("Infinity", "inf"))
    assert back == value or (math.isnan(back) and math.isnan(value))


def test_orjson_is_used_here_so_that_both_ways_are_tested() -> None:
    assert fastest_encoder() is not encode_with_json


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (True, True),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.int64(-7), -7),
        (np.bool_(True), True),
        (np.array(2.5), 2.5),
        (np.array([2.5]), 2.5),
        (Decimal("1.5"), 1.5),
        (Fraction(1, 4), 0.25),
        (2**63, 2**63),
        (2**64, float(2**64)),
        (-(2**63) - 1, -float(2**63)),
        (Decimal("NaN"), "NaN"),
    ],
)
def test_what_is_one_number_becomes_one_of_pythons(value: object, expected: object) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


class Hostile:
    """Fails at whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")


ODD: list[object] = [
    "0.5",
    "NaN",
    b"1",
    1j,
    [1.0],
    {"a": 1},
    object(),
    np.zeros(2),
    torch.zeros(2),
    10**400,
    Hostile(),
    float,
    lambda: 1.0,
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_an_odd_value_is_left_out_and_counted_and_never_raises(value: object, tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        emitter.emit_step(1, loss=value, lr=0.5, mine=value, fine=1)
    *_, step, end = read_records(tmp_path / "job")
    assert "loss" not in step
    assert (step["lr"], step["metrics"]) == (0.5, {"fine": 1})
    assert (end["dropped"], end["dropped_values"]) == (0, 2)


@pytest.mark.parametrize("step", [None, "7", 1.5, torch.tensor(1.5), Hostile()], ids=lambda step: type(step).__name__)
def test_a_step_that_is_no_integer_costs_the_record_and_shows_as_a_gap(step: Any, tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        emitter.emit_step(step, loss=1.0)
        emitter.emit_step(np.int64(2), loss=1.0)  # type: ignore[arg-type]
    _, good, end = read_records(tmp_path / "job")
    assert (good["step"], good["seq"], end["seq"], end["dropped"]) == (2, 2, 3, 1)


def test_none_is_absent_and_not_counted(tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        emitter.emit_step(1, mine=None)
    *_, step, end = read_records(tmp_path / "job")
    assert set(step) == {"v", "kind", "seq", "ts", "rank", "step", "metrics"}
    assert (step["metrics"], end["dropped_values"]) == ({}, 0)


def test_a_tensor_is_copied_when_it_is_handed_in(tmp_path: Path) -> None:
    loss = torch.tensor(1.0, requires_grad=True)
    running = torch.tensor(5.0)
    with MetricsEmitter("job", tmp_path) as emitter:
        for step in range(50):
            emitter.emit_step(step, loss=loss * step, mine=running)
            running += 1
    steps = steps_of(read_records(tmp_path / "job"))
    assert [step["loss"] for step in steps] == [float(step) for step in range(50)]
    assert [step["metrics"]["mine"] for step in steps] == [5.0 + step for step in range(50)]


class ThreadNoting:
    """A stand-in for a tensor that says which thread asks it what."""

    def __init__(self, asked: list[tuple[str, str]]) -> None:
        self._asked = asked

    def _note(self, what: str) -> ThreadNoting:
        import threading

        self._asked.append((what, threading.current_thread().name))
        return self

    def detach(self) -> ThreadNoting:
        return self._note("detach")

    def clone(self) -> ThreadNoting:
        return self._note("clone")

    def item(self) -> float:
        self._note("item")
        return 0.25


def test_a_tensor_is_read_by_the_writer_and_never_by_the_training_thread(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []
    with MetricsEmitter("job", tmp_path) as emitter:
        emitter.emit_step(1, loss=ThreadNoting(asked))
    assert steps_of(read_records(tmp_path / "job"))[0]["loss"] == 0.25
    assert asked == [("detach", "MainThread"), ("clone", "MainThread"), ("item", "ugro-writer")]


class Placement:
    def __init__(self, replicated: bool) -> None:
        self._replicated = replicated

    def is_replicate(self) -> bool:
        return self._replicated


class Distributed:
    """As much of a DTensor as the emitter looks at: its methods would start a collective."""

    def __init__(self, replicated: bool) -> None:
        self.placements = [Placement(replicated)]

    def to_local(self) -> torch.Tensor:
        return torch.tensor(0.5)

    def detach(self) -> Any:
        raise AssertionError("a collective off the training thread can hang the job")

    clone = item = detach


def test_a_distributed_tensor_is_read_only_where_it_is_whole() -> None:
    assert defer(Distributed(replicated=True)).resolve() == 0.5
    with pytest.raises(ValueError, match="full_tensor"):
        defer(Distributed(replicated=False))


def test_names_that_orjson_refuses_are_written_all_the_same(tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        emitter.emit_step(1, **{"\ud800 lone": 1.0, "line\nbreak": 2.0})
    (step,) = steps_of(read_records(tmp_path / "job"))
    assert step["metrics"] == {"\ud800 lone": 1.0, "line\nbreak": 2.0}


def test_json_writes_the_same_records_as_orjson() -> None:
    record = {"v": 1, "loss": 1e-05, "big": 2**63, "text": "ä\n\u2028", "list": ["a"], "none": None, "small": 5e-324}
    by_json, fastest = encode_with_json(record), fastest_encoder()(record)
    assert json.loads(by_json) == json.loads(fastest) == record
    assert by_json.count(b"\n") == fastest.count(b"\n") == 1


def test_torch_is_never_imported_for_a_question(tmp_path: Path) -> None:
    code = """
import sys
from ugro_emitter import MetricsEmitter
with MetricsEmitter("job", sys.argv[1]) as emitter:
    emitter.emit_step(1, loss=0.5)
    emitter.emit_gpu_stats()
print("torch" in sys.modules, "numpy" in sys.modules, "tensorboard" in sys.modules)
"""
    assert run_script(code, tmp_path).stdout.split() == ["False"] * 3
