"""Whatever records, heartbeats and gaps come in whatever order: rules do not raise, guess, or flap."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.record_lines import START_TS, end, line, step
from tests.core.rule_scenes import Scene
from ugro_tui.core.columns import GPU_FIELDS, PHASE_FIELDS
from ugro_tui.core.decode import decode
from ugro_tui.core.documents import parse_heartbeat
from ugro_tui.core.job import Away, JobState
from ugro_tui.core.records import Vital
from ugro_tui.core.states import ProcessState
from ugro_tui.core.summary import summarise
from ugro_tui.core.watch import JobWatch

pytestmark = pytest.mark.filterwarnings("error")

RANKS = 4

# --- what may come

_odd: st.SearchStrategy[Any] = st.sampled_from(
    ["NaN", "Infinity", "-Infinity", None, "x", [], {}, True, 0, -1, 1e308, -1e308, 10**400, 1e-320]
)
_values = st.one_of(st.floats(0, 10), st.floats(), _odd)
_gpu_names = (*GPU_FIELDS, "temp_slowdown", "remap_failed", "lost")
_gpus = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(_gpu_names), _values, max_size=5),
    st.fixed_dictionaries({"throttle": st.lists(st.sampled_from(["hw_slowdown", "sw_thermal_slowdown", "x"]))}),
)
_step_fields = st.fixed_dictionaries(
    {"step": st.one_of(st.integers(0, 60), st.just(2**53), st.just(-5))},
    optional={
        **dict.fromkeys(("loss", "lr", "grad_norm", "throughput", "step_time", "ts", "seq", "tokens"), _values),
        "phases": st.dictionaries(st.sampled_from(PHASE_FIELDS), _values, max_size=5),
        "gpu": _gpus,
        "metrics": st.fixed_dictionaries({}, optional={"skipped": _values}),
    },
)
_start_fields = st.fixed_dictionaries(
    {},
    optional={
        "attempt": st.one_of(st.integers(1, 5), _odd),
        "world_size": st.one_of(st.integers(1, 5), _odd),
        "run_id": st.sampled_from("abc"),
        "total_steps": st.one_of(st.integers(1, 200), _odd),
        "gpu": st.one_of(st.none(), st.fixed_dictionaries({"name": st.sampled_from(["A", "B"])})),
    },
)
_lines = st.one_of(
    _step_fields.map(lambda fields: line("step", **_finite(fields))),
    _start_fields.map(lambda fields: line("start", ts=START_TS, **_finite(fields))),
    st.sampled_from(["eval", "checkpoint", "train", ""]).flatmap(
        lambda name: st.sampled_from(["begin", "end"]).map(lambda word: line("phase", name=name, state=word))
    ),
    st.sampled_from(["completed", "failed", "stopped", "?"]).map(end),
    st.sampled_from([b"damage\n", b"\n", b'{"kind":"step"}\n']),
)
_beats = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("step", "step_age", "rss", "mem_total", "disk_free", "disk_total", "ts", "pid"), _values),
        "phase": st.one_of(st.sampled_from(["data", "backward", "sync_wait"]), _odd),
        "gpu": _gpus,
    },
)
_ranks = st.integers(0, RANKS - 1)
_events = st.one_of(
    st.tuples(st.just("lines"), _ranks, st.lists(_lines, max_size=8).map(b"".join)),
    st.tuples(st.just("beat"), _ranks, _beats.map(lambda fields: orjson.dumps(_finite(fields)))),
    st.tuples(st.just("vital"), _ranks, st.sampled_from(list(ProcessState))),
    st.tuples(st.just("away"), _ranks, st.booleans()),
    st.tuples(st.just("pass"), _ranks, st.sampled_from([0.0, 1.0, 16.0, 61.0, 4_000.0])),
)


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold: integers beyond 64 bits as floats are spelled in other tests."""
    return {
        name: value if not isinstance(value, int) or abs(value) < 2**63 else 2.0**63 for name, value in _flat(fields)
    }


def _flat(fields: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, _finite(value) if isinstance(value, dict) else value) for name, value in fields.items()]


def happen(state: JobState, event: tuple[str, int, Any], now: float) -> None:
    """One thing happens."""
    kind, rank, what = event
    if kind == "lines":
        state.apply(rank, decode(what), now, f"n{rank % 2}")
    elif kind == "beat" and (beat := parse_heartbeat(what)) is not None:
        state.apply_heartbeat(rank, beat, now, f"n{rank % 2}")
    elif kind == "vital":
        state.apply_vital(rank, Vital(rank, 1, what), f"n{rank % 2}")
    elif kind == "away":
        state.away = {f"n{rank % 2}": Away(5.0, "no answer", sure=what, next_step="look")} if what else {}


@given(st.lists(_events, max_size=25))
def test_no_order_of_events_makes_a_rule_raise_or_say_nonsense(events: Sequence[tuple[str, int, Any]]) -> None:
    state, watch, now = JobState("job"), JobWatch(), 100.0
    for event in events:
        now += event[2] if event[0] == "pass" else 0.5
        happen(state, event, now)
        for alert in watch.tick(state, now):
            assert alert.age >= 0
            assert alert.ranks >= 1
            assert all((alert.name, alert.rule, alert.what, alert.next_step, alert.sentence))
            assert "nan" not in alert.what.replace("NaN", "")
            assert alert.rank is None or alert.rank in state.table.by_rank
        summarise(state, now, watch.tick(state, now), watch.unjudged)


# --- missing data

_TOLD_BY_STEPS = {"rank_stalled", "job_hang", "desync", "lines_skipped", "restart_loop", "died_silently", "rank_error"}


@given(
    st.lists(st.tuples(_ranks, st.integers(0, 400), st.integers(1, 60), st.floats(0, 30)), min_size=1, max_size=20),
    st.sampled_from([None, "NaN", []]),
)
def test_steps_alone_say_nothing_but_whether_they_go_on(
    parts: Sequence[tuple[int, int, int, float]], nothing: object
) -> None:
    scene = Scene(RANKS)
    names = ("lr", "throughput", "step_time", "epoch", "tokens", "phases", "gpu", "metrics")
    for rank, first, count, seconds in parts:
        scene.now += seconds
        numbers = range(first, first + count)
        scene.write(rank, b"".join(step(n, START_TS + scene.now, **dict.fromkeys(names, nothing)) for n in numbers))
        scene.beat(rank, gpu=None, rss=None, disk_free=None)
        assert set(scene.tick()) <= _TOLD_BY_STEPS


# --- flapping and cuts

_runs = st.lists(
    st.tuples(st.sampled_from([0.5, 2.0, 2.1, 2.3, 3.0, 9.0, 0.001]), st.integers(1, 40)), min_size=1, max_size=8
)
_CLEARS = {"loss_spike": 25, "divergence": 1, "gradient_explosion": 25, "gradient_vanish": 2, "throughput_drop": 2}
"""Records that it takes, at the least, to clear a rule and let it fire again."""


def _content(runs: Sequence[tuple[float, int]]) -> list[bytes]:
    values = [2.0] * 70 + [value for value, count in runs for _ in range(count)]
    return [
        step(number, loss=value + 0.01 * (number % 3), grad_norm=value, throughput=1_000 * value)
        for number, value in enumerate(values, 1)
    ]


@settings(max_examples=10)
@given(_runs)
def test_an_alert_comes_back_no_sooner_than_its_records_allow(runs: Sequence[tuple[float, int]]) -> None:
    scene = Scene()
    last: dict[str, int] = {}
    firing: set[str] = set()
    for number, record in enumerate(_content(runs)):
        scene.write(0, record)
        found = {alert.rule for alert in scene.all(None, *_CLEARS)}
        found |= {"loss_spike"} if "divergence" in found else set()  # a divergence stands for its spike
        for rule in found - firing:
            assert number - last.get(rule, -1_000) >= _CLEARS[rule], rule
            last[rule] = number
        firing = found


@settings(max_examples=30)
@given(_runs, st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_how_records_are_cut_into_deliveries_changes_nothing(
    runs: Sequence[tuple[float, int]], cuts: Sequence[int]
) -> None:
    records = _content(runs)
    whole, cut = Scene(2), Scene(2)
    for rank in whole.ranks:
        whole.write(rank, b"".join(records))
    place = 0
    for size in itertools.cycle(cuts):
        for rank in cut.ranks:
            cut.write(rank, b"".join(records[place : place + size]))
        cut.tick()
        place += size
        if place >= len(records):
            break
    assert _told(cut) == _told(whole)


@given(st.lists(st.lists(_lines, max_size=6), max_size=6))
def test_how_any_lines_are_cut_changes_nothing_when_all_are_there(parts: Sequence[list[bytes]]) -> None:
    whole, cut = Scene(RANKS), Scene(RANKS)
    for rank, lines in enumerate(parts):
        whole.write(rank % RANKS, b"".join(lines))
        for one in lines:
            cut.write(rank % RANKS, one)
    assert _told(cut) == _told(whole)


def _told(scene: Scene) -> list[tuple[str, int | None, str]]:
    return [(alert.rule, alert.rank, alert.what) for alert in scene.all(50.0)]
