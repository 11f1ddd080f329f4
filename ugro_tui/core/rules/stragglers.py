"""Who holds the others up: told from phases, for in synchronous training one slow rank makes every step equally long.

The rank that the others wait for waits least. So each rank's own work is its step without the wait for the others;
scores are relative to the rank with the least own work (NVRx), and a phase is named only where it explains the wait
(TraceML).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from ugro_tui.core.alerts import Alert
from ugro_tui.core.columns import Column
from ugro_tui.core.eta import WARM_UP_STEPS
from ugro_tui.core.numbers import phase_time
from ugro_tui.core.rank import Rank
from ugro_tui.core.recent import ROUND_COLUMNS, ROUNDS, Round
from ugro_tui.core.rules.latch import Floats, Latch, Mask
from ugro_tui.core.rules.look import Look, alert, each, worst_of

Z_SCALE: Final = 0.6745
"""Times the distance from the median over the MAD: a robust z (Iglewicz and Hoaglin 1993)."""

LEAST_MAD: Final = 0.05
"""Of the median: a MAD of 0 would make every z infinite (alerts.md)."""

FEWEST_FOR_Z: Final = 4
"""Ranks from which on a robust z tells anything: of three, another one that is a little slow hides a very slow one, as
the MAD is then the distance of two. (Measured.) With fewer, it must do that the others wait for the rank."""

LEAST_SECONDS: Final = 5.0
"""How long a rank is slow at the least. Where records come faster, five of them are no more than a hiccup."""

MOST_HISTORIES: Final = 1_024
"""Ranks of which histories are searched for common steps, where the newest records have none: it costs 4 us each."""

STILL: Final = 0.5
"""Times what a phase must explain, once it was named."""

FEWEST_BEFORE: Final = 10
"""Records of a rank's own history that are needed to judge it by that."""

PHASES: Final = ("data", "forward", "backward", "optimizer", "rest of the step")
_NEXT: Final = {
    "data": "look at its dataloader",
    "forward": "look at its GPU (clocks, temperature, other processes) and the sizes of its inputs",
    "backward": "look at its GPU (clocks, temperature, other processes) and the sizes of its inputs",
    "optimizer": "look at its GPU, and at what it does besides in the optimizer step",
    "rest of the step": "look at what it alone does between the phases: logging, checkpoints, evaluation",
}


@dataclass(frozen=True, slots=True)
class Rounds:
    """The last steps that all ranks recorded with their phases. Seconds, shape `[rounds, ranks]`; `rows` of the table.

    `own`: all of the step but waiting. `ring` is what the records say of the ranks' last steps, in the order of the
    table, shape `[ranks, ROUNDS, len(Round)]`; `places`: where in it each of the rounds is.
    """

    rows: np.ndarray
    own: Floats
    wait: Floats
    step_time: Floats
    ring: Floats
    places: _Places

    @property
    def seconds(self) -> float:
        """How long they took; NaN where the records carry no times."""
        times = _at(self.ring, [self.places[0], self.places[-1]], Round.TS)
        between = np.median(times[1] - times[0]) / max(1, len(self.places) - 1)
        return float(between) * len(self.places)

    def phases(self) -> Floats:
        """Mean seconds of each rank in each of `PHASES`, shape `[ranks, len(PHASES)]`."""
        columns = (Round.DATA, Round.FORWARD, Round.BACKWARD, Round.OPTIMIZER)
        named = np.nan_to_num(np.stack([_at(self.ring, self.places, column) for column in columns], axis=2))
        rest = np.maximum(self.own - named.sum(axis=2), 0.0)
        means: Floats = np.concatenate([named, rest[:, :, None]], axis=2).mean(axis=0)
        return means


class Stragglers:
    """Judges the last rounds at each look. `slow` are the rows that fire; `unjudged` says why nothing is judged."""

    def __init__(self) -> None:
        self.slow: Mask = np.zeros(0, bool)
        self.unjudged = ""
        self._latch = Latch()
        self._named: dict[int, str] = {}

    def judge(self, look: Look) -> Iterator[Alert]:
        """The ranks that the others wait for."""
        rounds, self.unjudged = rounds_of(look)
        size = len(look.states)
        breach, hold = np.zeros(size, bool), np.zeros(size, bool)
        badness = np.zeros(size)
        if rounds is None:
            hold |= look.stepping if not self.unjudged else False  # no news, no change
        else:
            numbers = look.numbers("straggler")
            slow, score = _slow(rounds, numbers)
            breach[rounds.rows] = slow
            hold[rounds.rows] = (score <= numbers["clear"]) & _waited_for(rounds, numbers["cost"] / 2)
            badness[rounds.rows] = -score
            if breach.any():
                breach &= _slower_than_before(look, rounds, breach)
        self.slow = self._latch.update(breach, hold, look.now, _short_of(rounds) if breach.any() else 0.0)
        if rounds is not None and self.slow.any():
            yield from each(
                worst_of(look, self.slow, badness), lambda rank, ranks: self._alert(look, rounds, rank, ranks)
            )

    def _alert(self, look: Look, rounds: Rounds, rank: Rank, ranks: int) -> Alert:
        place = int(np.flatnonzero(rounds.rows == rank.row)[0]) if rank.row in rounds.rows else 0
        # The phase that was named once is named on while it stands out: a busy machine blurs the rest.
        phase, what = _why(rounds, place, look.thresholds["straggler"]["explains"], self._named.get(rank.row, ""))
        if phase:
            self._named[rank.row] = phase
        own, best = rounds.own.mean(axis=0), float(rounds.own.mean(axis=0).min())
        return alert(
            "straggler", rank, what, look.now - float(self._latch.fired_at[rank.row]), ranks=ranks,
            next_step=_NEXT.get(phase, f"look at what else runs on {rank.node or 'its node'} (ugro-tui health)"),
            value=best / float(own[place]), threshold=look.thresholds["straggler"]["threshold"],
        )  # fmt: skip


def rounds_of(look: Look) -> tuple[Rounds | None, str]:
    """The last rounds, if there are any; and why there never will be, where the records say so."""
    rows = np.flatnonzero(look.stepping)
    if len(rows) < 2:
        return None, ""
    ring, steps = _common(look, rows)
    if not len(steps):
        return None, ""
    places = _places(ring, steps)
    wait, step_time = _at(ring, places, Round.SYNC_WAIT), _at(ring, places, Round.STEP_TIME)
    told = ~np.isnan(wait + step_time).any(axis=0)
    if told.sum() < 2 or told.sum() * 2 <= len(rows):
        return None, "stragglers are not judged: the records have no sync_wait (emitter.instrument(model), and DDP)"
    if not told.all():
        rows, ring, wait, step_time = rows[told], ring[told], wait[:, told], step_time[:, told]
        places = _places(ring, steps)
    wait = np.maximum(wait, 0.0)
    step_time = np.maximum(step_time, wait)
    return Rounds(rows, step_time - wait, wait, step_time, ring, places), ""


def _common(look: Look, rows: np.ndarray) -> tuple[Floats, Floats]:
    """The newest records of these ranks, `[ranks, records, len(Round)]`, and the steps that all of them have there.

    Where nodes are looked at at different moments, the last records of one rank may all be newer than those of
    another: then the histories tell.
    """
    table = look.job.table
    ring = table.rounds[: len(rows)] if len(rows) == len(look.states) else table.rounds[rows]
    first = max((rank.first_step for rank in look.job.current()[:1]), default=math.nan) + WARM_UP_STEPS
    steps = _shared(ring, first)
    newest = ring[:, -1, Round.STEP]
    if len(steps) < ROUNDS and len(rows) <= MOST_HISTORIES and not np.isnan(newest).any():
        behind = _behind(look, rows, first, int(newest.argmin()))
        if behind.shape[1] > len(steps):
            return behind, behind[0, :, Round.STEP]
    return ring, steps


def _shared(ring: Floats, first: float) -> Floats:
    """The steps from `first` on that every rank has among its last ones."""
    steps = ring[:, :, Round.STEP]
    own = np.unique(steps[0][steps[0] >= first])
    if (steps == steps[0]).all():  # as a rule: ranks step together
        return own
    return own[[bool((steps == step).any(axis=1).all()) for step in own.tolist()]] if len(own) else own


def _behind(look: Look, rows: np.ndarray, first: float, last: int) -> Floats:
    """The records that all ranks have of the newest steps of the rank that is `last`, by its place in `rows`."""
    histories = [look.job.table.by_row[row].series.rows for row in rows.tolist()]
    steps = histories[last][-2 * ROUNDS :, Column.STEP]
    steps = steps[steps >= first]
    places = [np.minimum(np.searchsorted(rows[:, Column.STEP], steps), len(rows) - 1) for rows in histories]
    has = [rows[place, Column.STEP] == steps for rows, place in zip(histories, places, strict=True)]
    shared = np.flatnonzero(np.all(has, axis=0))[-ROUNDS:]
    return np.stack([rows[place[shared]][:, ROUND_COLUMNS] for rows, place in zip(histories, places, strict=True)])


_Places: TypeAlias = Sequence["int | np.ndarray"]


def _places(ring: Floats, steps: Floats) -> _Places:
    """Where among the last records of each rank each of these steps is: one place where it is the same of all ranks."""
    told = ring[:, :, Round.STEP]
    if (told == told[0]).all():
        return [int((told[0] == step).argmax()) for step in steps.tolist()]
    return [(told == step).argmax(axis=1) for step in steps.tolist()]


def _at(ring: Floats, places: _Places, column: Round) -> Floats:
    """What each rank recorded in these places, shape `[steps, ranks]`."""
    found = np.empty((len(places), len(ring)))
    for row, place in zip(found, places, strict=True):
        row[:] = ring[:, place, column] if isinstance(place, int) else ring[np.arange(len(ring)), place, column]
    return found


def _short_of(rounds: Rounds | None) -> float:
    """Seconds for which a rank must be found slow besides those that the rounds took."""
    return 0.0 if rounds is None or math.isnan(rounds.seconds) else max(0.0, LEAST_SECONDS - rounds.seconds)


def _slow(rounds: Rounds, numbers: dict[str, float]) -> tuple[Mask, Floats]:
    """Which ranks were slow in enough rounds, and over all of them; and each rank's score over all: 1 is the best."""
    own = np.maximum(rounds.own, 1e-9)
    score = _score(own.mean(axis=0, keepdims=True))[0]
    lasting = score < numbers["threshold"]
    if not lasting.any():
        return lasting, score
    slow = _score(own) < numbers["threshold"]
    if slow.any():
        slow &= _waited(rounds.wait) >= numbers["cost"] * rounds.step_time
        if own.shape[1] >= FEWEST_FOR_Z:
            slow &= _robust_z(own) > numbers["sigmas"]
    return lasting & _waited_for(rounds, numbers["cost"]) & (slow.sum(axis=0) >= numbers["records"]), score


def _score(own: Floats) -> Floats:
    """The least work of a round as a share of each rank's, `[rounds, ranks]`."""
    score: Floats = own.min(axis=1, keepdims=True) / own
    return score


def _robust_z(own: Floats) -> Floats:
    middle = np.median(own, axis=1, keepdims=True)
    mad = np.median(np.abs(own - middle), axis=1, keepdims=True)
    z: Floats = Z_SCALE * (own - middle) / np.maximum(mad, LEAST_MAD * middle)
    return z


def _waited_for(rounds: Rounds, share: float) -> Mask:
    """Which ranks the others wait for, over all rounds, by this share of the step at the least."""
    waited: Mask = _waited(rounds.wait).mean(axis=0) >= share * rounds.step_time.mean(axis=0)
    return waited


def _waited(wait: Floats) -> Floats:
    """How much longer the others wait than each rank, `[rounds, ranks]`."""
    longer: Floats = _others_median(wait) - wait
    return longer


def _others_median(values: Floats) -> Floats:
    """For each rank the median of the others' values, `[rounds, ranks]`; of many ranks that of all is the same."""
    ranks = values.shape[1]
    if ranks > 16:
        medians: Floats = np.repeat(np.median(values, axis=1, keepdims=True), ranks, axis=1)
        return medians
    return np.stack([np.median(np.delete(values, rank, axis=1), axis=1) for rank in range(ranks)], axis=1)


def _slower_than_before(look: Look, rounds: Rounds, breach: Mask) -> Mask:
    """Where the GPUs are not alike, ranks that are slower than they used to be themselves; else all."""
    ranks = {rank.row: rank for rank in look.job.current()}
    if len({rank.start.gpu_name for rank in ranks.values() if rank.start}) < 2:
        return np.ones(len(breach), bool)
    slower = np.zeros(len(breach), bool)
    now = dict(zip(rounds.rows.tolist(), rounds.own.mean(axis=0).tolist(), strict=True))
    for row in np.flatnonzero(breach).tolist():
        before = ranks[row].attempt_rows[:-ROUNDS]
        own = before[:, Column.STEP_TIME] - before[:, Column.SYNC_WAIT]
        own = own[np.isfinite(own)]
        if len(own) >= FEWEST_BEFORE:
            slower[row] = float(np.median(own)) < look.thresholds["straggler"]["threshold"] * now[row]
    return slower


def _why(rounds: Rounds, place: int, explains: float, named: str = "") -> tuple[str, str]:
    """The phase that holds the rank up, if one explains the wait of the others, and the sentence."""
    phases = rounds.phases()
    others = np.delete(phases, place, axis=0)
    usual = np.median(others, axis=0)
    excess = phases[place] - usual
    waited = float(np.median(np.delete(rounds.wait.mean(axis=0), place)) - rounds.wait.mean(axis=0)[place])
    worst = int(excess.argmax())
    wait = f"the others wait {phase_time(waited)} a step for it"
    name = PHASES[worst]
    if waited > 0 and excess[worst] >= explains * waited * (STILL if name == named else 1.0):
        return name, f"{name} {phase_time(phases[place, worst])} against a median of {phase_time(usual[worst])}; {wait}"
    own = rounds.own.mean(axis=0)
    median = float(np.median(np.delete(own, place)))
    took = f"own work {phase_time(own[place])} a step against a median of {phase_time(median)}"
    return "", f"{took}, in no single phase; {wait}"
