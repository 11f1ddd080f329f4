"""The title of a chart: its legend, never over the data, what it is looked at like, and the values at the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from textual.content import Content

from ugro_tui.core.chart_view import ChartView, Reading, reading, reading_before
from ugro_tui.core.compared import SIGNS
from ugro_tui.core.curve import Axis
from ugro_tui.core.ends import Ends
from ugro_tui.core.numbers import compact, count, counted, loss_text, plain
from ugro_tui.core.text import visible
from ugro_tui.ui.strokes import Drawing, Trace, letter
from ugro_tui.ui.ticks import time_label
from ugro_tui.ui.wording import Words, shortened, title

Part: TypeAlias = Content | str | tuple[str, str]

LINE_STYLES = ("$accent", "$success", "$primary", "$foreground")
"""The colours of the curves in a legend; the signs beside them say the same."""

_NAME_LENGTH = 40

_LENGTHS = (_NAME_LENGTH, 24, 16, 10, 0)
"""What is left of names where room is short."""


def metric_title(
    traces: Sequence[Trace],
    view: ChartView,
    made: Drawing | None,
    *,
    brief: bool = False,
    room: int | None = None,
    newest: str = "",
) -> Content:
    """The title of a chart of these curves; `made` is what is drawn of them.

    `room`: the cells that it may take: what explains itself is left out first, then how the chart is looked at is said
    in fewer words, but for what was set last, the field `newest` of `view`.
    """
    if not traces:
        return Content("")
    parts = [_words(((name_of(traces[0]), "bold"), "  "))] if len(traces) == 1 else []
    parts += _readout(traces, view, made) if view.cursor is not None else _summary(traces)
    parts += [] if brief else _legend(traces, view, traces[0].curve.ranks)
    parts += [*_marks(traces), *_hints(view, made, newest)]
    return title(parts, room)


def _words(*forms: Sequence[Part], rank: int = 0) -> Words:
    return Words(tuple(Content.assemble(*form) for form in forms), rank)


def name_of(trace: Trace, length: int = _NAME_LENGTH) -> str:
    """The name of a curve, short and harmless: it may come from a node."""
    return shortened(visible(trace.name), length)


def _summary(traces: Sequence[Trace]) -> list[Words]:
    """The newest and the lowest value of each curve; where not even short names leave room for it, the newest alone."""
    ends = [trace.ends for trace in traces]
    if len(traces) == 1:
        newest = _words([f"last {ends[0].last_text}"], [f"last {_bare(ends[0])}"], rank=2)
        return [newest, *_fewer([f"  min {plain(ends[0].least)}"], rank=3), *_fewer([ends[0].who_text], rank=6)]
    whole, both, last, bare = (
        [(place, trace, said(end)) for place, (trace, end) in enumerate(zip(traces, ends, strict=True))]
        for said in (lambda end: end.text, _both, lambda end: end.last_text, _bare)
    )
    forms = [_several(whole, _NAME_LENGTH), *(["last  ", *_several(both, length)] for length in _LENGTHS[:-1])]
    forms += [["last  ", *_several(last, length)] for length in _LENGTHS[:-2]]
    return [_words(*forms, *(_several(bare, length) for length in _LENGTHS), rank=1)]


def _several(told: Iterable[tuple[int, Trace, str]], length: int) -> list[Part]:
    """Each curve by its sign and so much of its name (0: nothing), with a value of it."""
    return _joined(
        [(f"{SIGNS[place]} {name_of(trace, length)}" if length else SIGNS[place], LINE_STYLES[place % 4]), f" {value}"]
        for place, trace, value in told
    )


def _both(ends: Ends) -> str:
    return f"{_bare(ends)} min {plain(ends.least)}"


def _bare(ends: Ends) -> str:
    return loss_text(ends.last, bad=ends.bad)


def _joined(groups: Iterable[list[Part]]) -> list[Part]:
    parts: list[Part] = []
    for group in groups:
        parts += [*(["  "] if parts else []), *group]
    return parts


def _readout(traces: Sequence[Trace], view: ChartView, made: Drawing | None) -> list[Words]:
    """The values at the cursor."""
    x = 0.0 if view.cursor is None else view.cursor
    reads = _reads(traces, view.axis, x)
    if not reads:
        return []
    trace, first = reads[0]
    where = f"step {count(first.step)}"
    if view.axis is not Axis.STEP:
        where += f" at {x_text(view.axis, first.x)}"
    if len(traces) > 1:
        told = [(traces.index(one), one, plain(read.median)) for one, read in reads]
        return [_words(*([f"{where}: ", *_several(told, length)] for length in _LENGTHS), rank=1)]
    several = trace.curve.ranks > 1
    brief = text = f"{where}: {'median ' if several else ''}{plain(first.median)}"
    if first.high > first.low:
        text += f", {plain(first.low)}–{plain(first.high)}"
    if view.weight and made is not None and made.cursor is not None:
        y = float(made.cursor.y[0])
        text += f", smoothed {plain(10**y if view.log else y)}"
    letters = {line.rank: letter(place) for place, line in enumerate(trace.curve.outliers)}
    away = [(f" {letters[rank]} rank {rank} {plain(value)}", "$error") for rank, value in first.outliers]
    return [_words([(text, "bold")], [(brief, "bold")], rank=2), *_fewer(away if view.outliers else [], rank=3)]


def _reads(traces: Sequence[Trace], axis: Axis, x: float) -> list[tuple[Trace, Reading]]:
    """What each curve tells there: the first one at its nearest point, the others what was known of them by then."""
    first = next((read for trace in traces if (read := reading(trace.curve, axis, x)) is not None), None)
    found: list[tuple[Trace, Reading]] = []
    for trace in traces:
        read = (
            reading_before(trace.curve, axis, first.x) if found and first is not None else reading(trace.curve, axis, x)
        )
        if read is not None:
            found.append((trace, read))
    return found


def _fewer(parts: Sequence[Part], rank: int) -> list[Words]:
    """Parts of which the last ones are left out first."""
    return [_words([part], [], rank=rank) for part in parts]


def _legend(traces: Sequence[Trace], view: ChartView, ranks: int) -> list[Words]:
    parts: list[Words] = []
    if len(traces) == 1 and ranks > 1:
        line, band = ("  ── ", LINE_STYLES[0]), ("  ░ ", "$text-muted")
        parts.append(_words([line, f"median of {ranks} ranks", band, "min–max"], [line, "median"], [], rank=9))
    names = [line.rank for trace in traces for line in trace.curve.outliers]
    if names and not view.outliers:
        hidden = f"{counted(len(names), 'outlier')} hidden"
        parts.append(_words([("  o ", "$text-muted"), hidden], [], rank=7))
    elif view.cursor is None or len(traces) > 1:
        for place, rank in enumerate(names):
            sign = (f"  {letter(place)} ", "bold $error")
            parts.append(_words([sign, f"rank {rank}"], [], rank=7))
    return parts


def _marks(traces: Sequence[Trace]) -> list[Words]:
    parts: list[Words] = []
    if any(trace.curve.restarts for trace in traces):
        parts.append(_words([("  │ ", "$warning"), "restart"], [], rank=6))
    bad = next((trace.curve.bad for trace in traces if trace.curve.bad), ())
    if bad:
        rank, step = bad[0]
        there = {other for other, at in bad if at == step}
        who = f"{len(there)} ranks" if len(there) > 1 else f"rank {rank}"
        sign, since = ("  ✖ ", "bold $error"), f"NaN at step {step:,.0f}"
        parts.append(_words([sign, f"{since} ({who})"], [sign, since], [sign, "NaN"], rank=4))
    return parts


def _hints(view: ChartView, made: Drawing | None, newest: str) -> list[Words]:
    """How it is looked at, where that is not as at first: in a word where room is short, what was set last at last."""
    hints: list[tuple[str, str, str]] = []  # what of the view it is, in full, and in a word
    if view.axis is not Axis.STEP:
        hints.append(("axis", f"over {view.axis.value}", view.axis.value))
    if view.weight:
        hints.append(("level", f"smooth {view.weight:g}", "smooth"))
    if view.log:
        hidden = 0 if made is None else made.hidden
        left_out = f"{counted(hidden, 'point')} ≤ 0 left out"
        said = (f"log y ({left_out})", f"log ({hidden} ≤ 0 out)") if hidden else ("log y", "log")
        hints.append(("log", *said))
    if view.window is not None:
        zoom = f"zoom {x_text(view.axis, view.window[0])}–{x_text(view.axis, view.window[1])}"
        hints.append(("window", zoom, "zoom"))
    parts: list[Words] = []
    for name, *forms in hints:
        before = " · " if parts else "  "
        told = [[(f"{before}{form}", "$text-muted")] for form in forms]
        parts.append(_words(*told, rank=0 if name == newest else 5))
    return parts


def x_text(axis: Axis, x: float) -> str:
    """A place on the x axis."""
    if axis is Axis.TIME:
        return time_label(round(x) if abs(x) >= 10 else x)
    return count(x) if axis is Axis.STEP else compact(x)
