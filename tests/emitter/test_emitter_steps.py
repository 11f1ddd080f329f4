"""Which steps are written, and what they say of the steps between: times and phases on a clock set by hand."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from ugro_emitter import MetricsEmitter

from tests.emitter.support import SetClock, read_records, steps_of


def emit(tmp_path: Path, steps: list[int], emit_every: int, seconds: float = 0.5) -> list[dict[str, Any]]:
    """Records of a run whose every call comes `seconds` after the one before."""
    clock = SetClock()
    with MetricsEmitter("job", tmp_path, emit_every=emit_every, clock=clock) as emitter:
        for step in steps:
            clock.advance(seconds)
            emitter.emit_step(step, loss=float(step))
    return steps_of(read_records(tmp_path / "job"))


@pytest.mark.parametrize(
    ("steps", "emit_every", "written"),
    [
        (list(range(5)), 1, [0, 1, 2, 3, 4]),
        (list(range(30)), 10, [0, 10, 20]),
        (list(range(1, 31)), 10, [10, 20, 30]),
        (list(range(1003, 1025)), 10, [1010, 1020]),
        (list(range(0, 100, 10)), 10, list(range(0, 100, 10))),
        ([5, 15, 25, 27, 35], 10, [15, 25, 35]),
        ([8, 9, 10, 3, 4, 10], 10, [10, 3, 10]),
    ],
)
def test_the_multiples_of_emit_every_are_written_the_same_on_every_rank(
    tmp_path: Path, steps: list[int], emit_every: int, written: list[int]
) -> None:
    assert [record["step"] for record in emit(tmp_path, steps, emit_every)] == written


def test_step_time_is_the_mean_of_the_steps_since_the_last_record(tmp_path: Path) -> None:
    records = emit(tmp_path, list(range(21)), 10, seconds=0.5)
    assert "step_time" not in records[0]
    assert [record["step_time"] for record in records[1:]] == [0.5, 0.5]


def test_step_time_counts_steps_that_the_script_did_not_tell(tmp_path: Path) -> None:
    records = emit(tmp_path, [0, 10, 20], 10, seconds=5.0)
    assert [record["step_time"] for record in records[1:]] == [0.5, 0.5]


@pytest.mark.parametrize("name", ["loss", "grad_norm", "mine"])
@pytest.mark.parametrize("as_tensor", [False, True], ids=["float", "tensor"])
def test_a_non_finite_value_is_written_at_once(tmp_path: Path, name: str, as_tensor: bool) -> None:
    def given(value: float) -> Any:
        return torch.tensor(value) if as_tensor else value

    with MetricsEmitter("job", tmp_path, emit_every=100) as emitter:
        for step in range(250):
            emitter.emit_step(step, **{name: given(float("nan") if step == 42 else 1.0)})
    records = read_records(tmp_path / "job")
    assert [record["step"] for record in steps_of(records)] == [0, 42, 100, 200]
    alarm = steps_of(records)[1]
    assert alarm.get(name, alarm.get("metrics", {}).get(name)) == "NaN"
    assert [record["seq"] for record in records] == list(range(6))
    assert records[-1]["dropped"] == 0


def test_fields_of_start_and_end(tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path, 1, 7, world_size=2, local_rank=1, total_steps=99) as emitter:
        run_id = emitter.run_id
    start, end = read_records(tmp_path / "job", rank=1)
    assert set(start) == {
        "v", "kind", "seq", "ts", "rank", "run_id", "job_id", "attempt", "local_rank", "world_size", "host", "pid",
        "pid_start", "boot_id", "pid_ns", "gpu", "total_steps", "emit_every", "versions",
    }  # fmt: skip
    named = {key: start[key] for key in ("v", "kind", "seq", "rank", "run_id", "job_id", "attempt", "total_steps")}
    assert named == {
        "v": 1, "kind": "start", "seq": 0, "rank": 1, "run_id": run_id, "job_id": "job", "attempt": 1,
        "total_steps": 99,
    }  # fmt: skip
    assert (start["local_rank"], start["world_size"], start["emit_every"]) == (1, 2, 7)
    assert start["versions"]["torch"] == torch.__version__
    del end["ts"]
    assert end == {
        "v": 1, "kind": "end", "seq": 1, "rank": 1, "status": "completed", "error": None, "dropped": 0,
        "dropped_values": 0,
    }  # fmt: skip


def phases_of(tmp_path: Path) -> list[dict[str, float]]:
    return [record.get("phases", {}) for record in steps_of(read_records(tmp_path / "job"))]


def test_phases_are_means_a_step_and_nested_time_is_counted_once(tmp_path: Path) -> None:
    clock = SetClock()
    with MetricsEmitter("job", tmp_path, emit_every=2, clock=clock) as emitter:
        for step in range(5):
            with emitter.phase("data"):
                clock.advance(1.0)
            with emitter.phase("forward"):
                clock.advance(2.0)
                with emitter.phase("data"):
                    clock.advance(0.5)
            for _ in range(2):  # gradient accumulation: two backward passes a step
                with emitter.phase("backward"):
                    clock.advance(3.0)
            emitter.emit_step(step)
    expected = {"data": 1.5, "forward": 2.0, "backward": 6.0}
    assert phases_of(tmp_path) == [expected, expected, expected]


def test_eval_and_checkpoint_write_records_and_are_no_part_of_the_steps(tmp_path: Path) -> None:
    clock = SetClock()
    with MetricsEmitter("job", tmp_path, clock=clock) as emitter:
        emitter.emit_step(0)
        clock.advance(1.0)
        with emitter.phase("eval"):
            clock.advance(60.0)
            with emitter.phase("forward"):
                clock.advance(30.0)
            with emitter.phase("checkpoint"):
                clock.advance(10.0)
        emitter.emit_step(1)
        with emitter.phase("checkpoint"):
            pass
    records = read_records(tmp_path / "job")
    assert [(r["name"], r["state"]) for r in records if r["kind"] == "phase"] == [
        ("eval", "begin"), ("eval", "end"), ("checkpoint", "begin"), ("checkpoint", "end"),
    ]  # fmt: skip
    assert steps_of(records)[1]["step_time"] == 1.0
    assert phases_of(tmp_path) == [{}, {}]


def test_a_phase_that_ends_by_an_exception_ends(tmp_path: Path) -> None:
    clock = SetClock()
    with MetricsEmitter("job", tmp_path, clock=clock) as emitter:
        with pytest.raises(KeyError), emitter.phase("eval"), emitter.phase("data"):
            raise KeyError
        with emitter.phase("data"):
            clock.advance(2.0)
        emitter.emit_step(0)
    assert [r["state"] for r in read_records(tmp_path / "job") if r["kind"] == "phase"] == ["begin", "end"]
    assert phases_of(tmp_path) == [{"data": 2.0}]


@pytest.mark.parametrize("name", ["warmup", "", None, 3, ["data"]])
def test_an_unknown_phase_times_nothing_and_is_counted(name: Any, tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        with emitter.phase(name):
            emitter.emit_step(0)
        assert emitter._run is not None
        assert emitter._run.losses.errors == 1
    assert phases_of(tmp_path) == [{}]


def test_phases_of_another_thread_are_not_on_the_training_threads_clock(tmp_path: Path) -> None:
    clock = SetClock()
    with MetricsEmitter("job", tmp_path, clock=clock) as emitter:

        def prefetch() -> None:
            with emitter.phase("data"):
                clock.advance(100.0)

        with emitter.phase("forward"):
            thread = threading.Thread(target=prefetch)
            thread.start()
            thread.join()
        emitter.emit_step(0)
    assert phases_of(tmp_path) == [{"forward": 100.0}]


def test_phases_between_records_belong_to_the_next_one(tmp_path: Path) -> None:
    clock = SetClock()
    with MetricsEmitter("job", tmp_path, clock=clock) as emitter:
        with emitter.phase("optimizer"):
            emitter.emit_step(0)
            clock.advance(1.0)
        emitter.emit_step(1)
    assert phases_of(tmp_path) == [{}, {"optimizer": 1.0}]
