"""Hostile text, job ids and file names."""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.decode import decode
from ugro_tui.core.documents import parse_error, parse_heartbeat, parse_manifest
from ugro_tui.core.errors import BadInput
from ugro_tui.core.fields import integer, number, numbers, positive
from ugro_tui.core.jobid import checked_job_id, is_job_id
from ugro_tui.core.layout import FileKind, classify
from ugro_tui.core.records import End, PhaseMark, Start, Steps, Unknown
from ugro_tui.core.text import MAX_TEXT, visible

HOSTILE = "\x1b[31m\x1b]52;c;cm0=\x07\x9b2J‮evil⁦\u2029\x00\x7f\ud800[@click=app.quit][/b][red]"

_DANGEROUS = {"Cc", "Cs", "Zl", "Zp"}
# Signs that stand before a number in Arabic, Syriac and Kaithi, and Egyptian joiners: they show.
_SHOWN_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13460)}


def dangerous(text: str) -> list[str]:
    """The characters of `text` that a terminal might obey, or that hide."""
    return [
        char
        for char in text
        if unicodedata.category(char) in _DANGEROUS
        or (unicodedata.category(char) == "Cf" and ord(char) not in _SHOWN_FORMATS)
    ]


def test_no_character_that_a_terminal_obeys_or_hides_passes() -> None:
    passed = [hex(code) for code in range(sys.maxunicode + 1) if dangerous(visible(chr(code)))]
    assert passed == []


def test_harmless_text_is_left_as_it_is() -> None:
    text = "rank 3 [red] [/b] [@click=app.quit] größe 中文 🙂 ▁▂▃"
    assert visible(text) == text


def test_what_terminals_show_in_different_widths_is_left_out() -> None:
    assert visible("\u26a0\ufe0f hot \U0001f44d\U0001f3fd ok") == "\u26a0 hot \U0001f44d ok"
    assert visible("1\ufe0f" * 30, 40) == "1" * 21 + "…"


@given(st.text(), st.integers(2, 50))
def test_text_is_capped_and_can_be_encoded(text: str, limit: int) -> None:
    shown = visible(text, limit)
    assert len(shown) <= min(len(text), limit)
    assert shown.endswith("…") or len(text) <= limit
    shown.encode()


def _texts(value: object) -> list[str]:
    """All text in a record, however deep."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    if isinstance(value, tuple | list):
        return [text for part in value for text in _texts(part)]
    names = getattr(type(value), "__slots__", ())
    return [text for name in names for text in _texts(getattr(value, name))]


_text = st.one_of(st.text(max_size=40), st.just(HOSTILE), st.text(alphabet=HOSTILE, max_size=20))
_value = st.one_of(_text, st.lists(_text, max_size=3), st.dictionaries(_text, _text, max_size=3), st.none())
_FIELDS = (
    "run_id",
    "attempt",
    "world_size",
    "host",
    "pid",
    "total_steps",
    "emit_every",
    "name",
    "state",
    "status",
    "error",
    "dropped",
    "backend",
    "command",
    "exit_code",
    "started",
    "ended",
    "message",
    "phase",
    "step_age",
    "gpu",
    "step",
    "loss",
    "metrics",
    "ts",
    "seq",
    "rss",
    "disk_free",
    "timestamp",
)
_NESTED = ("name", "uuid", "type", "message", "extraInfo", "py_callstack", "timestamp", "util")


@st.composite
def _hostile_records(draw: st.DrawFn) -> dict[str, Any]:
    record: dict[str, Any] = draw(st.dictionaries(st.sampled_from(_FIELDS), _value, max_size=12))
    inner = st.dictionaries(st.sampled_from(_NESTED), _value, max_size=4)
    for name in draw(st.sets(st.sampled_from(["gpu", "error", "message", "metrics", "phases"]))):
        record[name] = draw(inner)
    record["kind"] = draw(st.one_of(st.sampled_from(["start", "step", "phase", "end"]), _text))
    if record["kind"] == "step":
        record["step"] = 1
        record["metrics"] = draw(st.dictionaries(_text, st.one_of(st.floats(), _text), max_size=4))
    return record


@given(_hostile_records())
def test_no_field_of_any_record_lets_hostile_text_through(record: dict[str, Any]) -> None:
    data = json.dumps(record).encode()
    report = parse_error(data)
    assert report is not None
    texts = [report.message, *report.traceback.split("\n")]  # a traceback alone keeps its lines
    texts += _texts((parse_heartbeat(data), parse_manifest(data), decode(data + b"\n").items))
    assert [text for text in texts if dangerous(text) or len(text) > MAX_TEXT] == []


def test_the_hostile_texts_do_reach_the_fields() -> None:
    hostile = {"type": HOSTILE, "message": HOSTILE, "name": HOSTILE, "uuid": HOSTILE}
    records = [
        {"kind": "start", "host": HOSTILE, "run_id": HOSTILE, "gpu": hostile},
        {"kind": "phase", "name": HOSTILE},
        {"kind": "step", "step": 1, "metrics": {HOSTILE: 1.0}},
        {"kind": "end", "status": HOSTILE, "error": hostile},
        {"kind": HOSTILE},
    ]
    items = decode(b"".join(json.dumps(record).encode() + b"\n" for record in records)).items
    assert [type(item) for item in items] == [Start, PhaseMark, Steps, End, Unknown]
    texts = _texts(items)
    assert len(texts) == 10
    assert {text[:4] for text in texts} == {"␛[31"}


@pytest.mark.parametrize("name", ["a", "9", "run-1_b.c", "x" * 64, "A..b"])
def test_names_of_jobs(name: str) -> None:
    assert checked_job_id(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "_x", "a/b", "../a", "a b", "a\n", "ä", "x" * 65, "a\0", "٣"])
def test_names_that_no_job_may_have(name: str) -> None:
    assert not is_job_id(name)
    with pytest.raises(BadInput, match="1 to 64 letters") as caught:
        checked_job_id(name)
    assert not dangerous(str(caught.value))


@pytest.mark.parametrize(
    ("path", "kind", "rank"),
    [
        ("metrics.jsonl", FileKind.METRICS, 0),
        ("metrics.rank-12.jsonl", FileKind.METRICS, 12),
        ("heartbeat.rank-0.json", FileKind.HEARTBEAT, 0),
        ("job.json", FileKind.MANIFEST, -1),
        ("errors/rank_0.json", FileKind.ERROR, 0),
        ("logs/rank_999999.log", FileKind.LOG, 999_999),
        ("tensorboard/rank_3/events.out.tfevents.1.host.2.0", FileKind.EVENTS, 3),
    ],
)
def test_what_files_mean(path: str, kind: FileKind, rank: int) -> None:
    found = classify(path)
    assert found is not None
    assert (found.path, found.kind, found.rank) == (path, kind, rank)
    assert found.appended is (kind in (FileKind.METRICS, FileKind.LOG, FileKind.EVENTS))


@pytest.mark.parametrize(
    "path",
    [
        "metrics.rank-0.jsonl",  # a second file for rank 0
        "metrics.rank-01.jsonl",
        "metrics.rank-1000000.jsonl",
        "metrics.rank--1.jsonl",
        "metrics.rank-٣.jsonl",
        "metrics.jsonl\n",
        "heartbeat.rank-00.json",
        "../metrics.jsonl",
        "errors/../rank_0.json",
        "errors/rank_0.json.tmp",
        "tensorboard/rank_0/../events.out.tfevents.1",
        "tensorboard/rank_0/events.out.tfevents.1/../../x",
        "tensorboard/rank_0/events.out.tfevents.\x1b",
        "",
    ],
)
def test_files_that_mean_nothing(path: str) -> None:
    assert classify(path) is None


def test_single_values_of_a_record() -> None:
    assert [number(value) for value in (1, 2.5, "Infinity", "-Infinity", 10**400, -(10**400))] == [
        1.0,
        2.5,
        float("inf"),
        float("-inf"),
        float("inf"),
        float("-inf"),
    ]
    assert all(
        number(value) != number(value) for value in list[object](("NaN", "1.5", "nan", "inf", None, [], {}, "1_0"))
    )
    assert [integer(value) for value in (3, 3.0, "3", None, float("nan"), 2**54, 10**400)] == [3, 3] + [None] * 5
    assert [positive(value, 10) for value in (1, 10, 0, -1, 11, "1", None)] == [1, 10] + [None] * 5


def test_names_of_metrics_are_capped_and_only_numbers_kept() -> None:
    assert numbers({"a": 1, "b": None, "c": "x", "d": "-Infinity", "e\x1b": 2}) == {
        "a": 1.0,
        "d": float("-inf"),
        "e␛": 2.0,
    }
    kept = numbers({"x": "NaN", "y\x00": float("nan")})
    assert list(kept) == ["x", "y␀"]
    assert all(value != value for value in kept.values())
    assert len(numbers({str(index): index for index in range(1000)})) == 256
    assert numbers([1, 2]) == {}
