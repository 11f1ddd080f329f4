"""The GPUs of a job's ranks: busy enough, cool enough, whole. What a rank does not tell is not judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.columns import Beat, Column, Throttle
from ugro_tui.core.rank import Rank
from ugro_tui.core.rules.latch import Floats, LastKnown, Latch, Mask
from ugro_tui.core.rules.look import Look, alert, each, worst_of
from ugro_tui.core.rules.samples import Samples, share_of

_THERMAL = Throttle.SW_THERMAL_SLOWDOWN | Throttle.HW_THERMAL_SLOWDOWN | Throttle.HW_SLOWDOWN
_HARDWARE = Throttle.HW_THERMAL_SLOWDOWN | Throttle.HW_SLOWDOWN
_COOLER = 3.0
"""Degrees below the limit that clear the temperature alert."""

_CALM_MEMORY = 0.02
"""Share of the memory below the threshold that clears the trend."""

_RISE = 0.001
"""Share of the memory that counts as rising: an allocator at rest does not move at all."""


def _latest(look: Look, column: Column) -> Floats:
    values: Floats = look.job.table.latest[: len(look.states), column]
    return values


def _found(
    look: Look, latch: Latch, firing: Mask, badness: Floats, make: Callable[[Rank, int, float], Alert]
) -> Iterator[Alert]:
    """The alerts of the rows that fire; `make` gets a rank, how many it speaks for, and its age."""
    ranks = worst_of(look, firing, badness)
    yield from each(ranks, lambda rank, count: make(rank, count, look.until - float(latch.fired_at[rank.row])))


class Underused:
    """A GPU that waits for work, by its mean over a minute."""

    def __init__(self) -> None:
        self._latch, self._known = Latch(), LastKnown()
        self._samples = Samples(2.0, 64)

    def judge(self, look: Look) -> Iterator[Alert]:
        """Which GPUs have too little to do."""
        numbers = look.thresholds["gpu_underused"]
        judged = look.stepping & ~np.isnan(_latest(look, Column.STEP))
        util = np.where(judged, _latest(look, Column.GPU_UTIL), np.nan)
        self._samples.add(look.now, util)
        _, values = self._samples.since(look.now - numbers["seconds"])
        mean = np.full(len(util), np.nan)
        if self._samples.begun <= look.now - 0.95 * numbers["seconds"] and len(values) > 2:
            mean[: values.shape[1]] = values.mean(axis=0)  # NaN where a sample is missing: not judged
        mean[np.isnan(util)] = np.nan
        hold = (mean <= numbers["clear"]) | (judged & np.isnan(mean))
        firing = self._latch.update(mean < numbers["threshold"], hold, look.now)
        mean = self._known.take(mean)
        yield from _found(look, self._latch, firing, -mean, lambda rank, ranks, age: alert(
            "gpu_underused", rank,
            f"{mean[rank.row]:.0f} % busy over {numbers['seconds']:.0f} s (threshold {numbers['threshold']:.0f} %)",
            age, ranks=ranks, value=float(mean[rank.row]), threshold=numbers["threshold"],
        ))  # fmt: skip


class Throttled:
    """Clocks held back by heat, or by the power supply."""

    def __init__(self) -> None:
        self._heat, self._brake = Latch(), Latch()

    def judge(self, look: Look) -> Iterator[Alert]:
        """Which GPUs are held back."""
        told = np.where(look.living, _latest(look, Column.GPU_THROTTLE), np.nan)
        reasons = np.nan_to_num(told).astype(np.int64)
        table, rows = look.job.table, len(look.states)
        sample = np.where(np.isnan(told), np.nan, np.fmax(table.write_at[:rows], table.beat_at[:rows]))
        heat = self._heat.count(
            (reasons & _THERMAL) > 0, sample, look.now, look.thresholds["thermal_throttle"]["samples"]
        )
        brake = self._brake.count(
            (reasons & Throttle.HW_POWER_BRAKE_SLOWDOWN) > 0,
            sample,
            look.now,
            look.thresholds["power_brake"]["samples"],
        )
        hard = (reasons & _HARDWARE).astype(float)
        yield from _found(look, self._heat, heat, hard, lambda rank, ranks, age: alert(
            "thermal_throttle", rank,
            f"clocks held back: {_names(int(reasons[rank.row]) & _THERMAL)}{_degrees(look, rank)}", age, ranks=ranks,
            severity=Severity.CRIT if hard[rank.row] else Severity.WARN,
        ))  # fmt: skip
        yield from _found(look, self._brake, brake, hard, lambda rank, ranks, age: alert(
            "power_brake", rank, "the power supply or its cabling has told the GPU to slow down", age, ranks=ranks,
        ))  # fmt: skip


def _names(mask: int) -> str:
    return ", ".join(reason.name.lower() for reason in Throttle if mask & reason and reason.name)


def _degrees(look: Look, rank: Rank) -> str:
    temp = _latest(look, Column.GPU_TEMP)[rank.row]
    return "" if np.isnan(temp) else f" at {temp:.0f} °C"


class Heat:
    """A GPU near the temperature at which it slows down."""

    def __init__(self) -> None:
        self._latch, self._known = Latch(), LastKnown()

    def judge(self, look: Look) -> Iterator[Alert]:
        """Which GPUs are too hot."""
        numbers = look.thresholds["temperature"]
        temp = np.where(look.living, _latest(look, Column.GPU_TEMP), np.nan)
        slowdown = look.job.table.beats[: len(temp), Beat.TEMP_SLOWDOWN]
        limit = np.where(np.isnan(slowdown), numbers["celsius"], slowdown - numbers["margin"])
        hold = (temp > limit - _COOLER) | (look.living & np.isnan(temp))
        firing = self._latch.update(temp >= limit, hold, look.now, numbers["seconds"])
        temp = self._known.take(temp)
        yield from _found(look, self._latch, firing, temp - limit, lambda rank, ranks, age: alert(
            "temperature", rank, f"{temp[rank.row]:.0f} °C (limit {limit[rank.row]:.0f} °C)", age, ranks=ranks,
            value=float(temp[rank.row]), threshold=float(limit[rank.row]),
        ))  # fmt: skip


class Broken:
    """Memory errors, latched for the attempt, as such a GPU does not mend itself; and GPUs that are gone."""

    def __init__(self) -> None:
        self._ecc, self._lost = Latch(), Latch()
        self._first, self._worst = np.empty(0), np.empty(0)
        self._attempt = 0

    def judge(self, look: Look) -> Iterator[Alert]:
        """Which GPUs are broken."""
        ecc, beats = _latest(look, Column.GPU_ECC), look.job.table.beats[: len(look.states)]
        if look.job.attempt != self._attempt:
            self._attempt, self._first, self._worst = look.job.attempt, np.empty(0), np.empty(0)
            self._ecc = Latch()
        unknown = np.full(len(ecc) - len(self._first), np.nan)
        self._first, self._worst = np.append(self._first, unknown), np.append(self._worst, unknown)
        self._first = np.where(np.isnan(self._first), ecc, self._first)
        more = np.where(beats[:, Beat.REMAP_FAILED] > 0, np.inf, ecc - self._first)
        worst = self._worst = np.fmax(self._worst, more)
        firing = self._ecc.update(look.current & (worst > 0), look.current, look.now)
        yield from _found(look, self._ecc, firing, worst, lambda rank, ranks, age: alert(
            "ecc", rank, _memory(float(worst[rank.row])), age, ranks=ranks, value=float(worst[rank.row]),
        ))  # fmt: skip
        lost = look.current & (beats[:, Beat.LOST] > 0)
        firing = self._lost.update(lost, lost, look.now)
        yield from _found(look, self._lost, firing, np.zeros(len(lost)), lambda rank, ranks, age: alert(
            "gpu_lost", rank, "the driver has lost the GPU (NVML: GPU is lost)", age, ranks=ranks,
        ))  # fmt: skip


def _memory(more: float) -> str:
    if math.isinf(more):
        return "the GPU could not remap rows of its memory that are broken"
    return f"{more:,.0f} uncorrected memory errors since the attempt began"


class MemoryTrend:
    """GPU memory that is nearly full and goes on growing."""

    def __init__(self) -> None:
        self._latch, self._known = Latch(), LastKnown()
        self._samples = Samples(15.0, 9)

    def judge(self, look: Look) -> Iterator[Alert]:
        """Which GPUs will soon be full."""
        limit = look.thresholds["gpu_memory_trend"]["threshold"]
        share = share_of(_latest(look, Column.GPU_MEM_USED), _latest(look, Column.GPU_MEM_TOTAL))
        share = np.where(look.living, share, np.nan)
        self._samples.add(look.now, share)
        _, values = self._samples.since(-np.inf)
        rise = np.full(len(share), np.nan)
        if len(values) >= 6:
            half = len(values) // 2
            rise[: values.shape[1]] = values[-half:].min(axis=0) - values[:half].min(axis=0)
        rising, unknown = rise > _RISE, look.living & np.isnan(share + rise)
        firing = self._latch.update(
            (share > limit) & rising, ((share > limit - _CALM_MEMORY) & rising) | unknown, look.now
        )
        share = self._known.take(share)
        yield from _found(look, self._latch, firing, share, lambda rank, ranks, age: alert(
            "gpu_memory_trend", rank, f"{100 * share[rank.row]:.1f} % of the GPU's memory in use, and rising", age,
            ranks=ranks, value=float(share[rank.row]), threshold=limit,
        ))  # fmt: skip
