"""The scalars in the records of TensorBoard's event files, and nothing else of them.

The messages are read by hand: tensorboard's compiled ones take half a second to import, and an event with a scalar has
one form, whose bytes are lifted into columns without making any message. What looks different is read field by field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from struct import Struct
from typing import Final, TypeAlias

import numpy as np

from ugro_tui.core.records import Matrix
from ugro_tui.core.text import visible

MAX_TAGS: Final = 2_048
"""Tags kept of one file: more are not metrics but a leak."""

MAX_TAG: Final = 200
"""Characters kept of a tag."""

_Value: TypeAlias = int | bytes
_Scalar: TypeAlias = tuple[bytes, float]

# An ordinary event: wall_time (1, double), step (2, varint), summary (5) > value (1) > tag (1), simple_value (2, float)
_WALL, _STEP, _SUMMARY, _SIMPLE = 0x09, 0x10, 0x2A, 0x15
_BEFORE_STEP: Final = 10
_BEFORE_TAG: Final = 6
_LONGEST_STEP: Final = 10
_LEAST: Final = 24
"""Bytes of an event that are looked at without asking whether they are there: a shorter one is no ordinary one."""

_double = Struct("<d").unpack
_float = Struct("<f").unpack

_DT_FLOAT, _DT_DOUBLE = 1, 2
_NUMBERS: Final = {_DT_FLOAT: (5, "<f4"), _DT_DOUBLE: (6, "<f8")}
"""By a tensor's type: the field that holds its values, and how each is written there and in `tensor_content`."""


class ScalarDecoder:
    """Decodes the records of one event file, in order; with `only`, the scalars of that tag alone."""

    def __init__(self, only: str | None = None) -> None:
        self.tags: set[str] = set()
        """The tags seen so far, made safe to show, at most `MAX_TAGS`."""
        self._only = only
        self._names: dict[bytes, str] = {}
        self._of_scalars: set[bytes] = set()
        self._found: dict[str, list[Matrix]] = {}

    def take(self, records: Iterable[bytes]) -> dict[str, Matrix]:
        """The points of each tag, shape `[points, 3]`: step, Unix seconds, value. Never raises on what a file holds."""
        self._found = {}
        ordinary: dict[bytes, list[bytes]] = {}
        for record in records:
            around = _around_tag(record)
            points = ordinary.get(around)
            if points is None and _is_whole(around):
                points = ordinary[around] = []
            if points is not None:
                points.append(record)
            elif scalars := self._odd(record):
                self._keep(ordinary)  # in the order of the file
                for tag, row in scalars:
                    self._add(tag, np.array([row]))
        self._keep(ordinary)
        return {name: np.concatenate(rows) if len(rows) > 1 else rows[0] for name, rows in self._found.items()}

    def _keep(self, ordinary: dict[bytes, list[bytes]]) -> None:
        for around, records in ordinary.items():
            for _, alike in groupby(records, len):
                self._add(around[_BEFORE_TAG:-1], _rows(list(alike), len(around)))
        ordinary.clear()

    def _add(self, tag: bytes, rows: Matrix) -> None:
        name = self._name(tag)
        if self._only == name or (self._only is None and name in self.tags):
            self._found.setdefault(name, []).append(rows)

    def _odd(self, record: bytes) -> list[tuple[bytes, tuple[float, float, float]]]:
        """The scalars of a record that is read field by field; none where it cannot be read to its end."""
        try:
            wall, step, scalars = self._event(record)
        except (ValueError, IndexError):
            return []
        return [(tag, (step, wall, value)) for tag, value in scalars]

    def _name(self, tag: bytes) -> str:
        name = self._names.get(tag)
        if name is None:
            name = visible(tag.decode("utf-8", "replace"), MAX_TAG)
            if len(self._names) < MAX_TAGS:
                self._names[tag] = name
                self.tags.add(name)
        return name

    def _event(self, record: bytes) -> tuple[float, float, list[_Scalar]]:
        wall, step, scalars = 0.0, 0.0, list[_Scalar]()
        for field, value in _fields(record):
            if field == 1 and isinstance(value, bytes) and len(value) == 8:
                (wall,) = _double(value)
            elif field == 2 and isinstance(value, int):
                step = float(_signed(value))
            elif field == 5 and isinstance(value, bytes):
                scalars += self._summary(value)
        return wall, step, scalars

    def _summary(self, summary: bytes) -> Iterator[_Scalar]:
        for field, value in _fields(summary):
            if field == 1 and isinstance(value, bytes) and (scalar := self._value(value)) is not None:
                yield scalar

    def _value(self, message: bytes) -> _Scalar | None:
        """A tag and its scalar; None where it is no scalar. Only the first value of a tag has to say what it is."""
        parts = dict(_fields(message))
        tag, simple, tensor, about = (parts.get(field) for field in (1, 2, 8, 9))
        if not isinstance(tag, bytes):
            return None
        if isinstance(simple, bytes) and len(simple) == 4:
            return tag, _float(simple)[0]
        if isinstance(about, bytes) and _plugin(about) == b"scalars" and len(self._of_scalars) < MAX_TAGS:
            self._of_scalars.add(tag)
        number = _tensor(tensor) if isinstance(tensor, bytes) and tag in self._of_scalars else None
        return None if number is None else (tag, number)


def _around_tag(record: bytes) -> bytes:
    """What an ordinary event has between its step and its value: the same for all points of a tag. Else empty."""
    if len(record) < _LEAST or record[0] != _WALL:
        return b""
    begin = _BEFORE_STEP - 1
    if record[begin] == _STEP:
        begin += 2
        while record[begin - 1] > 0x7F and begin < _BEFORE_STEP + _LONGEST_STEP:
            begin += 1
    return record[begin:-4]


def _is_whole(around: bytes) -> bool:
    """Whether the keys and lengths that stand before a tag are those of an ordinary event, and fit: below 128 all."""
    if len(around) <= _BEFORE_TAG or around[-1] != _SIMPLE:
        return False
    summary, outer, value, inner, tag, length = around[:_BEFORE_TAG]
    keys, lengths = (summary, value, tag), (outer, inner, length)
    of_tag = len(around) - _BEFORE_TAG - 1
    return keys == (_SUMMARY, 0x0A, 0x0A) and lengths == (of_tag + 9, of_tag + 7, of_tag) and outer < 0x80


def _rows(records: list[bytes], around: int) -> Matrix:
    """The points of ordinary events of one length and tag, shape `[points, 3]`; `around`: bytes around the tag."""
    size = len(records[0])
    table = np.frombuffer(b"".join(records), np.uint8).reshape(-1, size)
    steps = np.zeros(len(table), np.uint64)
    for place, column in enumerate(range(_BEFORE_STEP, size - around - 4)):
        steps |= (table[:, column] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * place)
    rows = np.empty((len(table), 3))
    rows[:, 0] = steps.view(np.int64)
    rows[:, 1] = table[:, 1:9].copy().view("<f8")[:, 0]
    rows[:, 2] = table[:, -4:].copy().view("<f4")[:, 0]
    return rows


def _plugin(about: bytes) -> _Value | None:
    """SummaryMetadata: plugin_data (1) > plugin_name (1)."""
    data = dict(_fields(about)).get(1)
    return dict(_fields(data)).get(1) if isinstance(data, bytes) else None


def _tensor(tensor: bytes) -> float | None:
    """The number in a TensorProto of one number: dtype (1), tensor_content (4), float_val (5), double_val (6)."""
    parts = dict(_fields(tensor))
    kind = parts.get(1)
    field, form = _NUMBERS.get(kind, (0, "")) if isinstance(kind, int) else (0, "")
    content = parts.get(field) or parts.get(4)
    if not form or not isinstance(content, bytes):
        return None
    numbers = np.frombuffer(content, form)
    return float(numbers[0]) if len(numbers) == 1 else None


def _fields(message: bytes) -> Iterator[tuple[int, _Value]]:
    """The fields of a message in order: a number for a varint, else the bytes.

    Raises:
        ValueError, IndexError: it is none.
    """
    at, size = 0, len(message)
    while at < size:
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        else:
            length = _FIXED[kind]
        if at + length > size:
            raise ValueError("the message is cut")
        yield key >> 3, message[at : at + length]
        at += length


class _Fixed(dict[int, int]):
    def __missing__(self, kind: int) -> int:
        raise ValueError(f"no wire type {kind} is in use")


_FIXED: Final = _Fixed({1: 8, 5: 4})


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of at most ten bytes, and what follows it."""
    value = 0
    for place in range(_LONGEST_STEP):
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number of more than ten bytes")


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
