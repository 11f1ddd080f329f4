"""How long each phase takes on each rank, against what is usual for it: what a heatmap shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.archive import Floats
from ugro_tui.core.columns import PHASE_FIELDS, Column
from ugro_tui.core.numbers import phase_time
from ugro_tui.core.snapshot import RankColumns
from ugro_tui.core.sorting import medians

_FIRST: Final = int(Column.DATA)

STANDS_OUT: Final = 1.25
"""Times the usual from which on a phase is named."""

FEW: Final = 16
"""Ranks up to which one of them moves the median: its own time is left out there."""

WAIT: Final = "sync_wait"
"""The phase in which more is nothing of the rank's own: the slow one waits least."""

LEAST_SHARE: Final = 0.02
"""Of a usual step: a phase that takes less is measured against this much, or its noise would glow."""


@dataclass(frozen=True, slots=True, eq=False)
class PhaseHeat:
    """Phases of groups of ranks. `seconds` and `times` (the usual) have shape `[groups, phases]`, NaN if unknown.

    Of a group they are those of its slowest rank in that phase. `groups` are (first, last) rank numbers. `worst` says
    in one sentence what takes longest against the usual; empty where nothing is known.
    """

    phases: tuple[str, ...]
    groups: tuple[tuple[int, int], ...]
    seconds: Floats
    times: Floats
    worst: str


def phase_heat(ranks: RankColumns, lines: int) -> PhaseHeat:
    """The phases of `ranks` in at most `lines` groups of neighbours."""
    seconds = ranks.latest[:, _FIRST : _FIRST + len(PHASE_FIELDS)]
    seconds = np.where(np.isfinite(seconds), seconds, np.nan)
    told = np.flatnonzero(np.isfinite(seconds).any(axis=0))
    seconds, names = seconds[:, told], tuple(PHASE_FIELDS[phase] for phase in told)
    if not names:
        return PhaseHeat((), (), seconds, seconds, "")
    usual = _usual(seconds)
    least = LEAST_SHARE * np.nansum(usual, axis=1, keepdims=True)
    times = seconds / np.maximum(usual, np.maximum(least, 1e-12))
    waits = [place for place, name in enumerate(names) if name == WAIT]
    times[:, waits] = np.minimum(times[:, waits], 1.0)  # who waits longest is held up by others
    size = -(-len(ranks) // max(1, lines))
    starts = np.arange(0, len(ranks), size)
    ends = np.minimum(starts + size, len(ranks)) - 1
    groups = tuple((int(ranks.rank[first]), int(ranks.rank[last])) for first, last in zip(starts, ends, strict=True))
    return PhaseHeat(
        names, groups, _greatest(seconds, starts), _greatest(times, starts), _worst(ranks, names, seconds, times, usual)
    )


def _usual(seconds: Floats) -> Floats:
    """For each rank and phase the median of the others, as a verdict on a straggler has it; of many that of all.

    Where no other tells it, it is the rank's own.
    """
    if not 1 < len(seconds) <= FEW:
        return np.repeat(medians(seconds)[None], len(seconds), axis=0)
    others = np.stack([medians(np.delete(seconds, rank, axis=0)) for rank in range(len(seconds))])
    return np.where(np.isnan(others), seconds, others)


def _greatest(values: Floats, starts: npt.NDArray[np.intp]) -> Floats:
    found: Floats = np.fmax.reduceat(values, starts, axis=0)
    return found


def _worst(ranks: RankColumns, names: tuple[str, ...], seconds: Floats, times: Floats, usual: Floats) -> str:
    rank, phase = np.unravel_index(int(np.nanargmax(times)), times.shape)
    if times[rank, phase] < STANDS_OUT:
        return "no phase of a rank stands out"
    took, median = phase_time(float(seconds[rank, phase])), phase_time(float(usual[rank, phase]))
    return f"rank {ranks.rank[rank]} {names[phase]} {took}, median {median}"
