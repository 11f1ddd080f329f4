"""One number of each step record, over whole files: a typed struct that skips all others costs the least."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias

import msgspec
import numpy as np

from ugro_tui.core.columns import MAX_COUNT
from ugro_tui.core.decode import FORGIVEN, chunks, is_one_a_line
from ugro_tui.core.events import parse
from ugro_tui.core.fields import number, numbers
from ugro_tui.core.points import STEP, TOKENS
from ugro_tui.core.records import Matrix
from ugro_tui.core.text import visible
from ugro_tui.core.thinning import Mask

Rows: TypeAlias = tuple[Matrix, Mask]
"""Points as `core.points` has them, and which of them have a value."""

_MAX_NAME: Final = 80  # as `fields.numbers` cuts them

_Number = float | Literal["NaN", "Infinity", "-Infinity"] | None
_Value = float | bool | Literal["NaN", "Infinity", "-Infinity"] | None
_STEP_KIND = Literal["step"]
_axes = attrgetter("step", "ts", "tokens")
_value = attrgetter("value")
_part = attrgetter("part")


class MetricRows:
    """Takes a number out of step records: `field` of their object `part`, or of the record itself where it is empty."""

    def __init__(self, part: str, field: str) -> None:
        self._part = part
        self._field = field
        self._decoder = _decoder(part, field) if _is_plain(field) else None

    def take(self, lines: bytes) -> Iterator[Rows]:
        """The points of whole lines, in order. Lines that cannot be read are passed over; never raises."""
        for chunk in chunks(lines):
            yield from self._rows(chunk)

    def _rows(self, lines: bytes) -> Iterator[Rows]:
        rows = self._fast(lines)
        half = lines.find(b"\n", len(lines) // 2) + 1
        if rows is not None:
            yield rows
        elif len(lines) <= FORGIVEN or not 0 < half < len(lines):
            yield self._forgiving(lines)
        else:
            yield from self._rows(lines[:half])
            yield from self._rows(lines[half:])

    def _fast(self, lines: bytes) -> Rows | None:
        """The rows, where every line is an ordinary step record; else None."""
        if self._decoder is None:
            return None
        try:
            records = self._decoder.decode_lines(lines)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if not is_one_a_line(lines, len(records)):
            return None
        values = list(map(_value, (part or _EMPTY for part in map(_part, records)) if self._part else records))
        rows = _matrix(list(map(_axes, records)), values)
        return None if np.abs(rows[:, STEP]).max() > MAX_COUNT else (rows, _told(values))

    def _forgiving(self, lines: bytes) -> Rows:
        steps = [record for record in parse(lines)[0] if record.get("kind") == "step"]
        steps = [record for record in steps if abs(number(record.get("step"))) <= MAX_COUNT]
        axes = [tuple(number(record.get(name)) for name in ("step", "ts", "tokens")) for record in steps]
        parts = [record.get(self._part) if self._part else record for record in steps]
        values = [numbers(part).get(self._field) for part in parts]
        return _matrix(axes, values), _told(values)


def _is_plain(field: str) -> bool:
    """Whether a struct can have a field of this name, and no other name is shown as this one."""
    return json.dumps(field) == f'"{field}"' and len(field) < _MAX_NAME and visible(field) == field


def _decoder(part: str, field: str) -> Any:
    value = ("value", _Value, msgspec.field(default=None, name=field))
    holder: Any = msgspec.defstruct("Part", [value], gc=False) if part else None
    last = ("part", holder | None, msgspec.field(default=None, name=part)) if part else value
    axes: list[Any] = [("kind", _STEP_KIND), ("step", float), ("ts", _Number, None), ("tokens", _Number, None)]
    return msgspec.json.Decoder(msgspec.defstruct("Row", [*axes, last], gc=False))


class _Empty(msgspec.Struct):
    value: None = None


_EMPTY: Final = _Empty()


def _matrix(axes: Sequence[tuple[Any, ...]], values: Sequence[Any]) -> Matrix:
    """numpy reads None as NaN and the protocol's strings as what they spell."""
    rows: Matrix = np.empty((len(axes), 4))
    rows[:, STEP : TOKENS + 1] = np.fromiter(chain.from_iterable(axes), np.float64, 3 * len(axes)).reshape(-1, 3)
    rows[:, TOKENS + 1] = np.fromiter(values, np.float64, len(values))
    return rows


def _told(values: Sequence[Any]) -> Mask:
    return np.array([value is not None for value in values], bool)
