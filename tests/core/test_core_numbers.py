"""Numbers as people read them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.record_lines import job, start, steps
from ugro_tui.core import numbers
from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.states import JobStatus, RankState
from ugro_tui.core.summary import summarise

NAN = float("nan")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (numbers.plain(2.34567), "2.346"),
        (numbers.size(0), "0 B"),
        (numbers.size(1_023), "1023 B"),
        (numbers.size(3_482), "3.4 KiB"),
        (numbers.size(5 << 40), "5,120.0 GiB"),
        (numbers.plain(12_345.6), "12,346"),
        (numbers.plain(0.0), "0"),
        (numbers.plain(3e-5), "3.00e-05"),
        (numbers.plain(-0.5), "-0.5000"),
        (numbers.plain(math.inf), "inf"),
        (numbers.plain(NAN), "–"),
        (numbers.count(1_234_567), "1,234,567"),
        (numbers.count(math.inf), "–"),
        (numbers.compact(0), "0"),
        (numbers.compact(0.5), "0.5"),
        (numbers.compact(950), "950"),
        (numbers.compact(999.6), "1.0k"),
        (numbers.compact(12_345), "12.3k"),
        (numbers.compact(99_960), "100k"),
        (numbers.compact(-950_000), "-950k"),
        (numbers.compact(1.2e6), "1.2M"),
        (numbers.gibibytes(3.25 * 2**30), "3.2G"),
        (numbers.gibibytes(999.96 * 2**30), "1.0T"),
        (numbers.gibibytes(2**41), "2.0T"),
        (numbers.duration(0.44), "0.4s"),
        (numbers.duration(59.6), "1m 0s"),
        (numbers.duration(7_620), "2h 7m"),
        (numbers.duration(4 * 86_400 + 10_900), "4d 3h"),
        (numbers.age(99), "99s"),
        (numbers.age(720), "12m"),
        (numbers.age(1e12), "999d"),
        (numbers.clock(3_723.9), "01:02:03"),
        (numbers.clock(-5), "00:00:00"),
        (numbers.per_step(1.234), "1.23 s/it"),
        (numbers.per_step(0.0123), "12 ms/it"),
        (numbers.per_step(0.0004), "0.4 ms/it"),
    ],
)
def test_numbers_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.floats())
def test_no_number_is_long_and_none_that_is_there_looks_like_nothing(value: float) -> None:
    sizes = {
        numbers.plain: 11,
        numbers.count: 20,
        numbers.compact: 6,
        numbers.gibibytes: 9,
        numbers.duration: 9,
        numbers.age: 4,
        numbers.clock: 10,
        numbers.per_step: 16,
    }
    for shown, width in sizes.items():
        text = shown(abs(value)) if shown is not numbers.compact else shown(value)
        assert 0 < len(text) <= width, (shown.__name__, text)
        unknown = text.split()[0] == numbers.UNKNOWN  # its unit stands behind
        assert unknown == (math.isnan(value) or (math.isinf(value) and shown is not numbers.plain))


def test_numbers_and_records_as_json() -> None:
    assert jsonable([NAN, math.inf, -math.inf, 2.0, 2.5, 2.0**60]) == [None, "Infinity", "-Infinity", 2, 2.5, 2.0**60]
    assert jsonable({"status": JobStatus.FAILED, "state": RankState.HUNG, 1: (True, None, "x")}) == {
        "status": "failed",
        "state": "hung",
        "1": [True, None, "x"],
    }
    summary = jsonable(summarise(job(start() + steps(1, 20)), 1.0))
    assert (summary["status"], summary["step"], summary["throughput"]) == ("running", 20, None)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
