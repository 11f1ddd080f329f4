"""Colours of logs are kept apart from their text; nothing else that a terminal obeys survives."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.log_bytes import MOST_BYTES, LineCutter
from ugro_tui.core.log_lines import MOST_SHOWN, LineReader
from ugro_tui.core.sgr import Ink, Span, parted, written

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
HOSTILE = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"\x1b[", b"31;1", b"m", b"38;5;", b"38:2:1:2:3", b"\x1b]52;c;aGk=\x07", b"\xc2\x9b", b"\r", b"\n"]
        ),
        st.sampled_from([b"\x08", b"\x1b[999999999999m", b"[rank3]: ", b"2026-13-41 25:61:61 ", b"Traceback (most"]),
    ),
    max_size=30,
).map(b"".join)  # fmt: skip


def span(start: int, end: int, **ink: object) -> Span:
    return Span(start, end, Ink(**ink))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "text", "spans"),
    [
        ("plain", "plain", ()),
        ("\x1b[31mred\x1b[0m not", "red not", (span(0, 3, fore=1),)),
        ("a\x1b[1;4;7mb\x1b[mc", "abc", (span(1, 2, bold=True, underline=True, reverse=True),)),
        ("\x1b[1mb\x1b[32mg\x1b[22mn", "bgn",
         (span(0, 1, bold=True), span(1, 2, bold=True, fore=2), span(2, 3, fore=2))),
        ("\x1b[97;100mx\x1b[39;49my", "xy", (span(0, 1, fore=15, back=8),)),
        ("\x1b[38;5;208mx\x1b[48;2;1;2;3my", "xy", (span(0, 1, fore=208), span(1, 2, fore=208, back=(1, 2, 3)))),
        ("\x1b[38;5;999mx\x1b[38;7mx", "xx", ()),
        ("\x1b[Ka\x1b[2Jb\x1b]0;t\x07\x08c\x9b31m", "␛[Ka␛[2Jb␛]0;t␇␈c�31m", ()),
        ("end\x1b[", "end␛[", ()),
    ],
)  # fmt: skip
def test_the_colours_of_a_line_are_kept_and_all_else_is_made_visible(
    line: str, text: str, spans: tuple[Span, ...]
) -> None:
    assert parted(line, 100) == (text, spans)


def test_what_is_cut_off_has_no_colour() -> None:
    text, spans = parted("\x1b[31m" + "x" * 50 + "\x1b[32myyy", 10)
    assert (text, spans) == ("x" * 9 + "…", (span(0, 10, fore=1),))


def test_colours_are_written_as_they_were_read() -> None:
    line = "a\x1b[1;3;38;5;208mb\x1b[0m\x1b[48;2;1;2;3mc\x1b[0m"
    assert parted(written(*parted(line, 100)), 100) == parted(line, 100)


@given(HOSTILE, st.integers(0, 40))
def test_no_bytes_break_the_reading_of_a_log(data: bytes, cut: int) -> None:
    cutter, reader = LineCutter(), LineReader(3)
    lines = reader.read(cutter.feed(data[:cut]) + cutter.feed(data[cut:]))
    assert len(lines) == data.count(b"\n")
    for line in [*lines, reader.peek(cutter.half)]:
        assert not CONTROL.search(line.text)
        assert 0 <= line.start <= len(line.text) <= MOST_SHOWN
        places = [0, *(place for one in line.spans for place in one[:2]), len(line.text)]
        assert places == sorted(places)
        assert not CONTROL.search(re.sub("\x1b\\[[0-9;]*m", "", written(line.text, line.spans)))


@given(HOSTILE, st.lists(st.integers(0, 300), max_size=6))
def test_lines_do_not_depend_on_how_the_bytes_came(data: bytes, cuts: list[int]) -> None:
    whole, parts = LineCutter(), LineCutter()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    lines = [line for begin, end in pairwise(places) for line in parts.feed(data[begin:end])]
    assert (lines, parts.half) == (whole.feed(data), whole.half)


def test_of_a_progress_bar_the_last_state_stays() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"a\r\n 10%|#   |\r 20%|##  |\r") == ["a"]
    assert cutter.half == " 20%|##  |"
    for percent in range(9_000):
        assert cutter.feed(b"%d of many\r" % percent) == []
    assert cutter.feed(b"done\nnext") == ["done"]
    assert cutter.half == "next"


def test_an_absurd_line_is_cut_and_the_next_one_whole() -> None:
    cutter = LineCutter()
    for _ in range(50):
        assert cutter.feed(b"x" * 5_000) == []
    first, second = cutter.feed(b"end\nshort\n")
    assert (len(first), first[-1], second) == (MOST_BYTES + 1, "…", "short")
    assert cutter.feed(b"\xff\xfe ok\n") == ["�� ok"]
