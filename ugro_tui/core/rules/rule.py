"""What a rule of the catalogue is, and the numbers it judges by, which users may set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ugro_tui.core.alerts import Severity
from ugro_tui.core.errors import BadInput
from ugro_tui.core.text import visible

ENABLED = "enabled"
"""A setting that each rule has besides its numbers: 0 switches it off."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number that a rule judges by: its default, and what it means, with its unit; from `least` to `most`."""

    name: str
    default: float
    means: str
    least: float = 0.0
    most: float = math.inf


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the catalogue.

    `key` names it in settings, `title` on the screen; `signal` is what it looks at. `source` says where its numbers
    come from. `next_step` is what to do first, `afterwards` that of a job that is over (empty: the same). `replayed`:
    it needs records alone, so that it can be judged over the history of a finished run.
    """

    key: str
    title: str
    severity: Severity
    signal: str
    fires: str
    clears: str
    source: str
    next_step: str
    numbers: tuple[Number, ...] = ()
    replayed: bool = False
    on: bool = True
    afterwards: str = ""


class Thresholds:
    """The numbers of all rules, as set or by default. Immutable: `having` makes another one."""

    def __init__(self, rules: Mapping[str, Rule], own: Mapping[str, Mapping[str, float]] | None = None) -> None:
        self._rules = rules
        self._own = own or {}
        self._all = {key: _defaults(rule) | dict(self._own.get(key, {})) for key, rule in rules.items()}

    def __getitem__(self, key: str) -> Mapping[str, float]:
        """The numbers of one rule by name."""
        return self._all[key]

    def enabled(self, key: str) -> bool:
        """Whether the rule is judged at all."""
        return self._all[key][ENABLED] != 0

    @property
    def own(self) -> Mapping[str, Mapping[str, float]]:
        """What differs from the defaults because somebody set it."""
        return self._own

    def having(self, name: str, value: object) -> Thresholds:
        """The same, with `name` (such as `gpu_underused.threshold`) set to `value`.

        Raises:
            BadInput: there is no such rule or number, or the value cannot be used; says which there are.
        """
        key, number = self._named(name)
        own = {rule: dict(numbers) for rule, numbers in self._own.items()}
        own.setdefault(key, {})[number.name] = _value(value, f"{key}.{number.name}", number)
        return Thresholds(self._rules, own)

    def _named(self, name: str) -> tuple[str, Number]:
        key, _, wanted = name.partition(".")
        rule = self._rules.get(key)
        if rule is None:
            known = ", ".join(sorted(self._rules))
            raise BadInput(f"{visible(key, 80)}: no such alert: there are: {known}")
        numbers = {number.name: number for number in (*rule.numbers, _switch(rule))}
        if wanted not in numbers:
            known = ", ".join(f"{key}.{one}" for one in numbers)
            raise BadInput(f"{visible(name, 80)}: no such setting of this alert: there are: {known}")
        return key, numbers[wanted]

    def __iter__(self) -> Iterator[str]:
        """The keys of all rules, in the order of the catalogue."""
        return iter(self._rules)


def _switch(rule: Rule) -> Number:
    return Number(ENABLED, float(rule.on), "1: judged, 0: not", 0.0, 1.0)


def _defaults(rule: Rule) -> dict[str, float]:
    return {number.name: number.default for number in (*rule.numbers, _switch(rule))}


def _value(value: object, name: str, number: Number) -> float:
    try:
        found = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not (math.isfinite(found) and number.least <= found <= number.most):
        shown = visible(repr(value), 80)
        upto = f"from {number.least:g} on" if math.isinf(number.most) else f"from {number.least:g} to {number.most:g}"
        raise BadInput(f"{name}: {shown} is not a number {upto}: give {number.means} (default {number.default:g})")
    return found


def settings(thresholds: Thresholds, key: str, rule: Rule) -> Iterator[tuple[Number, float]]:
    """The numbers of a rule with the value in force, for people."""
    for number in (*rule.numbers, _switch(rule)):
        yield number, thresholds[key][number.name]
