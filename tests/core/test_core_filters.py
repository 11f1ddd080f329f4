"""The filter language and the order of rows, over columns."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ugro_tui.core.filter_fields import GIBIBYTES, MILLISECONDS, NUMBER, PERCENT, SECONDS, Field, Values
from ugro_tui.core.filters import Filter, FilterError, parse
from ugro_tui.core.ordering import Sort, arranged

NAN = float("nan")

FIELDS = (
    Field("rank", NUMBER, whole=True),
    Field("node", aliases=("host",)),
    Field("state", words=("dead", "stalled", "slow", "unknown", "running")),
    Field("wait", MILLISECONDS),
    Field("age", SECONDS),
    Field("mem", GIBIBYTES),
    Field("gpu", PERCENT),
    Field("loss", NUMBER),
)

TABLE: dict[str, Values] = {
    "rank": np.array([0.0, 1.0, 2.0, 10.0]),
    "node": ("gpu-1", "GPU-10", "cpu-2", ""),
    "state": ("running", "stalled", "slow", "unknown"),
    "wait": np.array([0.0194, 0.0201, 0.3, NAN]),
    "age": np.array([0.5, 59.0, 61.0, 7200.0]),
    "mem": np.array([20.0, 20.4, 61.0, NAN]) * 2**30,
    "gpu": np.array([0.0, 49.6, 97.0, NAN]),
    "loss": np.array([2.3, 2.349, np.inf, NAN]),
}


def understood(text: str) -> Filter:
    found = parse(text, FIELDS)
    assert isinstance(found, Filter), found
    return found


def passing(text: str) -> list[int]:
    """The rows that pass."""
    mask = understood(text).mask(TABLE.__getitem__, 4)
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3]),
        ("rank:1", [1]),
        ("rank=1", [1]),
        ("rank:1-2,10", [1, 2, 3]),
        ("RANK:0,2", [0, 2]),
        ("rank!=1", [0, 2, 3]),
        ("-rank:1-2", [0, 3]),
        ("!rank:1-2", [0, 3]),
        ("rank>=2 rank<10", [2]),
        ("rank:1.5", []),
        ("node:gpu-10", [1]),
        ("node~GPU", [0, 1]),
        ("host~gpu-1", [0, 1]),
        ("node:gpu-1,cpu-2", [0, 2]),
        ("state:stalled", [1]),
        ("state:s", [1, 2]),
        ("state~l", [1, 2]),
        ("gpu-1", [0, 1]),
        ("slow", [2]),
        ("-gpu", [2, 3]),
        ("node~gpu state:running", [0]),
    ],
)
def test_terms_must_all_hold(text: str, rows: list[int]) -> None:
    assert passing(text) == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("wait<20", [0]),
        ("wait<20ms", [0]),
        ("wait>0.1s", [2]),
        ("age>1m", [2, 3]),
        ("age:1-5m", [2]),
        ("age:1m-3h", [2, 3]),
        ("mem>20G", [1, 2]),
        ("mem:20GiB", [0, 1]),
        ("mem<21000M", [0, 1]),
        ("gpu<50%", [0, 1]),
    ],
)
def test_numbers_have_the_units_that_are_shown(text: str, rows: list[int]) -> None:
    assert passing(text) == rows


def test_a_value_stands_for_all_that_is_shown_as_it() -> None:
    assert passing("gpu:50") == [1]
    assert passing("loss:2.3") == [0, 1]
    assert passing("loss:2.30") == [0]
    assert passing("wait:20") == [1]


def test_what_is_not_known_passes_only_where_it_is_asked_for() -> None:
    for text in ("gpu<1000", "gpu>=0", "-gpu<50", "gpu:0-100", "-gpu:0-10", "-gpu:unknown"):
        assert 3 not in passing(text)
    assert passing("gpu:unknown") == passing("gpu:–") == [3]
    assert passing("gpu:unknown,97") == [2, 3]
    assert passing("node:unknown") == [3]
    assert 3 not in passing("-node:gpu-1")
    assert passing("state:unknown") == [3]  # there it is a state


def test_a_loss_that_is_no_number_is_beyond_all_numbers() -> None:
    assert passing("loss:nan") == passing("loss>1e30") == [2]


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("rank:1 nod:x", 7, "no field 'nod': node, rank, state"),
        ("  :8", 2, "a field must stand before ':': rank, node"),
        ("rank:1,x", 7, "'x' is no number: 8, 8-15 or unknown, with k m g t"),
        ("rank:", 5, "a value is missing"),
        ("rank:1,,2", 7, "a value is missing"),
        ("state:staled", 6, "no state 'staled': stalled, dead"),
        ("mem>20Q", 6, "mem has no unit 'q': b, k, kb, kib"),
        ("age:1x-5m", 5, "age has no unit 'x'"),
        ("node>3", 4, "node is a text: use : or ~"),
        ("rank~1", 4, "rank is a number: use : < <= > >="),
        ("rank:15-8", 5, "the range '15-8' is empty: the lower number first"),
        ("rank<8-15", 5, "'8-15' is no number"),
        ("gpu -", 5, "a term must follow '-'"),
    ],
)
def test_errors_say_where_what_and_what_is_possible(text: str, column: int, problem: str) -> None:
    error = parse(text, FIELDS)
    assert isinstance(error, FilterError)
    assert error.column == column
    assert str(error).startswith(problem)


WORDS = "rank node state age mem loss gpu : ~ < >= = ! - , 8 8-15 1e3 20G ms % – unknown st nan inf 1e9999 -5 .5 ß İ ’"
PIECES = st.sampled_from([*re.findall(r"\S+", WORDS), " ", "\x00", "9" * 400])
TEXTS = st.one_of(st.text(max_size=30), st.lists(PIECES, max_size=8).map("".join))


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_every_text_is_a_filter_or_an_error_within_it(text: str) -> None:
    found = parse(text, FIELDS)
    if isinstance(found, FilterError):
        assert 0 <= found.column <= len(text)
        assert found.problem
    else:
        again = understood(str(found))
        assert again == found
        with np.errstate(all="raise"):
            assert found.mask(TABLE.__getitem__, 4).tolist() == again.mask(TABLE.__getitem__, 4).tolist()


# --- the order of rows


def ordered(name: str, text: str = "", *, falling: bool = False) -> list[int]:
    field = next(field for field in FIELDS if field.name == name)
    return [int(row) for row in arranged(4, TABLE.__getitem__, understood(text), Sort(field, falling))]


def test_sorts_by_numbers_texts_and_states() -> None:
    assert ordered("gpu", falling=True) == [2, 1, 0, 3]
    assert ordered("node") == [2, 0, 1, 3]  # numbers inside of texts are numbers, case does not matter
    assert ordered("state") == [1, 2, 3, 0]  # the worst first


def test_what_is_not_known_comes_last_in_both_directions() -> None:
    assert ordered("wait")[-1] == ordered("wait", falling=True)[-1] == 3
    assert ordered("node", falling=True) == [1, 0, 2, 3]


def test_what_is_filtered_is_sorted_too() -> None:
    assert ordered("rank", "rank>0", falling=True) == [3, 2, 1]
    assert arranged(4, TABLE.__getitem__, understood("rank>0"), None).tolist() == [1, 2, 3]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, NAN, float("inf")]), max_size=12), st.booleans())
def test_sorting_is_stable_in_both_directions(values: list[float], falling: bool) -> None:
    order = arranged(len(values), lambda _: np.array(values), Filter(), Sort(FIELDS[0], falling)).tolist()
    sign = -1 if falling else 1
    known = [row for row, value in enumerate(values) if not math.isnan(value)]
    unknown = [row for row, value in enumerate(values) if math.isnan(value)]
    expected = sorted(known, key=lambda row: sign * values[row]) + unknown
    assert order == expected


def test_what_has_two_names_is_found_by_either() -> None:
    """This machine is told of by its own name and by `local`."""
    values = {"node": ["box (local)", "local", "box", "gpu1"]}
    for typed, found in (("box", [0, 2]), ("local", [0, 1]), ("gpu1", [3]), ("bo", [])):
        narrowed = parse(f"node:{typed}", (Field("node"),))
        assert isinstance(narrowed, Filter)
        assert arranged(4, values.__getitem__, narrowed, None).tolist() == found
