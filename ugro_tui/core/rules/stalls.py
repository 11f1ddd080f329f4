"""Is it stepping: ranks that do not, jobs of which none does, ranks that are apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ugro_tui.core.alerts import Alert
from ugro_tui.core.columns import Beat, Column
from ugro_tui.core.job import Rows
from ugro_tui.core.liveness import LIVING, SILENT_SECONDS, stall_limits, step_ages, write_ages
from ugro_tui.core.numbers import duration
from ugro_tui.core.rank import Rank
from ugro_tui.core.recent import Round
from ugro_tui.core.rules.ends import output_of
from ugro_tui.core.rules.latch import Floats, Latch, Mask
from ugro_tui.core.rules.look import Look, alert, each, worst_of
from ugro_tui.core.sorting import median
from ugro_tui.core.states import ProcessState, RankState

_DESYNC_SECONDS = 10.0
"""How long ranks are apart at the least: looks at two nodes may be a refresh apart."""


_LOOKS_APART_SECONDS = 10.0
"""Ranks that stop together seem to stop so far apart: a poll of 5 s, a heartbeat of 2 s, and a machine under load."""

_LIVING = [int(state) for state in LIVING]

_FIRST_THE_NODE = "see whether that node and its network are up: once they are, a job may go on by itself"

_HELD = "held by a signal (SIGSTOP) or a debugger"


class Stalls:
    """Ranks without a step. When none of a job's ranks steps, one alert says so and names the one to look at."""

    def judge(self, look: Look) -> Iterator[Alert]:
        """The hang, or the ranks that stall: first those that do not wait in a backward pass as others do."""
        rows = look.job.current_rows()
        ages, waits = step_ages(look.job.table, look.now), _waits(look)
        free = look.job.table.process[: len(look.states)] != ProcessState.STOPPED
        hung = rows[look.states[rows] == RankState.HUNG]
        if len(hung):
            yield _hang(look, hung[np.lexsort((-ages[hung], waits[hung], free[hung]))])
        stalled = rows[(look.states[rows] == RankState.STALLED) & ~_first_late(look, ages)[rows]]
        stalled = stalled[np.lexsort((-ages[stalled], waits[stalled], free[stalled]))]
        ranks = [look.job.table.by_row[row] for row in stalled.tolist()]
        differ = len(set(waits[stalled].tolist())) > 1
        yield from each(ranks, lambda rank, count: _stalled(look, rank, count, differ=differ))


def _first_late(look: Look, ages: Floats) -> Mask:
    """The rows of ranks that stopped when others did who are about to be late too: who stopped whom is not known yet.

    In a moment all are late, and the hang names the one that the others wait for. A rank that writes nothing is not
    late but silent, and is not meant.
    """
    table, living = look.job.table, look.job.current_rows()
    living = living[np.isin(look.states[living], _LIVING) & ~table.paused[living]]
    last = table.step_at[: len(ages)]
    due = (ages - stall_limits(table, look.job.stall))[living]
    if not ((due <= 0) & (due > -_LOOKS_APART_SECONDS)).any():
        return np.zeros(len(ages), bool)
    first: Mask = (last[living].max() - last <= _LOOKS_APART_SECONDS) & (write_ages(table, look.now) <= SILENT_SECONDS)
    return first


def _stalled(look: Look, rank: Rank, ranks: int, *, differ: bool) -> Alert:
    table = look.job.table
    age = float(np.fmax(step_ages(table, look.now)[rank.row], 0.0))
    limit = float(stall_limits(table, look.job.stall)[rank.row])
    if age > limit and not table.paused[rank.row] and not _is_held(rank):
        what = f"no step for {duration(age)} (limit {duration(limit)}){_place(look, rank) if differ else ''}"
    else:
        silence = float(write_ages(table, look.now)[rank.row])
        what = f"no heartbeat for {duration(silence)}: {_frozen(rank)}"
    return alert(
        "rank_stalled", rank, what, age, next_step=_look_at(look, rank), ranks=ranks, value=age, threshold=limit
    )


def _is_held(rank: Rank) -> bool:
    return rank.vital is not None and rank.vital.state is ProcessState.STOPPED


def _frozen(rank: Rank) -> str:
    return f"the process is {_HELD}" if _is_held(rank) else "the process is frozen, gone or cannot write"


def _waits(look: Look) -> Mask:
    """The rows of ranks that say that they are where ranks wait for each other."""
    waits: Mask = look.job.table.beats[: len(look.states), Beat.WAITS] > 0
    return waits


def _place(look: Look, rank: Rank) -> str:
    """Where a rank stands, when the heartbeats tell the ranks apart."""
    if rank.heartbeat is None:
        return ""
    waits = _waits(look)[rank.row]
    return ", in the backward pass: waits for others" if waits else ", not in the backward pass as others are"


def _look_at(look: Look, rank: Rank) -> str:
    pid = rank.heartbeat.pid if rank.heartbeat else rank.start.pid if rank.start else None
    if _is_held(rank):
        return f"find out who holds it, and let it go on: kill -CONT {pid}"
    stack = f"; its stack: d (ugro-tui diagnose), or py-spy dump --pid {pid}" if pid is not None else ""
    return f"look at {output_of(look.job, rank)}{stack}"


def _hang(look: Look, hung: Rows) -> Alert:
    """All ranks have stopped. Named is the one that is not where the others wait, or nobody: no guess."""
    ages = step_ages(look.job.table, look.now)
    age = float(np.nan_to_num(ages[hung].min()))
    step = look.job.step()
    at = "before the first step" if np.isnan(step) else f"at step {step:,.0f}"
    heard = "" if len(hung) >= look.job.world_size else " that are heard of"
    what = f"all {len(hung)} ranks{heard} stopped {at} {duration(age)} ago"
    culprits, why = _culprits(look, hung)
    if not len(culprits):
        unheard = _unheard(look)
        what += f"; {unheard or 'the heartbeats do not tell which one the others wait for'}"
        return alert("job_hang", None, what, age, next_step=_FIRST_THE_NODE if unheard else "", value=age)
    first = look.job.table.by_row[int(culprits[0])]
    where = "" if not first.node else f" on {first.node}"
    more = f" and {len(culprits) - 1} more" if len(culprits) > 1 else ""
    what += f"; rank {first.rank}{where}{more} {why}"
    return alert("job_hang", first, what, age, next_step=_advice(look, first), value=age)


def _unheard(look: Look) -> str:
    """Whom those that are heard of may wait for: ranks on nodes that do not answer; empty where all answer."""
    ranks = look.job.unreachable()
    if not ranks:
        return ""
    first, more = min(ranks, key=lambda rank: rank.rank), f" and {len(ranks) - 1} more" if len(ranks) > 1 else ""
    return f"they may wait for rank {first.rank}{more} on {first.node}, which does not answer"


def _culprits(look: Look, hung: Rows) -> tuple[Rows, str]:
    """The rows of ranks that hold the others up, and what they do; none where neither processes nor heartbeats tell.

    Processes that stand still as a whole; else ranks that are not where most wait; else those that are a step behind.
    """
    table = look.job.table
    held: Rows = hung[table.process[hung] == ProcessState.STOPPED]
    if len(held):
        return held, f"{'is' if len(held) == 1 else 'are'} {_HELD}"
    told = table.beats[hung]
    if np.isnan(told[:, Beat.WAITS]).any():
        return hung[:0], ""
    silent: Rows = hung[write_ages(table, look.now)[hung] > SILENT_SECONDS]
    if _few(silent, hung):
        return silent, f"writes no heartbeat: {_frozen(table.by_row[int(silent[0])])}"
    apart: Rows = hung[told[:, Beat.WAITS] == 0]
    if _few(apart, hung):
        beat = table.by_row[int(apart[0])].heartbeat
        return apart, f"never entered the backward pass{f': it is in {beat.phase}' if beat and beat.phase else ''}"
    behind: Rows = hung[told[:, Beat.STEP] < np.fmax.reduce(told[:, Beat.STEP])]
    return (behind, "is a step behind the others") if _few(behind, hung) else (hung[:0], "")


def _few(rows: Rows, hung: Rows) -> bool:
    """Whether it is these that differ, not the rest."""
    return 0 < len(rows) <= len(hung) / 2


def _advice(look: Look, rank: Rank) -> str:
    phase = rank.heartbeat.phase if rank.heartbeat else ""
    first = "look at its dataloader; " if phase == "data" else ""
    return first + _look_at(look, rank)


class Desync:
    """Ranks whose steps lie apart, by where each should be by now: they are not all looked at in the same moment."""

    def __init__(self) -> None:
        self._latch = Latch()

    def judge(self, look: Look) -> Iterator[Alert]:
        """The ranks that are behind."""
        table, rows = look.job.table, len(look.states)
        step, gap = table.latest[:rows, Column.STEP], _gap(table.rounds[:rows, :, Round.STEP])
        interval = table.interval[:rows]
        judged = look.stepping & (look.states == int(RankState.RUNNING)) & np.isfinite(step) & np.isfinite(interval)
        behind = np.zeros(rows)
        if judged.sum() > 1 and gap > 0:
            since = np.minimum(look.now - table.write_at[:rows], interval)
            place = step + gap * since / np.maximum(interval, 1e-9)
            behind = np.where(judged, place[judged].max() - place, 0.0)
            behind = np.where(step[judged].max() - step >= 2, behind, 0.0)
        limit = max(2.0, look.thresholds["desync"]["records"] * gap)
        wait = max(_DESYNC_SECONDS, 2 * median(interval[judged])) if judged.any() else _DESYNC_SECONDS
        breach = behind >= limit
        firing = self._latch.update(breach, breach, look.now, wait)
        if firing.any():
            yield from each(worst_of(look, firing, behind), lambda rank, ranks: self._alert(look, rank, ranks, limit))

    def _alert(self, look: Look, rank: Rank, ranks: int, limit: float) -> Alert:
        steps = look.job.table.latest[: len(look.states), Column.STEP]
        behind = float(np.nanmax(steps[look.stepping]) - steps[rank.row])
        age = look.now - float(self._latch.fired_at[rank.row])
        what = f"{behind:,.0f} steps behind the furthest rank"
        return alert("desync", rank, what, age, value=behind, threshold=limit, ranks=ranks)


def _gap(steps: np.ndarray) -> float:
    """Steps from one record to the next, as most ranks have it; 0 where it is not known."""
    gaps = np.diff(steps[:64], axis=1)
    gaps = gaps[np.isfinite(gaps) & (gaps > 0)]
    return median(gaps) if len(gaps) else 0.0
