"""What leaves for a terminal without UTF-8 or without colour."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

import ugro_tui
from ugro_tui.core.ascii import in_ascii
from ugro_tui.core.states import RankState
from ugro_tui.ui.alert_columns import ALERT_GLYPHS
from ugro_tui.ui.line_filters import Ascii, Uncoloured, spelled
from ugro_tui.ui.marks import JOB_GLYPHS, RANK_GLYPHS, SEVERITY_GLYPHS

GROUND = Color.parse("#1e1e1e")


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_any_text_becomes_ascii_of_the_same_width(text: str) -> None:
    shown = spelled(text)
    assert shown.isascii()
    assert len(shown) == cell_len(text)
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("╭─ Ränge ─╮", "+- Range -+"),
        ("▁▂▄▆█", "_.-=#"),
        ("rank – 3 → n…", "rank - 3 > n."),
        ("日本", "????"),
        ("␛[2J", "?[2J"),
    ],
)
def test_it_stays_readable(text: str, shown: str) -> None:
    assert spelled(text) == shown


def test_every_glyph_of_the_application_has_a_likeness() -> None:
    sources = Path(ugro_tui.__file__).parent.rglob("ui/*.py")
    painted = {sign for path in sources for sign in path.read_text() if not sign.isascii()} - set("�␡")
    assert len(painted) > 20
    assert [sign for sign in painted if in_ascii(sign) == "?"] == []
    assert len({in_ascii(RANK_GLYPHS[state]) for state in RankState}) == len(RankState) - 1  # stalled, hung: one
    assert len({in_ascii(sign) for sign in JOB_GLYPHS.values()}) == len(JOB_GLYPHS) - 1
    marks = {in_ascii(sign) for sign in (*ALERT_GLYPHS.values(), *SEVERITY_GLYPHS.values())}
    assert len(marks) == len(ALERT_GLYPHS) + len(SEVERITY_GLYPHS)
    assert in_ascii(RANK_GLYPHS[RankState.RUNNING]) not in marks


def test_a_line_keeps_its_styles() -> None:
    bold = Style(bold=True)
    assert Ascii().apply([Segment("✖ dead", bold), Segment("ok")], GROUND) == [Segment("x dead", bold), Segment("ok")]


def test_without_colour_the_cursor_stands_out_and_nothing_else_does() -> None:
    style = Style.parse
    segments = [
        Segment("plain", style("#e0e0e0 on #1e1e1e")),
        Segment("bad", style("bold #ba3c5b on #1e1e1e")),
        Segment("cursor", style("#e0e0e0 on #164060")),
    ]
    shown = Uncoloured().apply(segments, GROUND)
    assert all(part.style and part.style.color is part.style.bgcolor is None for part in shown)
    assert [bool(part.style and part.style.reverse) for part in shown] == [False, False, True]
    assert [bool(part.style and part.style.bold) for part in shown] == [False, True, False]
