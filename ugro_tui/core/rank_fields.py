"""What ranks are filtered and sorted by, and which of them are in trouble."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.columns import Column
from ugro_tui.core.filter_fields import (
    DEGREES,
    GIBIBYTES,
    MILLISECONDS,
    NUMBER,
    PERCENT,
    SECONDS,
    WATTS,
    Field,
    Values,
)
from ugro_tui.core.snapshot import RankColumns
from ugro_tui.core.states import RankState

Numbers = npt.NDArray[np.float64]

WORST_FIRST: Final = (
    RankState.DEAD,
    RankState.HUNG,
    RankState.STALLED,
    RankState.UNREACHABLE,
    RankState.SLOW,
    RankState.UNKNOWN,
    RankState.STOPPED,
    RankState.RUNNING,
    RankState.FINISHED,
)

_WORDS: Final = [state.word for state in RankState]
"""By the number of a state: making a `RankState` of each of 8,192 takes 6 ms."""

_CALM: Final = (RankState.RUNNING, RankState.FINISHED, RankState.STOPPED)
"""States in which nothing is to be looked for: a person knows why they stopped a rank."""

RANK_FIELDS: Final = (
    Field("rank", NUMBER, whole=True),
    Field("node", aliases=("host",)),
    Field("state", words=tuple(state.word for state in WORST_FIRST)),
    Field("step", NUMBER, whole=True),
    Field("lag", NUMBER, whole=True),
    Field("age", SECONDS),
    Field("loss", NUMBER),
    Field("lr", NUMBER),
    Field("grad", NUMBER, aliases=("grad_norm",)),
    Field("tok", NUMBER, aliases=("tok/s", "throughput")),
    Field("gpu", PERCENT, aliases=("gpu%", "util")),
    Field("mem", GIBIBYTES, aliases=("memory",)),
    Field("temp", DEGREES, aliases=("°c",)),
    Field("wait", MILLISECONDS, aliases=("sync_wait",)),
    Field("time", MILLISECONDS, aliases=("step_time",)),
    Field("data", MILLISECONDS),
    Field("forward", MILLISECONDS, aliases=("forw",)),
    Field("backward", MILLISECONDS, aliases=("back",)),
    Field("optimizer", MILLISECONDS, aliases=("opt",)),
    Field("power", WATTS, aliases=("watt",)),
    Field("epoch", NUMBER, whole=True),
)

FILTER_EXAMPLE: Final = "rank:8-15 node~gpu state:stalled wait<20ms"
"""What one can type: shown while nothing is typed yet."""

_COLUMNS: Final = {
    "step": Column.STEP,
    "lr": Column.LR,
    "grad": Column.GRAD_NORM,
    "tok": Column.THROUGHPUT,
    "gpu": Column.GPU_UTIL,
    "mem": Column.GPU_MEM_USED,
    "temp": Column.GPU_TEMP,
    "wait": Column.SYNC_WAIT,
    "time": Column.STEP_TIME,
    "data": Column.DATA,
    "forward": Column.FORWARD,
    "backward": Column.BACKWARD,
    "optimizer": Column.OPTIMIZER,
    "power": Column.GPU_POWER,
    "epoch": Column.EPOCH,
}


def rank_values(ranks: RankColumns, name: str) -> Values:
    """One of `RANK_FIELDS` for each rank: numbers in seconds, bytes, degrees Celsius, watts, per cent."""
    if name == "node":
        return ranks.node
    if name == "state":
        return [_WORDS[state] for state in ranks.state.tolist()]
    numbers = {"rank": _number, "age": _age, "lag": lag, "loss": _loss}
    return numbers[name](ranks) if name in numbers else ranks.column(_COLUMNS[name])


def lag(ranks: RankColumns) -> Numbers:
    """Steps that each rank is behind the furthest one, shape `[ranks]`; NaN before its first."""
    steps = ranks.column(Column.STEP)
    behind: Numbers = np.fmax.reduce(steps, initial=-np.inf) - steps
    return behind


def trouble(ranks: RankColumns, accused: Collection[int] = ()) -> Numbers:
    """How bad each rank is, shape `[ranks]`: 0 where all is well.

    By its state first; then a loss that is no number, then that it is `accused` (as alerts accuse ranks). Of those that
    are equally bad, the one that is further behind is worse.
    """
    badness = np.zeros(max(RankState) + 1)
    for place, state in enumerate(reversed([state for state in WORST_FIRST if state not in _CALM])):
        badness[state] = place + 3.0
    found = badness[ranks.state]
    accusation = np.where(np.isin(ranks.rank, list(accused)), 1.0, 0.0)
    found = np.fmax(found, np.where(ranks.column(Column.BAD) > 0, 2.0, accusation))
    behind = np.nan_to_num(lag(ranks), nan=0.0, posinf=0.0)
    return np.where(found > 0, found + behind / (behind.max(initial=0.0) + 1.0), 0.0)


def _number(ranks: RankColumns) -> Numbers:
    return ranks.rank.astype(float)


def _age(ranks: RankColumns) -> Numbers:
    return ranks.age


def _loss(ranks: RankColumns) -> Numbers:
    """A loss that is not a number counts as beyond all numbers: it is known, and the worst."""
    return np.where(ranks.column(Column.BAD) > 0, np.inf, ranks.column(Column.LOSS))
