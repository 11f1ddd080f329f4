"""The filter language of tables: `rank:8-15 node~gpu state:stalled wait<20ms -gpu:unknown`.

Terms stand apart by blanks and must all hold. `field:value` is equality, with a set (`8,20`), ranges (`8-15`) and
units (`20G`); `field~text` looks inside of a text; `< <= > >=` compare; `=` is `:`, and `!=` its opposite. `-` or `!`
before a term turns it round. A word alone is looked for in all texts. Case does not matter.

What is not known satisfies no term, turned round or not, but `field:unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ugro_tui.core.filter_fields import UNKNOWN_WORDS, Field, Reader, Values, closest_first, field_named

Mask = npt.NDArray[np.bool_]

_TERM: Final = re.compile(r"(?P<no>[-!]?)(?P<field>[^\s:~<>=!]*)(?P<op>!=|<=|>=|[:~<>=])(?P<value>\S*)")
_NUMBER: Final = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]{1,4})?|[+-]?inf|nan"
_RANGE: Final = re.compile(
    rf"(?P<low>{_NUMBER})(?P<low_unit>[^\s0-9.+-]*)(?:-(?P<high>{_NUMBER})(?P<unit>[^\s0-9.+-]*))?"
)
_COMPARE: Final[dict[str, Callable[[npt.NDArray[np.float64], float], Mask]]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True, slots=True)
class FilterError:
    """Why a filter cannot be read. `column`: where in the text, from 0; `possible`: what could stand there."""

    column: int
    problem: str
    possible: str = ""

    def __str__(self) -> str:
        return f"{self.problem}: {self.possible}" if self.possible else self.problem


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a term as it was typed, in lower case; of a number what it spans, in the field's own unit."""

    text: str
    low: float = 0.0
    high: float = 0.0
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `names`: the fields that it is about, all texts where it is a word alone (`op` is empty)."""

    names: tuple[str, ...]
    op: str
    choices: tuple[Choice, ...]
    negated: bool = False

    def __str__(self) -> str:
        field = self.names[0] if self.op else ""
        return f"{'-' * self.negated}{field}{self.op}{','.join(choice.text for choice in self.choices)}"

    def mask(self, read: Reader) -> Mask:
        """Which rows satisfy it, shape `[rows]`."""
        columns = [read(name) for name in self.names]
        hits: Mask = np.logical_or.reduce([self._one(values, choice) for values in columns for choice in self.choices])
        if not self.negated:
            return hits
        known = np.logical_or.reduce([_known(values) for values in columns])
        mask: Mask = known & ~hits
        return mask

    def _one(self, values: Values, choice: Choice) -> Mask:
        """Which rows are this choice by this field."""
        if choice.unknown:
            return ~_known(values)
        return self._number(values, choice) if isinstance(values, np.ndarray) else self._text(values, choice)

    def _number(self, values: npt.NDArray[np.float64], choice: Choice) -> Mask:
        compare = _COMPARE.get(self.op)
        if compare is not None:
            return compare(values, choice.low)
        within: Mask = (values >= choice.low) & (values <= choice.high)
        return within

    def _text(self, values: Sequence[str], choice: Choice) -> Mask:
        if self.op == ":":
            return _texts(values, lambda value: choice.text in _names(value.casefold()))
        return _texts(values, lambda value: choice.text in value.casefold())


def _names(text: str) -> tuple[str, ...]:
    """What something is called: `box (local)` is `box` as well as `local`."""
    first, opens, other = text.removesuffix(")").partition(" (")
    return (text, first, other) if opens and text.endswith(")") else (text,)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was understood; `str` of it is the same filter again. An empty one lets all rows pass."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def mask(self, read: Reader, rows: int) -> Mask:
        """Which rows pass, shape `[rows]`; `read` gives the values of a field."""
        mask = np.ones(rows, bool)
        for term in self.terms:
            mask &= term.mask(read)
        return mask


class _Wrong(Exception):
    """Carries an error out of the parts of `parse`."""

    def __init__(self, column: int, problem: str, possible: str = "") -> None:
        super().__init__(problem)
        self.error = FilterError(column, problem, possible)


def parse(text: str, fields: Sequence[Field]) -> Filter | FilterError:
    """The filter that `text` says, or why it cannot be read; raises nothing."""
    try:
        return Filter(tuple(_term(word.group(), word.start(), fields) for word in re.finditer(r"\S+", text)))
    except _Wrong as wrong:
        return wrong.error


def _term(word: str, at: int, fields: Sequence[Field]) -> Term:
    match = _TERM.fullmatch(word)
    if match is None:
        return _word(word, at, fields)
    field = field_named(match["field"], fields)
    if field is None:
        column = at + match.start("field")
        typed = match["field"]
        problem = f"no field '{typed}'" if typed else f"a field must stand before '{match['op']}'"
        raise _Wrong(column, problem, closest_first(typed.casefold(), (known.name for known in fields)))
    op = {"=": ":", "!=": ":"}.get(match["op"], match["op"])
    _check(field, op, at + match.start("op"))
    negated = bool(match["no"]) != (match["op"] == "!=")
    return Term((field.name,), op, _choices(field, op, match["value"], at + match.start("value")), negated)


def _word(word: str, at: int, fields: Sequence[Field]) -> Term:
    """A word alone, looked for in every text."""
    negated = word[0] in "-!"
    sought = word[negated:].casefold()
    if not sought:
        raise _Wrong(at + 1, f"a term must follow '{word}'", f"{word}{fields[0].name}:…")
    return Term(tuple(field.name for field in fields if field.units is None), "", (Choice(sought),), negated)


def _check(field: Field, op: str, at: int) -> None:
    """See that the field can be asked so."""
    if field.units is None and op in _COMPARE:
        raise _Wrong(at, f"{field.name} is a text", "use : or ~")
    if field.units is not None and op == "~":
        raise _Wrong(at, f"{field.name} is a number", "use : < <= > >=")


def _choices(field: Field, op: str, value: str, at: int) -> tuple[Choice, ...]:
    parts = value.split(",") if op == ":" else [value]
    choices: list[Choice] = []
    for part in parts:
        if not part:
            raise _Wrong(at, "a value is missing", _example(field))
        choices += _choice(field, op, part.casefold(), at)
        at += len(part) + 1
    return tuple(choices)


def _choice(field: Field, op: str, part: str, at: int) -> list[Choice]:
    if op == ":" and part in UNKNOWN_WORDS and part not in field.words:
        return [Choice(part, unknown=True)]
    if field.units is not None:
        return [_numbers(field.units, field, op, part, at)]
    if op != ":" or not field.words:
        return [Choice(part)]
    meant = [word for word in field.words if word.startswith(part)]
    if not meant:
        raise _Wrong(at, f"no {field.name} '{part}'", closest_first(part, field.words))
    return [Choice(word) for word in ([part] if part in meant else meant)]


def _numbers(units: Mapping[str, float], field: Field, op: str, part: str, at: int) -> Choice:
    """A number or a range of them as typed: what is equal to it spans what would be shown in the same way.

    The ends of a range do so in the unit that is shown, else they are exact: 59 s are not in `1-5m`.
    """
    match = _RANGE.fullmatch(part)
    if match is None or (op != ":" and match["high"]):
        raise _Wrong(at, f"'{part}' is no number", _example(field))
    if not match["high"]:
        factor = _factor(field, match["low_unit"], at + match.end("low"))
        low, slack = _read(match["low"], factor, exact=field.whole or op != ":")
        return Choice(part, low - slack, low + slack)
    unit = _factor(field, match["unit"], at + match.end("high"))
    low_unit = _factor(field, match["low_unit"], at + match.end("low")) if match["low_unit"] else unit
    low, below = _read(match["low"], low_unit, exact=field.whole or low_unit != units[""])
    high, above = _read(match["high"], unit, exact=field.whole or unit != units[""])
    if low > high:
        raise _Wrong(at, f"the range '{part}' is empty", "the lower number first")
    return Choice(part, low - below, high + above)


def _read(number: str, factor: float, *, exact: bool) -> tuple[float, float]:
    """The number in the field's unit, and half of its last digit: `2.3` stands for all that is shown as 2.3.

    A loss that is not a number counts as beyond all numbers. With an exponent, three digits are shown.
    """
    value = float("inf" if number == "nan" else number) * factor
    if exact or not abs(value) < float("inf"):
        return value, 0.0
    digits, _, exponent = number.partition("e")
    decimals = max(len(digits.partition(".")[2]), 2 if exponent else 0)
    half = float(f"5e{int(exponent or 0) - decimals - 1}") * factor
    return value, half if half < float("inf") else 0.0


def _factor(field: Field, unit: str, at: int) -> float:
    units = field.units or {}
    if unit not in units:
        raise _Wrong(at, f"{field.name} has no unit '{unit}'", ", ".join(filter(None, units)))
    return units[unit]


def _example(field: Field) -> str:
    if field.units is None:
        return ", ".join(field.words) or "a text"
    units = [unit for unit in field.units if unit]
    return f"8, 8-15 or unknown{', with ' + ' '.join(units) if units else ''}"


def _texts(values: Sequence[str], test: Callable[[str], bool]) -> Mask:
    """The test of each text; texts repeat, so each is looked at once."""
    passed = {value: test(value) for value in set(values)}
    return np.array([passed[value] for value in values], bool)


def _known(values: Values) -> Mask:
    """Of which rows the value is known."""
    return ~np.isnan(values) if isinstance(values, np.ndarray) else _texts(values, bool)
