"""The curves of one rank's chart: a metric of the rank, beside the median of its job."""

from __future__ import annotations

from dataclasses import replace

from ugro_tui.core.archive import MetricLines
from ugro_tui.core.metric_names import OWN
from ugro_tui.core.ports import Archive
from ugro_tui.core.snapshot import JobView
from ugro_tui.ui.job_curves import LOSS, Drawn, JobCurves, drawn
from ugro_tui.ui.strokes import Trace


class RankCurves:
    """The rank's own line, drawn over the other, is read from its files: they hold all of it. `metric` may be set."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._job = JobCurves(archive)
        self._made: Drawn | None = None
        self.metric = LOSS

    def traces(self, view: JobView, rank: int) -> tuple[list[Trace], str]:
        """The curves, and why that of the rank is not among them, if it is not."""
        self._job.metric = self.metric
        found = self._archive.look(MetricLines(view.job_id, self.metric, rank))
        job, _ = self._job.traces(view, zoomed=False)
        others = [replace(trace, name=_whose(trace, rank)) for trace in job[:1] if len(trace.curve.steps)]
        lines = found.content
        if lines is None or not lines.lines:
            none = f"rank {rank} has recorded no {self.title}"
            return others, found.problem or (f"reading that of rank {rank} …" if found.loading else none)
        self._made = drawn(self._made, lines, view, rank)
        own = Trace(f"rank {rank}", self._made.curve, self._made.told)
        return [*(trace for trace in others if trace.name != own.name), own], found.problem

    @property
    def title(self) -> str:
        """The metric as people read it."""
        return self.metric.removeprefix(OWN)


def _whose(trace: Trace, rank: int) -> str:
    """Of which ranks it speaks; where but one has told it, which: a job of one rank has `rank` alone."""
    if trace.curve.ranks > 1:
        return f"all {trace.curve.ranks} ranks"
    return f"rank {trace.lines.lines[0].rank if trace.lines is not None and trace.lines.lines else rank}"
