"""What the screen Compare says in words: numbers side by side, and the options that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from textual.content import Content

from ugro_tui.core.compared import SIGNS
from ugro_tui.core.comparison import Comparison, Row
from ugro_tui.core.numbers import UNKNOWN, plain
from ugro_tui.core.same_place import difference_texts, place_text
from ugro_tui.core.states import JobStatus
from ugro_tui.ui.chart_title import LINE_STYLES
from ugro_tui.ui.columns import fit
from ugro_tui.ui.marks import JOB_GLYPHS, JOB_STYLES
from ugro_tui.ui.wording import shortened

BEST: Final = "★"
"""Behind the best of a row."""

_NO_MARK: Final = "  "

_WIDEST = 24
"""Cells of a column: more would tear the numbers of a row apart."""

_NAMES = 24
"""Cells of the names on the left at the most."""

Part: TypeAlias = Content | str | tuple[str, str]


def numbers(comparison: Comparison, width: int) -> Content:
    """All rows below the signs and names of the runs, in `width` cells."""
    places = [place_text(comparison.metric, one) for one in comparison.differences]
    left, column = _widths([*(row.label for row in comparison.rows), *places], len(comparison.runs), width)
    lines = [_names(comparison, left, column, marked=True), *(_row(row, left, column) for row in comparison.rows)]
    for label, one in zip(places, comparison.differences, strict=True):
        texts, best = difference_texts(one), comparison.best_at(one)
        if max(map(len, texts)) + len(BEST) + 1 > column:
            texts = tuple(map(plain, one.values))
        lines.append(_line(label, texts, best, left, column))
    return Content("\n").join(lines)


def brief_title(comparison: Comparison) -> str:
    """What `brief` compares."""
    if comparison.differences:
        return place_text(comparison.metric, comparison.differences[0])
    return f"last {comparison.metric}"


def brief(comparison: Comparison, width: int) -> Content:
    """A line for each run, in `width` cells: its sign, its value at the same place (else its last one), its name."""
    row = next((row for row in comparison.rows if row.name == f"last {comparison.metric}"), None)
    texts, best = ((UNKNOWN,) * len(comparison.runs), ()) if row is None else (row.texts, row.best)
    if comparison.differences:
        first = comparison.differences[0]
        texts, best = tuple(map(plain, first.values)), comparison.best_at(first)
    longest = max(map(len, texts), default=0)
    lines = []
    for place, (run, text) in enumerate(zip(comparison.runs, texts, strict=True)):
        mark, style = (BEST, "bold $success") if place in best else (" ", "")
        sign = (f"{SIGNS[place]} ", f"bold {LINE_STYLES[place]}")
        name = shortened(run.text, max(1, width - longest - 4))
        lines.append(Content.assemble(sign, (f"{text:>{longest}}{mark} ", style), name))
    return Content("\n").join(lines)


def settings(comparison: Comparison, width: int) -> Content:
    """The options that differ, in `width` cells."""
    if not comparison.settings:
        return Content.styled(_no_difference(comparison), "$text-muted")
    left, column = _widths([one.name for one in comparison.settings], len(comparison.runs), width)
    rows = [(one.name, [UNKNOWN if value is None else value for value in one.values]) for one in comparison.settings]
    lines = [
        _names(comparison, left, column, marked=False),
        *(_line(name, values, None, left, column) for name, values in rows),
    ]
    return Content("\n").join(lines)


def signed_names(names: Sequence[str], room: int) -> Content:
    """The runs with their signs, in the colours of their curves; names are shortened alike for `room` cells."""
    length = max([8, *(length for length in range(8, 80) if _taken(names, length) <= room)])
    parts: list[Part] = []
    for place, name in enumerate(names):
        parts += [("  " if place else "", ""), (f"{SIGNS[place]} ", f"bold {LINE_STYLES[place]}")]
        parts.append(shortened(name, length))
    return Content.assemble(*parts)


def _taken(names: Sequence[str], length: int) -> int:
    return sum(min(len(name), length) + 4 for name in names) - 2


def _no_difference(comparison: Comparison) -> str:
    if comparison.same:
        return "all options that are told are the same"
    return "the options are not told: hand them to MetricsEmitter(config=vars(args))"


def _widths(labels: Sequence[str], runs: int, width: int) -> tuple[int, int]:
    """How wide the labels and each column are."""
    longest = max((len(label) for label in labels), default=0)
    left = max(1, min(longest, _NAMES, max(10, width - runs * 9)))
    return left, max(4, min(_WIDEST, (width - left) // runs - 1))


def _names(comparison: Comparison, left: int, column: int, *, marked: bool) -> Content:
    parts: list[Part] = [" " * left]
    for place, run in enumerate(comparison.runs):
        room = column - len(_NO_MARK) * marked
        text = fit(f"{SIGNS[place]} {shortened(run.text, room - 2)}", room)
        parts += [" ", (text, f"bold {LINE_STYLES[place]}"), _NO_MARK * marked]
    return Content.assemble(*parts)


def _row(row: Row, left: int, column: int) -> Content:
    if row.name != "status":
        return _line(row.label, row.texts, row.best, left, column)
    parts: list[Part] = [(fit(row.label, left, left=True), "$text-muted")]
    for text in row.texts:
        parts += [" ", _status(text, column - len(_NO_MARK)), _NO_MARK]
    return Content.assemble(*parts)


def _status(text: str, column: int) -> tuple[str, str]:
    known = text if text in JOB_GLYPHS else JobStatus.UNKNOWN.value
    return fit(text if text == UNKNOWN else f"{JOB_GLYPHS[known]} {text}", column), JOB_STYLES[known]


def _line(label: str, texts: Sequence[str], best: Sequence[int] | None, left: int, column: int) -> Content:
    """A row; with `best` each cell has room for the mark, so that numbers stand below each other."""
    parts: list[Part] = [(fit(shortened(label, left), left, left=True), "$text-muted")]
    for place, text in enumerate(texts):
        marked = best is not None and place in best
        mark = f" {BEST}" if marked else "" if best is None else _NO_MARK
        room = column - len(mark)
        parts += [" ", (fit(shortened(text, room), room) + mark, "bold $success" if marked else "")]
    return Content.assemble(*parts)
