"""Numbers and dataclasses as what JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any


def jsonable(value: object) -> Any:
    """`value` for a JSON encoder: NaN (not known) becomes null, infinities the strings of the protocol."""
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Enum):
        return value.name.lower() if isinstance(value, int) else value.value
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): jsonable(entry) for name, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [jsonable(entry) for entry in value]
    return value


def _float(value: float) -> float | int | str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
