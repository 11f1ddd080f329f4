"""The machines that a job's ranks run on, as their heartbeats tell: memory, disk, and lines that were lost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.columns import Beat
from ugro_tui.core.numbers import duration, gibibytes
from ugro_tui.core.rank import Rank
from ugro_tui.core.rules.latch import Floats, LastKnown, Latch
from ugro_tui.core.rules.look import Look, about_node, alert, each, worst_of
from ugro_tui.core.rules.samples import Samples, share_of
from ugro_tui.core.rules.slope import resistant_slope

HOUR: Final = 3_600.0
FEWEST_LINES: Final = 10
"""Lines that are missed before a share of them says anything: each process that is killed may leave half a line."""

DISK_MINUTES: Final = 10.0
"""Minutes of data before a disk's slope is believed."""


class Leaks:
    """A process whose memory will not last."""

    def __init__(self) -> None:
        self._latch, self._known, self._known_rss = Latch(), LastKnown(), LastKnown()
        self._samples = Samples(60.0, 90)
        self._left: Floats = np.empty(0)

    def judge(self, look: Look) -> Iterator[Alert]:
        """Which ranks' processes grow until the memory is full."""
        numbers = look.thresholds["host_memory_leak"]
        beats = look.job.table.beats[: len(look.states)]
        rss = np.where(look.living, beats[:, Beat.RSS], np.nan)
        if self._samples.add(look.now, rss):
            self._left = self._seconds_left(beats, numbers["share"], numbers["minutes"] * 60)
        left = np.concatenate([self._left, np.full(len(rss) - len(self._left), np.nan)])
        breach = look.living & (left < numbers["hours"] * HOUR)
        firing = self._latch.update(breach, breach | (look.living & np.isnan(left)), look.now)
        left, rss = self._known.take(left), self._known_rss.take(rss)
        if firing.any():
            yield from each(worst_of(look, firing, -left), lambda rank, ranks: alert(
                "host_memory_leak", rank,
                f"{gibibytes(float(rss[rank.row]))} of RAM, and at its slope the memory is full in "
                f"{duration(float(left[rank.row]))}",
                look.now - float(self._latch.fired_at[rank.row]), ranks=ranks, value=float(left[rank.row]),
                threshold=numbers["hours"] * HOUR,
            ))  # fmt: skip

    def _seconds_left(self, beats: Floats, share: float, least: float) -> Floats:
        """Seconds until a process alone fills `share` of the RAM; infinite where it does not grow, NaN: not known."""
        times, values = self._samples.since(-math.inf)
        if not len(times) or times[-1] - times[0] < least:
            return np.empty(0)
        slope = resistant_slope(times - times[0], values)
        room = share * beats[:, Beat.RAM] - beats[:, Beat.RSS]
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.where(slope > 0, np.maximum(room, 0.0) / slope, np.where(np.isnan(slope), np.nan, np.inf))
        return np.where(beats[:, Beat.RAM] > 0, left, np.nan)


class Disks:
    """Disks of the jobs' folders: one alert a node."""

    def __init__(self) -> None:
        self._latch = Latch()
        self._samples = Samples(60.0, 60)

    def judge(self, look: Look) -> Iterator[Alert]:
        """Which nodes' disks fill."""
        rows = len(look.states)
        beats = look.job.table.beats[:rows]
        free = np.where(look.living, beats[:, Beat.DISK_FREE], np.nan)
        self._samples.add(look.now, free)
        times, values = self._samples.since(-math.inf)
        slope = np.full(rows, np.nan)
        if len(times) and times[-1] - times[0] >= DISK_MINUTES * 60:
            slope[: values.shape[1]] = resistant_slope(times - times[0], values)
        share = share_of(free, beats[:, Beat.DISK_TOTAL])
        numbers = dict(look.thresholds["disk_filling"])
        low = disk_low(share, free, slope, numbers)
        holds = disk_low(share, free, slope, numbers | {"hours": 2 * numbers["hours"]})
        firing = self._latch.update(low > 0, holds > 0, look.now)
        seen: set[str] = set()
        for rank in worst_of(look, firing, -share) if firing.any() else ():
            if rank.node not in seen:
                seen.add(rank.node)
                age = look.now - float(self._latch.fired_at[rank.row])
                what = disk_sentence(share[rank.row], free[rank.row], slope[rank.row])
                severity = Severity.CRIT if low[rank.row] > 1 else Severity.WARN
                yield about_node("disk_filling", rank.node, what, age, severity=severity, value=float(share[rank.row]))


def disk_low(share: Floats, free: Floats, slope: Floats, numbers: dict[str, float]) -> Floats:
    """0 well, 1 to warn of, 2 critical, for each disk: `share` and `free` (bytes) are free, `slope` in bytes/s."""
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(slope < 0, free / -slope, np.inf)
    warn = (share < numbers["warn"]) & (left < numbers["hours"] * HOUR)
    return np.where(share < numbers["crit"], 2.0, np.where(warn, 1.0, 0.0))


def disk_sentence(share: float, free: float, slope: float) -> str:
    """How full a disk is, and when it will be full."""
    left = f", full in {duration(free / -slope)}" if slope < 0 else ""
    return f"{100 * share:.1f} % free ({gibibytes(float(free))}){left}"


class Lines:
    """Lines that are no record, and records that never came."""

    def judge(self, look: Look) -> Iterator[Alert]:
        """One alert for the job; it names the rank with the most."""
        rows = look.job.current_rows()
        missing = look.job.table.missing[rows]
        if not missing.any():
            return
        total, bad = int(missing.sum()), int((missing > 0).sum())
        records = sum(rank.lines + rank.lost for rank in look.job.current())
        worst = look.job.table.by_row[int(rows[missing.argmax()])]
        share = total / max(1, records)
        limit = look.thresholds["lines_skipped"]["warn"]
        yield alert(
            "lines_skipped", worst, _said(worst, total, records), 0.0, ranks=bad, value=share, threshold=limit,
            severity=Severity.WARN if share > limit and total >= FEWEST_LINES else Severity.INFO,
        )  # fmt: skip


def _said(worst: Rank, total: int, records: int) -> str:
    here = worst.skipped + worst.lost
    share = f"{100 * total / max(1, records):.2g} %"
    return f"missing or no record: {total:,} of {records:,} lines ({share}), {here:,} of this rank"
