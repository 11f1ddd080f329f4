"""Which curves the chart of a job shows: its loss beside its validation loss, or another metric, from its files."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ugro_tui.core.archive import Finding, Lines, MetricLines
from ugro_tui.core.curve import Curve, curve_of
from ugro_tui.core.metric_names import OWN, record_path, validation_loss
from ugro_tui.core.ports import Archive
from ugro_tui.core.snapshot import JobView
from ugro_tui.ui.metric_chart import NOTHING
from ugro_tui.ui.strokes import Trace

LOSS = "loss"


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Lines as they were read, up to which step they are `told`, and the curve of that."""

    lines: Lines
    step: float
    told: Lines
    curve: Curve


def drawn(before: Drawn | None, lines: Lines, view: JobView, rank: int | None = None) -> Drawn:
    """What of `lines` is drawn beside `view`, of a rank or of all; `before`, where that is the same.

    Files may be a record ahead of the picture: what it does not tell yet is left out, or the newest value above a chart
    would be another one than in the table. Event files count steps as they like: of them all is told.
    """
    begin = view.curve.begin
    step = math.inf if record_path(lines.metric) is None else view.known_to(rank)
    same = before is not None and before.lines is lines and before.step == step
    if before is not None and same and (before.curve.begin == begin or math.isnan(begin)):
        return before  # all curves of a job count the time from the same moment, also what was first told later
    told = before.told if before is not None and same else lines.until(step)
    return Drawn(lines, step, told, curve_of(told, begin=begin))


class JobCurves:
    """The curves of one metric of a job. The loss comes with every picture; what else is drawn is read from files."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._made: dict[tuple[str, str], Drawn] = {}
        self.metric = LOSS

    def traces(self, view: JobView, *, zoomed: bool, validation: bool = True) -> tuple[list[Trace], str]:
        """The curves, and what is said where there is no point of them.

        `zoomed`: a part of them is looked at. `validation`: with the loss that was validated, which is read from files.
        """
        if self.metric != LOSS:
            found = self._archive.look(MetricLines(view.job_id, self.metric))
            return self._read(view, self.metric, found), self._note(found)
        lines = self._archive.look(MetricLines(view.job_id, LOSS)).content if zoomed else None
        loss = Trace("Loss", view.curve, lines, view.summary.ends)
        return [loss, *(self._validation(view) if validation else ())], "no loss recorded yet"

    def _validation(self, view: JobView) -> list[Trace]:
        name = validation_loss(view.metrics)
        if name is None:
            return []
        metric = f"{OWN}{name}"
        return self._read(view, metric, self._archive.look(MetricLines(view.job_id, metric)))

    def _read(self, view: JobView, metric: str, found: Finding[Lines]) -> list[Trace]:
        lines, key = found.content, (view.job_id, metric)
        if lines is None or not lines.lines:
            return []
        made = self._made[key] = drawn(self._made.get(key), lines, view)
        for old in list(self._made)[:-4]:
            del self._made[old]
        return [Trace(metric.removeprefix(OWN), made.curve, made.told)]

    def _note(self, found: Finding[Lines]) -> str:
        if found.loading:
            return f"reading {self.metric} …"
        return found.problem or f"{self.metric}: {NOTHING}"
