"""What rows of a table can be filtered and sorted by: fields, their units, and how their values are handed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ugro_tui.core.numbers import UNKNOWN

Values: TypeAlias = npt.NDArray[np.float64] | Sequence[str]
"""One value a row: numbers with NaN where not known, or texts that are empty where not known."""

Reader: TypeAlias = Callable[[str], Values]
"""Gives the values of the field of that name."""

UNKNOWN_WORDS: Final = ("unknown", UNKNOWN)
"""How one asks for rows of which a field is not known."""


def _units(bare: float, **named: float) -> dict[str, float]:
    return {"": bare} | {name.casefold(): factor for name, factor in named.items()}


NUMBER: Final = _units(1.0, k=1e3, M=1e6, G=1e9, T=1e12)
PERCENT: Final = {"": 1.0, "%": 1.0}
DEGREES: Final = {"": 1.0, "°": 1.0, "c": 1.0, "°c": 1.0}
WATTS: Final = _units(1.0, w=1.0, kW=1e3)
SECONDS: Final = _units(1.0, us=1e-6, ms=1e-3, s=1.0, m=60.0, min=60.0, h=3600.0, d=86400.0)
MILLISECONDS: Final = SECONDS | {"": 1e-3}
"""Values in seconds that are shown, and so typed, in milliseconds."""
GIBIBYTES: Final = {"": 2.0**30, "b": 1.0} | {
    f"{letter}{end}": 1024.0**power for power, letter in enumerate("kmgt", 1) for end in ("", "b", "ib")
}
"""Values in bytes that are shown, and so typed, in GiB."""


@dataclass(frozen=True, slots=True)
class Field:
    """Something that rows are filtered and sorted by.

    `units`: of a number, the factor of each unit in lower case, "" for a number without one; None: it is text.
    `words`: all values that a text can have, in the order in which they sort. `whole`: numbers that are counted, so
    that `:10` means no more than 10. `aliases`: other names that people type.
    """

    name: str
    units: Mapping[str, float] | None = None
    words: tuple[str, ...] = ()
    whole: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """Everything that it is called."""
        return (self.name, *self.aliases)


def field_named(name: str, fields: Iterable[Field]) -> Field | None:
    """The field that is called so, whatever the case."""
    return next((field for field in fields if name.casefold() in field.named), None)


def closest_first(word: str, known: Iterable[str]) -> str:
    """All that is known, what looks like `word` first: to be shown to who mistyped it."""
    names = list(known)
    near = [name for name in names if name.startswith(word)] + get_close_matches(word, names)
    return ", ".join(dict.fromkeys(near + names))
