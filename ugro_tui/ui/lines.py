"""What a table shows: lines with an identity each, and the values that they are filtered and sorted by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ugro_tui.core.filter_fields import Values
from ugro_tui.ui.columns import R

R_co = TypeVar("R_co", covariant=True)

Key: TypeAlias = int | str
"""What a line is known by, from one picture to the next: a rank, the name of a node, the id of a job."""


class Lines(Protocol[R_co]):
    """The lines of a table, in the order in which they come without a sort. They never change: news are other lines."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> R_co:
        """What the cells of the line at `index` are made from. Called for visible lines alone."""
        ...

    def key(self, index: int) -> Key:
        """The identity of the line at `index`."""
        ...

    def place(self, key: Key) -> int | None:
        """The index of the line of that identity; None where it is gone."""
        ...

    def values(self, field: str) -> Values:
        """One value a line, by the name of a field."""
        ...

    def trouble(self) -> npt.NDArray[np.float64]:
        """How bad each line is, shape `[lines]`; 0 where all is well."""
        ...


class Listed(Generic[R]):
    """Lines over some objects, for tables of tens of lines, not thousands.

    `key` is the identity of an object, `values` gives a number (NaN: unknown) or a text (empty: unknown) of it by the
    name of a field, `trouble` how bad it is, 0 where all is well.
    """

    def __init__(
        self,
        rows: Sequence[R],
        key: Callable[[R], Key],
        values: Mapping[str, Callable[[R], float] | Callable[[R], str]],
        trouble: Callable[[R], float] = lambda _: 0.0,
    ) -> None:
        self._rows = rows
        self._key = key
        self._values = values
        self._trouble = trouble

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def _places(self) -> dict[Key, int]:
        return {self._key(row): index for index, row in enumerate(self._rows)}

    def row(self, index: int) -> R:
        """The object at `index`."""
        return self._rows[index]

    def key(self, index: int) -> Key:
        """Its identity."""
        return self._key(self._rows[index])

    def place(self, key: Key) -> int | None:
        """Where the object of that identity stands."""
        return self._places.get(key)

    def values(self, field: str) -> Values:
        """One value an object."""
        found = [self._values[field](row) for row in self._rows]
        texts = [value for value in found if isinstance(value, str)]
        return texts if texts else np.array(found, float)

    def trouble(self) -> npt.NDArray[np.float64]:
        """How bad each object is."""
        return np.array([self._trouble(row) for row in self._rows], float)
