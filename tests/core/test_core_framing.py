"""Lines come out the same wherever the bytes were cut, and memory stays bounded whatever comes in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.framing import LineFramer


def _fed(pieces: list[bytes], max_line: int) -> tuple[bytes, int, int]:
    framer = LineFramer(max_line)
    lines = b"".join(framer.feed(piece) for piece in pieces)
    return lines, framer.pending, framer.too_long


def _expected(data: bytes, max_line: int) -> tuple[bytes, int]:
    whole = data[: data.rfind(b"\n") + 1]
    lines = [line + b"\n" for line in whole.split(b"\n")[:-1]]
    return b"".join(line for line in lines if len(line) <= max_line), sum(len(line) > max_line for line in lines)


@pytest.mark.parametrize(
    "data", [b"ab\ncdefgh\n\nij", b"\n\n\n", b"abcdefghij", b"", b"abcd\nabc\nabcde\n", b"\r\nx\r\n"]
)
@pytest.mark.parametrize("max_line", [3, 4, 5, 100])
def test_every_way_to_cut_gives_the_same_lines(data: bytes, max_line: int) -> None:
    lines, too_long = _expected(data, max_line)
    whole = _fed([data], max_line)
    assert whole[0] == lines
    for cuts in itertools.chain.from_iterable(itertools.combinations(range(len(data) + 1), n) for n in range(4)):
        bounds = [0, *cuts, len(data)]
        pieces = [data[a:b] for a, b in itertools.pairwise(bounds)]
        assert _fed(pieces, max_line) == whole
    ended = _fed([data, b"\n"], max_line)
    assert ended == (*_expected(data + b"\n", max_line)[:1], 0, _expected(data + b"\n", max_line)[1])
    assert too_long <= whole[2] <= too_long + 1


@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"a", b"\n").replace(b"\0", b"\n")), max_size=12))
def test_lines_do_not_depend_on_the_cuts(pieces: list[bytes]) -> None:
    assert _fed(pieces, 8) == _fed([b"".join(pieces)], 8)


def test_a_line_of_a_gigabyte_is_dropped_in_bounded_memory() -> None:
    framer = LineFramer()
    piece = b"x" * (1 << 20)
    framer.feed(b'{"kind":"step"}\n')
    for _ in range(1024):
        assert framer.feed(piece) == b""
        assert framer.pending < 1 << 20
    assert framer.feed(b'tail\n{"a":1}\n') == b'{"a":1}\n'
    assert framer.too_long == 1


def test_a_line_as_long_as_the_cap_is_kept_and_one_byte_more_is_not() -> None:
    for extra, kept in ((0, True), (1, False)):
        content = b"x" * (9 + extra) + b"\n"
        assert bool(_fed([content], 10)[0]) is kept
        assert bool(_fed([content[:5], content[5:]], 10)[0]) is kept


def test_half_a_line_is_held_back_and_a_cut_character_is_not_harmed() -> None:
    content = '{"host":"é"}\n'.encode()
    framer = LineFramer()
    assert framer.feed(content[:10]) == b""
    assert framer.pending == 10
    assert framer.feed(content[10:]) == content
