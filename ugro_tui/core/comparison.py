"""Two to four runs side by side: final numbers, losses at the same place, and what differs in how they were started."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from ugro_tui.core.alerts import Severity
from ugro_tui.core.archive import Lines
from ugro_tui.core.attempts import Attempt
from ugro_tui.core.compared import RunName
from ugro_tui.core.ends import Ends
from ugro_tui.core.metric_names import OWN
from ugro_tui.core.noise import best_of, spread
from ugro_tui.core.numbers import UNKNOWN, clock, compact, count, plain
from ugro_tui.core.run_config import Config
from ugro_tui.core.same_place import Difference, differences
from ugro_tui.core.summary import JobSummary

LOSS: Final = "loss"

Value: TypeAlias = float | str
"""A number, NaN where it is not known, or a word; the word `NaN` is a number that is no number any more."""

Better: TypeAlias = Callable[[Iterable[float]], float] | None
"""Takes the best of values; None where it is not clear which is."""

NOT_A_NUMBER: Final = "NaN"


@dataclass(frozen=True, slots=True)
class Side:
    """One run, as far as it is known. `summary` is that of the newest attempt, and of no other one.

    `told` is what its records tell of the attempt, `newest` the number of the job's newest one. `metric` is the one
    that is looked at, where that is not the loss.
    """

    run: RunName
    summary: JobSummary | None = None
    told: Attempt | None = None
    newest: int = 0
    loss: Lines | None = None
    validation: Lines | None = None
    metric: Lines | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One number of all runs. `texts` are the values as people read them, `note` says what number it is.

    `best`: which of them have the best one; empty where all read alike, or it is not clear what is better.
    """

    name: str
    values: tuple[Value, ...]
    texts: tuple[str, ...]
    best: tuple[int, ...] = ()
    note: str = ""

    @property
    def label(self) -> str:
        """What stands before its values."""
        return f"{self.name} ({self.note})" if self.note else self.name


@dataclass(frozen=True, slots=True)
class Setting:
    """A name of the configuration whose values differ; None where a run has none."""

    name: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is told of the runs. `same`: how many names of the configuration have the same value in all of them."""

    runs: tuple[RunName, ...]
    metric: str
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    settings: tuple[Setting, ...]
    same: int

    def best_at(self, difference: Difference) -> tuple[int, ...]:
        """Which are best at that place: the lowest of losses; of another metric it is not clear."""
        return difference.least if self.metric == LOSS else ()

    @property
    def settings_text(self) -> str:
        """How much of the configuration differs, in words."""
        differing = len(self.settings)
        if not differing and not self.same:
            return "not told: hand it to MetricsEmitter(config=vars(args))"
        alike = f"{self.same} {'is' if self.same == 1 else 'are'} the same"
        return f"{differing or 'nothing'} {'differs' if differing < 2 else 'differ'}, {alike}"


def compared(sides: Sequence[Side], metric: str = LOSS) -> Comparison:
    """The comparison of these runs, and of one more metric where that is not the loss."""
    shown = [side.loss if metric == LOSS else side.metric for side in sides]
    settings, same = config_difference([None if side.told is None else side.told.config for side in sides])
    return Comparison(
        runs=tuple(side.run for side in sides),
        metric=metric,
        rows=tuple(_rows(sides, metric)),
        differences=tuple(differences(shown)),
        settings=settings,
        same=same,
    )


# --- final numbers


def _rows(sides: Sequence[Side], metric: str) -> list[Row]:
    last, least = "last loss", "min loss"
    lowest = min if _as_far(sides) else None
    losses, held = [_ends(side.loss) for side in sides], [_ends(side.validation) for side in sides]
    validated = any(map(_is_validation, sides))
    rows = [
        _texts("status", [_status(side) for side in sides]),
        _texts("attempt", [_attempt(side) for side in sides]),
        _numbers(last, map(_last_loss, sides, losses), plain, lowest, [ends.spread for ends in losses]),
        _numbers(least, map(_least_loss, sides, losses), plain, lowest, [ends.spread for ends in losses]),
        _numbers("  at step", [ends.least_at for ends in losses], count),
        _texts("  of rank", map(_least_rank, sides, losses)),
        *([] if validated else _validation_rows(held, lowest)),
        *(_metric_rows(sides, metric, lowest if validated else None) if metric != LOSS else ()),
        _numbers("steps", [_step(side) for side in sides], count),
        _numbers("tokens", [_of(side, "tokens") for side in sides], compact),
        _numbers("duration", [_duration(side) for side in sides], clock),
        _numbers("tok/s, mean", map(_throughput, sides), compact, max),
        _numbers("tok/s per rank", [_throughput(side) / (_size(side) or math.nan) for side in sides], compact, max),
        _numbers("ranks", map(_size, sides), count),
        _texts("GPU", [side.told.gpu if side.told is not None else "" for side in sides]),
        _texts("alerts", [_alerts(side) for side in sides]),
    ]
    means = any(ends.ranks > 1 or _size(side) > 1 for side, ends in zip(sides, losses, strict=True))
    return [
        replace(row, note="mean") if means and row.name.startswith("last ") else row
        for row in rows
        if row.name in _ALWAYS or any(text != UNKNOWN for text in row.texts)
    ]


def _as_far(sides: Sequence[Side]) -> bool:
    """Whether all runs have come to their end, or equally far: else the one that is ahead has a lower loss for that."""
    steps = {_step(side) for side in sides}
    return {_status(side) for side in sides} <= {"finished", ""} or len(steps) == 1


_ALWAYS: Final = ("status", "last loss", "min loss", "steps", "duration")


def _is_validation(side: Side) -> bool:
    """Whether the metric that is looked at is the loss that was validated, under the same name or a short one."""
    names = [lines.metric.removeprefix(OWN) for lines in (side.validation, side.metric) if lines is not None]
    return len(names) == 2 and names[0] == names[1]


def _validation_rows(held: Sequence[_Ends], lowest: Better) -> list[Row]:
    return [
        _numbers("last val loss", [ends.last for ends in held], plain, lowest, [ends.spread for ends in held]),
        _numbers("min val loss", [ends.least for ends in held], plain, lowest, [ends.spread for ends in held]),
    ]


def _metric_rows(sides: Sequence[Side], metric: str, lowest: Better) -> list[Row]:
    """`lowest`: which is best, where lower is better; of other metrics it is not clear."""
    ends = [_ends(side.metric) for side in sides]
    return [
        _numbers(f"last {metric}", [one.last for one in ends], plain, lowest, [one.spread for one in ends]),
        _numbers(f"min {metric}", [one.least for one in ends], plain, lowest, [one.spread for one in ends]),
        _numbers(f"max {metric}", [one.most for one in ends], plain),
    ]


def _texts(name: str, texts: Iterable[str]) -> Row:
    found = tuple(text or UNKNOWN for text in texts)
    return Row(name, found, found)


def _numbers(
    name: str,
    values: Iterable[Value],
    text: Callable[[float], str],
    better: Better = None,
    spreads: Sequence[float] = (),
) -> Row:
    found = tuple(values)
    texts = tuple(value if isinstance(value, str) else text(value) for value in found)
    best = best_of(found, better, spreads) if better is not None else ()
    alike = any(texts[place] == texts[best[0]] for place in range(len(found)) if place not in best) if best else False
    return Row(name, found, texts, () if alike else best)


@dataclass(frozen=True, slots=True)
class _Ends:
    """What a metric came to. `last` is the mean of the ranks' newest values, the word NaN where one is no number.

    `least` was told by rank `who`, one of `ranks`.
    """

    last: Value = math.nan
    least: float = math.nan
    least_at: float = math.nan
    most: float = math.nan
    spread: float = math.nan
    who: int = -1
    ranks: int = 0


def _ends(lines: Lines | None) -> _Ends:
    found = [line for line in lines.lines if len(line.value)] if lines is not None else []
    if not found:
        return _Ends()
    newest = [float(line.value[-1]) for line in found]
    last: Value = sum(newest) / len(newest) if np.isfinite(newest).all() else NOT_A_NUMBER
    good = [(line, np.isfinite(line.value)) for line in found]
    finite = [(line.step[where], line.value[where]) for line, where in good if where.any()]
    if not finite:
        return _Ends(last)
    ranks = [line.rank for line, where in good if where.any()]
    least, who, at = min(
        (float(value.min()), rank, float(step[value.argmin()]))
        for rank, (step, value) in zip(ranks, finite, strict=True)
    )
    return _Ends(last, least, at, max(float(value.max()) for _, value in finite), spread(finite), who, len(found))


def _last_loss(side: Side, ends: _Ends) -> Value:
    if side.summary is None:
        return ends.last
    return NOT_A_NUMBER if side.summary.loss_bad else side.summary.final_loss


def _least_loss(side: Side, ends: _Ends) -> float:
    return ends.least if side.summary is None else side.summary.min_loss


def _least_rank(side: Side, ends: _Ends) -> str:
    """Which of several ranks had the lowest loss."""
    told = Ends(who=ends.who, ranks=ends.ranks) if side.summary is None else side.summary.ends
    return str(told.who) if told.ranks > 1 and told.who >= 0 else ""


def _status(side: Side) -> str:
    if side.summary is not None:
        return side.summary.state
    return "" if side.told is None else side.told.status.value


def _attempt(side: Side) -> str:
    number = side.newest if side.run.attempt is None else side.run.attempt
    newest = max(number, side.newest)
    return "" if newest < 2 else f"{number} of {newest}"


def _of(side: Side, name: str) -> float:
    return math.nan if side.told is None else float(getattr(side.told, name))


def _step(side: Side) -> float:
    return _of(side, "step") if side.summary is None else side.summary.step


def _duration(side: Side) -> float:
    return _of(side, "duration") if side.summary is None else side.summary.duration


def _throughput(side: Side) -> float:
    return _of(side, "throughput") if side.summary is None else side.summary.avg_throughput


def _size(side: Side) -> float:
    return _of(side, "world_size") if side.summary is None else float(side.summary.world_size)


def _alerts(side: Side) -> str:
    """How many alerts fire; of an attempt that is over nobody knows any more."""
    if side.summary is None:
        return ""
    worst = sum(alert.severity is Severity.CRIT for alert in side.summary.alerts)
    found = len(side.summary.alerts)
    return f"{found} ({worst} critical)" if worst else str(found) if found else "none"


# --- how they were started


def _doubled(configs: Sequence[Config]) -> set[str]:
    """`total_steps`, where an option such as `steps` or `max_steps` says the same of every run."""
    told = [config.get("total_steps") for config in configs]
    options = {name for config in configs for name in config if name.endswith("steps")} - {"total_steps"}
    return {"total_steps"} if any([config.get(name) for config in configs] == told for name in options) else set()


def config_difference(configs: Sequence[Config | None]) -> tuple[tuple[Setting, ...], int]:
    """What differs, by name, and how many names have the same value in all; runs that tell nothing are left out."""
    told = [config for config in configs if config]
    if len(told) < 2:
        return (), 0
    names = sorted({name for config in told for name in config} - _doubled(told))
    differing = [name for name in names if len({config.get(name) for config in told}) > 1]
    settings = tuple(
        Setting(name, tuple(config.get(name) if config else None for config in configs)) for name in differing
    )
    return settings, len(names) - len(differing)
