"""Which curves the chart of a job shows: its loss beside its validation loss, or another metric, from its files."""

from __future__ import annotations

import math

from ugro_tui.core.archive import Finding, Lines, MetricLines
from ugro_tui.core.curve import Curve, curve_of
from ugro_tui.core.metric_names import OWN, validation_loss
from ugro_tui.core.ports import Archive
from ugro_tui.core.snapshot import JobView
from ugro_tui.ui.metric_chart import NOTHING
from ugro_tui.ui.strokes import Trace

LOSS = "loss"


class JobCurves:
    """The curves of one metric of a job. The loss comes with every picture; what else is drawn is read from files."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._made: dict[tuple[str, str], tuple[Lines, Curve]] = {}
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
        lines, job, begin = found.content, view.job_id, view.curve.begin
        if lines is None or not lines.lines:
            return []
        made = self._made.get((job, metric))
        if made is None or made[0] is not lines or not (made[1].begin == begin or math.isnan(begin)):
            # All curves of a job count the time from the same moment, also what was first told later.
            made = self._made[job, metric] = (lines, curve_of(lines, begin=begin))
            for old in list(self._made)[:-4]:
                del self._made[old]
        return [Trace(metric.removeprefix(OWN), made[1], lines)]

    def _note(self, found: Finding[Lines]) -> str:
        if found.loading:
            return f"reading {self.metric} …"
        return found.problem or f"{self.metric}: {NOTHING}"
