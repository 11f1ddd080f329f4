"""The rows of a table in the order in which they are shown: filtered, sorted, what is not known last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ugro_tui.core.filter_fields import Field, Reader, Values
from ugro_tui.core.filters import Filter

Order: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Sort:
    """By which field rows are sorted; `falling`: the greatest first."""

    field: Field
    falling: bool = False


def arranged(rows: int, read: Reader, narrowed: Filter, sort: Sort | None) -> Order:
    """The indices of the rows that pass the filter, in the order of the sort; without one as they came."""
    mask = narrowed.mask(read, rows)
    if sort is None:
        return np.flatnonzero(mask)
    order = order_of(read(sort.field.name), sort)
    return order[mask[order]]


def order_of(values: Values, sort: Sort) -> Order:
    """The indices of all rows, sorted; equal rows stay as they came, unknown ones come last in both directions."""
    keys = values if isinstance(values, np.ndarray) else _codes(values, sort.field.words)
    unknown = np.isnan(keys)
    known = np.flatnonzero(~unknown)
    sorted_keys = -keys[known] if sort.falling else keys[known]
    return np.concatenate([known[np.argsort(sorted_keys, kind="stable")], np.flatnonzero(unknown)])


def _codes(values: Sequence[str], words: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Texts as numbers that sort alike: by the order of `words`, else with numbers inside of them as numbers."""
    texts = words or sorted(set(values), key=_natural)
    codes = {text: float(place) for place, text in enumerate(texts)} | {"": np.nan}
    return np.array([codes.get(value, np.nan) for value in values], float)


@lru_cache(maxsize=16_384)
def _natural(text: str) -> tuple[list[str | tuple[int, str]], str]:
    """node2 before node10, whatever the case; two texts that differ never count as equal."""
    parts = re.split("([0-9]+)", text.casefold())
    return [_digits(part) if place % 2 else part for place, part in enumerate(parts)], text


def _digits(part: str) -> tuple[int, str]:
    bare = part.lstrip("0")
    return len(bare), bare
