"""Two to four runs side by side: final numbers, losses at the same place, and what differs in how they were started."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ugro_tui.core.compared import RunName
from ugro_tui.core.metric_names import OWN
from ugro_tui.core.noise import best_of
from ugro_tui.core.numbers import UNKNOWN, clock, compact, count, plain
from ugro_tui.core.run_config import Config
from ugro_tui.core.same_place import Difference, differences
from ugro_tui.core.side import MetricEnds, Side, Value

LOSS: Final = "loss"

Better: TypeAlias = Callable[[Iterable[float]], float] | None
"""Takes the best of values; None where it is not clear which is."""


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
    as_of: tuple[float, ...] = ()
    """Of each run that goes on, the step of which its numbers are; NaN of the others."""

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
    shown = [side.known(side.loss if metric == LOSS else side.metric) for side in sides]
    settings, same = config_difference([None if side.told is None else side.told.config for side in sides])
    return Comparison(
        runs=tuple(side.run for side in sides),
        metric=metric,
        rows=tuple(_rows(sides, metric)),
        differences=tuple(differences(shown)),
        settings=settings,
        same=same,
        as_of=tuple(side.as_of for side in sides),
    )


# --- final numbers


def _rows(sides: Sequence[Side], metric: str) -> list[Row]:
    last, least = "last loss", "min loss"
    lowest = min if _as_far(sides) else None
    losses, held = [side.ends(side.loss) for side in sides], [side.ends(side.validation) for side in sides]
    goes_on = any(not math.isnan(side.as_of) for side in sides)
    validated = any(map(_is_validation, sides))
    rows = [
        _texts("status", [side.status for side in sides]),
        _texts("attempt", [side.attempt for side in sides]),
        _numbers(last, map(Side.last_loss, sides, losses), plain, lowest, [ends.spread for ends in losses]),
        _numbers(least, map(Side.least_loss, sides, losses), plain, lowest, [ends.spread for ends in losses]),
        _numbers("  at step", [ends.least_at for ends in losses], count),
        _texts("  of rank", map(Side.least_rank, sides, losses)),
        *([] if validated else _validation_rows(held, lowest)),
        *(_metric_rows(sides, metric, lowest if validated else None) if metric != LOSS else ()),
        replace(_numbers("steps", [side.step for side in sides], count), note=_AS_OF if goes_on else ""),
        _numbers("tokens", [side.tokens for side in sides], compact),
        _numbers("duration", [side.duration for side in sides], clock),
        _numbers(_MEAN_RATE, [side.throughput for side in sides], compact, max),
        _numbers("tok/s per rank", [side.throughput / (side.size or math.nan) for side in sides], compact, max),
        _numbers("ranks", [side.size for side in sides], count),
        _texts("GPU", [side.told.gpu if side.told is not None else "" for side in sides]),
        _texts(_FIRED, [side.alerts for side in sides]),
    ]
    means = any(ends.ranks > 1 or side.size > 1 for side, ends in zip(sides, losses, strict=True))
    return [
        replace(row, note=_note(row, means=means)) if not row.note else row
        for row in rows
        if row.name in _ALWAYS or any(text != UNKNOWN for text in row.texts)
    ]


_AS_OF: Final = "so far"
"""Said beside the steps: of a run that goes on, all its numbers are as of that step."""


def _as_far(sides: Sequence[Side]) -> bool:
    """Whether all runs have come to their end, or equally far: else the one that is ahead has a lower loss for that."""
    steps = {side.step for side in sides}
    return {side.status for side in sides} <= {"finished", ""} or len(steps) == 1


def _note(row: Row, *, means: bool) -> str:
    """What number it is: the mean of several ranks, or over the time that its steps took; or what fired at any time."""
    if row.name == _MEAN_RATE:
        return "over steps"
    if row.name == _FIRED:
        return "fired"
    return "mean" if means and row.name.startswith("last ") else ""


_FIRED: Final = "alerts"

_MEAN_RATE: Final = "tok/s, mean"

_ALWAYS: Final = ("status", "last loss", "min loss", "steps", "duration")


def _is_validation(side: Side) -> bool:
    """Whether the metric that is looked at is the loss that was validated, under the same name or a short one."""
    names = [lines.metric.removeprefix(OWN) for lines in (side.validation, side.metric) if lines is not None]
    return len(names) == 2 and names[0] == names[1]


def _validation_rows(held: Sequence[MetricEnds], lowest: Better) -> list[Row]:
    return [
        _numbers("last val loss", [ends.last for ends in held], plain, lowest, [ends.spread for ends in held]),
        _numbers("min val loss", [ends.least for ends in held], plain, lowest, [ends.spread for ends in held]),
    ]


def _metric_rows(sides: Sequence[Side], metric: str, lowest: Better) -> list[Row]:
    """`lowest`: which is best, where lower is better; of other metrics it is not clear."""
    ends = [side.ends(side.metric) for side in sides]
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
