"""One metric of a whole run as one chart: median and band over the ranks, binned by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Final

import numpy as np

from ugro_tui.core.archive import Floats, Line, Lines
from ugro_tui.core.binning import Binned, binned, cut, median_of
from ugro_tui.core.columns import Column
from ugro_tui.core.ends import Ends
from ugro_tui.core.outliers import outliers
from ugro_tui.core.rank import Rank
from ugro_tui.core.sample import MAX_SAMPLE, sample

BINS: Final = 400
"""Points of a curve: two per column of the widest chart that a terminal shows."""

MAX_MARKS: Final = 100
"""Steps that are marked of one rank, and ranks of which any is."""


class Axis(Enum):
    """What a curve is drawn over."""

    STEP = "step"
    TIME = "time"
    TOKENS = "tokens"

    @property
    def words(self) -> str:
        """What it counts."""
        return {"step": "steps", "time": "times", "tokens": "tokens"}[self.value]


@dataclass(frozen=True, slots=True)
class OutlierLine:
    """A rank far outside the others: its values at the points of the curve, NaN where it has none."""

    rank: int
    values: Floats


def _nothing() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric over steps. Arrays have shape `[points]`; `steps` ascend, `median`, `low` and `high` are finite.

    `bad` are (rank, step) of non-finite records, `restarts` the steps to which the run went back. `time`: seconds since
    `begin` (Unix seconds, the first record), `tokens`: seen so far, both NaN where not told, or empty. `ends`: what
    it came to, where that is not told by a summary. `ranks`: for how many it speaks.
    """

    steps: Floats
    median: Floats
    low: Floats
    high: Floats
    bad: tuple[tuple[int, float], ...] = ()
    restarts: tuple[float, ...] = ()
    time: Floats = field(default_factory=_nothing)
    tokens: Floats = field(default_factory=_nothing)
    outliers: tuple[OutlierLine, ...] = ()
    ends: Ends = field(default_factory=Ends)
    ranks: int = 0
    begin: float = np.nan

    def x(self, axis: Axis) -> Floats:
        """Where the points lie on `axis`, shape `[points]`; NaN where that is not known."""
        along = {Axis.STEP: self.steps, Axis.TIME: self.time, Axis.TOKENS: self.tokens}[axis]
        return along if len(along) == len(self.steps) else np.full(len(self.steps), np.nan)

    def has(self, axis: Axis) -> bool:
        """Whether at least one point lies on `axis`."""
        return bool(np.isfinite(self.x(axis)).any())


EMPTY = Curve(np.empty(0), np.empty(0), np.empty(0), np.empty(0))


def loss_curve(ranks: Sequence[Rank], bins: int = BINS) -> Curve:
    """The loss curve over `ranks` in at most `bins` + 1 points; what it came to is told by `JobSummary`."""
    chosen = sample(ranks, MAX_SAMPLE)
    lines = [_loss_line(rank) for rank in chosen if len(rank.series)]
    if not lines:
        return EMPTY
    marks = _marks((rank.rank, _bad_steps(rank)) for rank in ranks if rank.series.has_bad)
    restarts = tuple(sorted({rewind.step for rank in chosen for rewind in rank.series.rewinds}))[:MAX_MARKS]
    return _curve(binned(lines, bins), lines, marks, restarts, ends=Ends(ranks=len(ranks)), begin=_begin(lines))


def curve_of(lines: Lines, bins: int = BINS, window: tuple[float, float] | None = None, begin: float = np.nan) -> Curve:
    """The curve of any metric in at most `bins` + 1 points; `window`: of these steps alone, and so in more detail.

    `begin` (Unix seconds) is where its time is 0; NaN: at the first record.
    """
    shown = lines.lines if window is None else [cut(line, *window) for line in lines.lines]
    points = binned(shown, bins)
    odd = shown if points is None else [shown[row] for row in points.odd]
    marks = _marks((line.rank, line.step[~np.isfinite(line.value)]) for line in odd)
    ends = _ends(points, shown, lines.ranks)
    return _curve(points, shown, marks, ends=ends, begin=_begin(lines.lines) if np.isnan(begin) else begin)


def _loss_line(rank: Rank) -> Line:
    rows = rank.series.rows
    columns = (rows[:, column] for column in (Column.STEP, Column.TS, Column.TOKENS, Column.LOSS))
    return Line(rank.rank, *columns)


def _bad_steps(rank: Rank) -> Floats:
    rows = rank.series.rows
    steps: Floats = rows[rows[:, Column.BAD] > 0, Column.STEP]
    return steps


def _marks(found: Iterable[tuple[int, Floats]]) -> tuple[tuple[int, float], ...]:
    """Of the non-finite steps of each rank the first, the newest, and as many between them as there is room for."""
    ranks = [(rank, steps) for rank, steps in islice(found, MAX_MARKS) if len(steps)]
    most = max(2, MAX_MARKS // max(1, len(ranks)))
    return tuple((rank, float(step)) for rank, steps in ranks for step in _spread(steps, most))


def _spread(steps: Floats, most: int) -> Floats:
    if len(steps) <= most:
        return steps
    chosen: Floats = steps[np.linspace(0, len(steps) - 1, most).astype(np.intp)]
    return chosen


def _curve(
    points: Binned | None,
    lines: Sequence[Line],
    bad: tuple[tuple[int, float], ...],
    restarts: tuple[float, ...] = (),
    *,
    ends: Ends,
    begin: float,
) -> Curve:
    if points is None:
        return Curve(EMPTY.steps, EMPTY.median, EMPTY.low, EMPTY.high, bad, restarts, ends=ends, ranks=ends.ranks)
    median = median_of(points.means)
    return Curve(
        points.step, median, points.low, points.high, bad, restarts,
        time=_onward(points.time - begin),
        tokens=_onward(points.tokens),
        outliers=tuple(OutlierLine(lines[row].rank, points.means[row]) for row in outliers(points.means, median)),
        ends=ends, ranks=ends.ranks, begin=begin,
    )  # fmt: skip


def _ends(points: Binned | None, lines: Sequence[Line], ranks: int) -> Ends:
    """What the lines came to: where one is no number at its end, no mean is made."""
    if points is None:
        return Ends(ranks=ranks, bad=any(len(line.value) for line in lines))
    bad = any(not np.isfinite(lines[row].value[-1]) for row in points.odd)
    row = int(np.nanargmin(points.least))
    last = np.nan if bad else float(np.nanmean(points.newest))
    return Ends(last, float(points.least[row]), lines[row].rank, ranks, bad)


def _begin(lines: Sequence[Line]) -> float:
    """The time of the first record, NaN where none tells it."""
    firsts = [told for line in lines if not np.isnan(told := _first(line.time))]
    return float(min(firsts, default=np.nan))


def _first(values: Floats) -> float:
    """The first of `values` that is known: nearly always it is the first of all."""
    if len(values) and np.isnan(values[0]):
        values = values[~np.isnan(values)]
    return float(values[0]) if len(values) else np.nan


def _onward(values: Floats) -> Floats:
    """`values` without steps back: a clock may be set, and a restarted run may count its tokens anew."""
    return np.where(np.isnan(values), np.nan, np.fmax.accumulate(values))
