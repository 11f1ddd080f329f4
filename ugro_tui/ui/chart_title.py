"""The title of a chart: its legend, never over the data, what it is looked at like, and the values at the cursor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from textual.content import Content

from ugro_tui.core.chart_view import ChartView, reading
from ugro_tui.core.compared import SIGNS
from ugro_tui.core.curve import Axis
from ugro_tui.core.numbers import compact, count, loss_text, plain
from ugro_tui.core.text import visible
from ugro_tui.ui.strokes import Drawing, Trace, letter
from ugro_tui.ui.ticks import time_label

Part: TypeAlias = Content | str | tuple[str, str]

LINE_STYLES = ("$accent", "$success", "$primary", "$foreground")
"""The colours of the curves in a legend; the signs beside them say the same."""

_NAME_LENGTH = 40


def metric_title(traces: Sequence[Trace], view: ChartView, made: Drawing | None, *, brief: bool = False) -> Content:
    """The title of a chart of these curves; `made` is what is drawn of them."""
    if not traces:
        return Content("")
    parts: list[Part] = [(name_of(traces[0]), "bold"), "  "] if len(traces) == 1 else []
    parts += _readout(traces, view, made) if view.cursor is not None else _summary(traces)
    parts += [] if brief else _legend(traces, view, traces[0].curve.ranks)
    parts += [*_marks(traces), *_hints(view, made)]
    return Content.assemble(*parts)


def name_of(trace: Trace) -> str:
    """The name of a curve, short and harmless: it may come from a node."""
    return visible(trace.name, _NAME_LENGTH)


def _summary(traces: Sequence[Trace]) -> list[Part]:
    """The newest and the lowest value of each curve."""
    if len(traces) > 1:
        return _joined(
            [(f"{SIGNS[place]} {name_of(trace)}", LINE_STYLES[place % 4]), f" {_last(trace)}"]
            for place, trace in enumerate(traces)
        )
    (trace,) = traces
    return [f"last {_last(trace)}  min {plain(_least(trace))}"]


def _last(trace: Trace) -> str:
    return loss_text(trace.curve.last if math.isnan(trace.last) else trace.last, bad=trace.bad)


def _least(trace: Trace) -> float:
    return trace.curve.least if math.isnan(trace.least) else trace.least


def _joined(groups: Iterable[list[Part]]) -> list[Part]:
    parts: list[Part] = []
    for group in groups:
        parts += [*(["  "] if parts else []), *group]
    return parts


def _readout(traces: Sequence[Trace], view: ChartView, made: Drawing | None) -> list[Part]:
    """The values at the cursor."""
    x = 0.0 if view.cursor is None else view.cursor
    reads = [(trace, read) for trace in traces if (read := reading(trace.curve, view.axis, x)) is not None]
    if not reads:
        return []
    trace, first = reads[0]
    where = f"step {count(first.step)}"
    if view.axis is not Axis.STEP:
        where += f" at {x_text(view.axis, first.x)}"
    if len(traces) > 1:
        told = _joined(
            [
                (f"{SIGNS[traces.index(one)]} {name_of(one)}", LINE_STYLES[traces.index(one) % 4]),
                f" {plain(read.median)}",
            ]
            for one, read in reads
        )
        return [f"{where}: ", *told]
    several = trace.curve.ranks > 1
    text = f"{where}: {'median ' if several else ''}{plain(first.median)}"
    if first.high > first.low:
        text += f", {plain(first.low)}–{plain(first.high)}"
    if view.weight and made is not None and made.cursor is not None:
        y = float(made.cursor.y[0])
        text += f", smoothed {plain(10**y if view.log else y)}"
    letters = {line.rank: letter(place) for place, line in enumerate(trace.curve.outliers)}
    away = [(f" {letters[rank]} rank {rank} {plain(value)}", "$error") for rank, value in first.outliers]
    return [(text, "bold"), *(away if view.outliers else [])]


def _legend(traces: Sequence[Trace], view: ChartView, ranks: int) -> list[Part]:
    parts: list[Part] = []
    if len(traces) == 1 and ranks > 1:
        parts += [("  ── ", LINE_STYLES[0]), f"median of {ranks} ranks", ("  ░ ", "$text-muted"), "min–max"]
    names = [line.rank for trace in traces for line in trace.curve.outliers]
    if names and not view.outliers:
        parts += [("  o ", "$text-muted"), f"{len(names)} outlier{'s' if len(names) > 1 else ''} hidden"]
    elif view.cursor is None or len(traces) > 1:
        for place, rank in enumerate(names):
            parts += [(f"  {letter(place)} ", "bold $error"), f"rank {rank}"]
    return parts


def _marks(traces: Sequence[Trace]) -> list[Part]:
    parts: list[Part] = []
    if any(trace.curve.restarts for trace in traces):
        parts += [("  │ ", "$warning"), "restart"]
    bad = next((trace.curve.bad for trace in traces if trace.curve.bad), ())
    if bad:
        rank, step = bad[0]
        there = {other for other, at in bad if at == step}
        who = f"{len(there)} ranks" if len(there) > 1 else f"rank {rank}"
        parts += [("  ✖ ", "bold $error"), f"NaN at step {step:,.0f} ({who})"]
    return parts


def _hints(view: ChartView, made: Drawing | None) -> list[Part]:
    """How it is looked at, where that is not as at first."""
    hints: list[str] = []
    if view.axis is not Axis.STEP:
        hints.append(f"over {view.axis.value}")
    if view.weight:
        hints.append(f"smooth {view.weight:g}")
    if view.log:
        hidden = 0 if made is None else made.hidden
        hints.append("log y" + (f" ({hidden} points ≤ 0 left out)" if hidden else ""))
    if view.window is not None:
        hints.append(f"zoom {x_text(view.axis, view.window[0])}–{x_text(view.axis, view.window[1])}")
    return [(f"  {' · '.join(hints)}", "$text-muted")] if hints else []


def x_text(axis: Axis, x: float) -> str:
    """A place on the x axis."""
    if axis is Axis.TIME:
        return time_label(round(x) if abs(x) >= 10 else x)
    return count(x) if axis is Axis.STEP else compact(x)
