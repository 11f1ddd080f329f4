"""One metric taken out of records, and its points: what supersedes what, and what thinning may drop."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.metric_names import metric_of_tag, ordered, record_path, tag_of
from ugro_tui.core.metric_rows import MetricRows
from ugro_tui.core.points import STEP, VALUE, Points, line_of
from ugro_tui.core.records import Matrix


def rows(*pairs: tuple[float, float]) -> Matrix:
    """Points of (step, value)."""
    matrix = np.full((len(pairs), 4), math.nan)
    matrix[:, [STEP, VALUE]] = np.array(pairs).reshape(-1, 2)
    return matrix


def kept(points: Points) -> list[tuple[float, float]]:
    return [(step, value) for step, value in points.rows[:, [STEP, VALUE]].tolist()]


@given(st.lists(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=10), max_size=6))
def test_the_last_word_wins_also_where_it_has_no_value(calls: list[list[tuple[int, bool]]]) -> None:
    points, naive, drawn = Points(1000), list[tuple[float, float]](), 0
    for call in calls:
        pairs = [(float(step), float(drawn + place)) for place, (step, _) in enumerate(call)]
        drawn += len(call)
        points.append(rows(*pairs), np.array([told for _, told in call], bool))
        for pair, (_, told) in zip(pairs, call, strict=True):
            naive = [one for one in naive if one[0] < pair[0]] + ([pair] if told else [])
        assert kept(points) == naive
    assert points.lowest == min((step for call in calls for step, _ in call), default=math.inf)


def test_a_long_run_is_thinned_and_keeps_spikes_and_what_is_not_finite() -> None:
    points, values = Points(1000), np.sin(np.arange(100_000.0))
    values[[123, 50_000]] = 99.0, -99.0
    values[[777, 60_001, 90_000]] = math.nan, math.inf, -math.inf
    for begin in range(0, len(values), 5_000):
        points.append(rows(*((step, values[step]) for step in range(begin, begin + 5_000))))
    found = dict(kept(points))
    assert len(found) <= 1000
    assert (found[123], found[50_000], found[60_001], found[90_000]) == (99, -99, math.inf, -math.inf)
    assert math.isnan(found[777])
    assert list(found)[-100:] == list(range(99_900, 100_000))
    assert min(found) < 1000
    points.limit(300)
    assert len(points.rows) <= 300


def test_the_files_of_later_starts_supersede_those_of_earlier_ones() -> None:
    first, second, third = Points(1000), Points(1000), Points(1000)
    first.append(rows((1, 0.1), (2, 0.2), (3, 0.3)))
    second.append(rows((3, 1.3), (4, 1.4)))
    third.append(rows((2, 9.0), (5, 2.5)), np.array([False, True]))
    line = line_of(7, [first, second, third])
    assert line is not None
    assert (line.rank, line.step.tolist(), line.value.tolist()) == (7, [1, 5], [0.1, 2.5])
    assert line_of(7, [Points(9)]) is None


def taken(path: tuple[str, str], records: Sequence[object]) -> list[tuple[float, float | None]]:
    """The (step, value) of each step record; None where the value is missing."""
    lines = b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in records)
    return [
        (step, value if told else None)
        for matrix, mask in MetricRows(*path).take(lines)
        for (step, value), told in zip(matrix[:, [STEP, VALUE]].tolist(), mask.tolist(), strict=True)
    ]


def step(number: float, **fields: object) -> dict[str, object]:
    return {"v": 1, "kind": "step", "step": number, "ts": 10.0 + number, "tokens": 2 * number, **fields}


def test_missing_is_not_the_same_as_not_a_number() -> None:
    values = [1.5, "NaN", None, "Infinity", 2]
    records = [step(place, lr=value) for place, value in enumerate(values)]
    found = taken(("", "lr"), records)
    assert [str(value) for _, value in found] == ["1.5", "nan", "None", "inf", "2.0"]
    ((matrix, _),) = MetricRows("", "lr").take(json.dumps(step(3, lr=1)).encode() + b"\n")
    assert matrix.tolist() == [[3, 13, 6, 1]]


@pytest.mark.parametrize("part", ["", "phases", "gpu", "metrics"])
def test_odd_lines_cost_themselves_alone(part: str) -> None:
    def told(number: int, value: object) -> dict[str, object]:
        return step(number, **({part: {"x": value, "other": [1]}} if part else {"x": value}))

    records = [
        {"kind": "start", "x": 5}, told(1, 0.5), b"broken", b"", told(2, True), told(3, "text"), told(4, [1]),
        {"kind": "step", "step": 1e300, "x": 1}, told(5, 10**400), step(6, **({part: "text"} if part else {})),
        b'{"kind": "step", "step": 7}{"kind": "step", "step": 8}', told(9, -1),
    ]  # fmt: skip
    assert taken((part, "x"), records) == [
        (1, 0.5), (2, 1), (3, None), (4, None), (5, math.inf), (6, None), (9, -1),
    ]  # fmt: skip


def test_names_of_a_script_may_be_anything() -> None:
    for raw, shown in (('q"uote\\', 'q"uote\\'), ("\x1b[0m", "␛[0m"), ("n" * 100, "n" * 79 + "…"), ("größe", "größe")):
        assert taken(("metrics", shown), [step(1, metrics={raw: 5, "b": 1}), step(2)]) == [(1, 5), (2, None)]


def test_names_say_where_they_come_from_only_where_they_must() -> None:
    tags = ["loss", "val/loss", "metrics.acc", "events:odd", "events:loss"]
    assert [tag_of(metric_of_tag(tag)) for tag in tags] == tags
    assert all(record_path(metric_of_tag(tag)) is None for tag in tags)
    assert ordered(["gpu.util", "lr", "phases.data"], ["b", "a"], ["val/loss", "loss"]) == (
        "lr", "phases.data", "gpu.util", "metrics.a", "metrics.b", "events:loss", "val/loss",
    )  # fmt: skip
    assert [record_path(name) for name in ("loss", "gpu.util", "metrics.a.b", "val/loss")] == [
        ("", "loss"), ("gpu", "util"), ("metrics", "a.b"), None,
    ]  # fmt: skip


def test_a_series_that_records_and_event_files_hold_has_one_name() -> None:
    tags = ["loss", "val_loss", "metrics.acc", "acc/loss", "step_time"]
    assert ordered(["loss"], ["val_loss", "acc"], tags) == (
        "loss", "metrics.acc", "metrics.val_loss", "acc/loss", "events:step_time",
    )  # fmt: skip
