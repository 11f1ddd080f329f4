"""What is written to the terminal leaves it as if all had been written."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.strip import Strip

from ugro_tui.ui.thin import Painted, differing, joined, pieces

WIDTH, HEIGHT = 24, 3
STYLES = (None, Style(color="red"), Style(bold=True), Style(bgcolor="blue"))

Grid = dict[tuple[int, int], tuple[str, Style | None]]

SEGMENTS = st.tuples(st.text("ab █漢", min_size=1, max_size=6), st.sampled_from(STYLES)).map(
    lambda parts: Segment(*parts)
)


@st.composite
def painted_strips(draw: st.DrawFn) -> tuple[int, int, Strip]:
    """A line, a cell, and what is painted there, within the screen."""
    strip = Strip(draw(st.lists(SEGMENTS, min_size=1, max_size=4)))
    x = draw(st.integers(0, 12))
    return draw(st.integers(0, HEIGHT - 1)), x, strip.crop(0, WIDTH - x)


def put(grid: Grid, y: int, x: int, strip: Strip) -> None:
    """As a terminal would."""
    for segment in strip:
        for sign in segment.text:
            cells = Segment(sign).cell_length
            for place in range(cells):
                grid[y, x + place] = (sign if place == 0 else "", segment.style)
            x += cells


def stand_in(grid: Grid, y: int, x: int, strip: Strip) -> bool:
    """Whether all cells of a strip are on the grid as they should be."""
    wanted: Grid = {}
    put(wanted, y, x, strip)
    return all(grid.get(place) == cell for place, cell in wanted.items())


@given(st.lists(painted_strips(), min_size=1, max_size=12))
def test_a_terminal_shows_what_was_painted_last(strips: list[tuple[int, int, Strip]]) -> None:
    painted = Painted()
    shown: Grid = {}
    for y, x, strip in strips:
        for at, part in painted.changed(y, x, strip):
            put(shown, y, at, part)
        assert stand_in(shown, y, x, strip)


@given(painted_strips(), painted_strips())
def test_what_differs_is_found(one: tuple[int, int, Strip], other: tuple[int, int, Strip]) -> None:
    width = min(one[2].cell_length, other[2].cell_length)
    before, after = one[2].crop(0, width), other[2].crop(0, width)
    first, last = differing(before, after)
    shown: Grid = {}
    put(shown, 0, 0, before)
    put(shown, 0, first, after.crop(first, last))
    assert stand_in(shown, 0, 0, after)
    assert differing(after, after)[0] == differing(after, after)[1]


LINED = (*STYLES, Style(color="green"), Style(underline=True), Style(reverse=True), Style(color="red", bgcolor="blue"))


@given(st.lists(st.tuples(st.text("a █", min_size=1, max_size=4), st.sampled_from(LINED)), min_size=1, max_size=9))
def test_joined_pieces_look_as_they_did(parts: list[tuple[str, Style | None]]) -> None:
    strip = Strip([Segment(*part) for part in parts])
    assert joined(strip).text == strip.text
    assert len(joined(strip)._segments) <= len(parts)
    looks: list[list[object]] = []
    for made in (strip, joined(strip)):
        cells = [(sign, style or Style()) for text, style, _ in made for sign in text]
        looks.append(
            [style if sign != " " or style.underline or style.reverse else style.bgcolor for sign, style in cells]
        )
    assert looks[0] == looks[1]


def test_the_dots_of_a_line_are_one_piece() -> None:
    dots, rest = Style(color="red", bgcolor="black"), Style(color="white", bgcolor="black")
    line = Strip(
        [Segment("  ", rest), Segment("⣿", dots), Segment("   ", rest), Segment("⣿", dots), Segment(" ", rest)]
    )
    assert joined(line) == Strip([Segment("  ⣿   ⣿ ", dots)])


def update(*lines: str) -> ChopsUpdate:
    """A whole screen of one widget, as the compositor hands it over."""
    chops = [{0: Strip([Segment(line.ljust(WIDTH))])} for line in lines]
    return ChopsUpdate(chops, [(y, 0, WIDTH) for y in range(len(lines))], [[WIDTH]] * len(lines))


def written(painted: Painted, screen: object, *lines: str) -> str:
    renderable = cast(CompositorUpdate, painted.over(screen, update(*lines)))
    return renderable.render_segments(Console(color_system=None))


def test_only_cells_that_changed_are_written_and_all_of_them_after_another_screen() -> None:
    painted, screen = Painted(), object()
    assert pieces(update("a"))[0][:2] == (0, 0)
    painted.over(screen, "all of it")
    assert written(painted, screen, "loss 2.31", "rank 3").count("\x1b[") == 2
    assert written(painted, screen, "loss 2.31", "rank 3") == ""
    assert written(painted, screen, "loss 2.29", "rank 3") == "\x1b[1;8H29"
    assert "rank 3" in written(painted, object(), "loss 2.29", "rank 3")
    painted.over(screen, "all of it, as after a new size")
    assert "rank 3" in written(painted, screen, "loss 2.29", "rank 3")
