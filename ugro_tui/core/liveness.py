"""Which state each rank is in, judged from ages by one clock: pure, over columns.

Every age is the collector's monotonic time since something was last written, corrected by the age that the node's own
clock gave it; the clocks of two machines are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ugro_tui.core.columns import Column
from ugro_tui.core.ranks import RankTable
from ugro_tui.core.records import Matrix
from ugro_tui.core.states import STEPPING, Ended, ProcessState, RankState


@dataclass(frozen=True, slots=True)
class StallLimit:
    """A rank is stalled without a step for so many seconds, or usual intervals between records (NVRx: factor 5)."""

    seconds: float = 15.0
    intervals: float = 5.0


WARM_UP_SECONDS: Final = 120.0
"""Before the second record, when no interval is known, a step may take this long: compilation, first batches."""

SILENT_SECONDS: Final = 15.0
"""A heartbeat is due every 2 s. Seven missed: the process is frozen, gone, or cannot write."""

GONE_SECONDS: Final = 60.0
"""Thirty missed heartbeats and no `end`: a process that its node does not tell of is taken for dead."""

FORGOTTEN_SECONDS: Final = 3_600.0
"""A writer without heartbeats, silent for so long (and for twice its stall limit): nothing tells what it does."""

LIVING: Final = (RankState.RUNNING, RankState.SLOW, RankState.STALLED, RankState.HUNG)

_ENDED: Final = (RankState.DEAD, RankState.FINISHED, RankState.STOPPED)

_OVER: Final = [int(state) for state in ProcessState if state.over]

States: TypeAlias = npt.NDArray[np.int8]


def step_ages(table: RankTable, now: float) -> npt.NDArray[np.float64]:
    """Seconds since each rank's last step (before the first: since its start), shape `[ranks]`."""
    return np.maximum(0.0, now - table.step_at[: len(table)])


def write_ages(table: RankTable, now: float) -> npt.NDArray[np.float64]:
    """Seconds since each rank's emitter last wrote anything, shape `[ranks]`."""
    rows = len(table)
    return np.maximum(0.0, now - np.fmax(table.write_at[:rows], table.beat_at[:rows]))


def ended_ages(table: RankTable, states: States, now: float) -> npt.NDArray[np.float64]:
    """Seconds since each rank ended, as far as it told: since it last wrote; NaN of one that has not, `[ranks]`."""
    return np.where(np.isin(states, _ENDED), write_ages(table, now), np.nan)


def newest_values(table: RankTable, states: States) -> Matrix:
    """The newest values of each rank, shape `[ranks, WIDTH]`. Throughput is of now: who does not step has none."""
    values = table.latest[: len(table)].copy()
    values[~np.isin(states, STEPPING), Column.THROUGHPUT] = np.nan
    return values


def judge(table: RankTable, now: float, *, attempt: int, over: RankState | None, stall: StallLimit) -> States:
    """The state of each rank, shape `[ranks]`.

    `attempt`: the job's newest; ranks that have not joined it are unknown. `over`: what a launcher's word that the job
    ended makes of a rank without an `end` record; None while there is no such word.
    """
    rows = len(table)
    ended = table.ended[:rows]
    alive = ended == Ended.NO
    seen = ~_never_seen(table) & (table.attempt[:rows] >= attempt)
    states = np.full(rows, RankState.RUNNING, np.int8)
    stalled = _stalled(table, now, stall)
    states[stalled] = RankState.HUNG if seen.sum() > 1 and stalled[seen].all() else RankState.STALLED
    states[_forgotten(table, now, stall)] = RankState.UNKNOWN
    states[_gone(table, now)] = RankState.DEAD
    if over is not None:
        states[alive] = over
    states[_never_seen(table)] = RankState.UNKNOWN
    states[alive & table.errored[:rows]] = RankState.DEAD
    states[ended == Ended.COMPLETED] = RankState.FINISHED
    states[ended == Ended.STOPPED] = RankState.STOPPED
    states[ended == Ended.FAILED] = RankState.DEAD
    states[table.attempt[:rows] < attempt] = RankState.UNKNOWN
    return states


def stall_limits(table: RankTable, stall: StallLimit) -> npt.NDArray[np.float64]:
    """Seconds without a step after which each rank counts as stalled, shape `[ranks]`."""
    interval = table.interval[: len(table)]
    known = np.maximum(stall.seconds, stall.intervals * interval)
    limits: npt.NDArray[np.float64] = np.where(np.isnan(interval), WARM_UP_SECONDS, known)
    return limits


def _stalled(table: RankTable, now: float, stall: StallLimit) -> npt.NDArray[np.bool_]:
    rows = len(table)
    late = (step_ages(table, now) > stall_limits(table, stall)) & ~table.paused[:rows]
    silent = (now - table.beat_at[:rows]) > SILENT_SECONDS
    stalled: npt.NDArray[np.bool_] = (late | (silent & (write_ages(table, now) > SILENT_SECONDS))) & (
        table.ended[:rows] == Ended.NO
    )
    return stalled


def _gone(table: RankTable, now: float) -> npt.NDArray[np.bool_]:
    rows = len(table)
    has_beat = ~np.isnan(table.beat_at[:rows])
    process = table.process[:rows]
    silent = has_beat & (write_ages(table, now) > GONE_SECONDS) & (process == ProcessState.UNKNOWN)
    gone: npt.NDArray[np.bool_] = (silent | np.isin(process, _OVER)) & (table.ended[:rows] == Ended.NO)
    return gone


def _forgotten(table: RankTable, now: float, stall: StallLimit) -> npt.NDArray[np.bool_]:
    silent = write_ages(table, now)
    forgotten: npt.NDArray[np.bool_] = (
        np.isnan(table.beat_at[: len(table)]) & (silent > FORGOTTEN_SECONDS) & (silent > 2 * stall_limits(table, stall))
    )
    return forgotten


def _never_seen(table: RankTable) -> npt.NDArray[np.bool_]:
    """Ranks of which there is nothing but an error file or an empty metrics file."""
    rows = len(table)
    never: npt.NDArray[np.bool_] = np.isnan(table.step_at[:rows]) & np.isnan(table.beat_at[:rows])
    return never
