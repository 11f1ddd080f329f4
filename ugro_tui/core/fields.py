"""Single values of a record as the type that is meant. A node's data is never trusted to have it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from itertools import islice

from ugro_tui.core.text import visible

MAX_NAMES = 256
"""Names kept of one mapping that a user's script fills: more is not a metric but a leak."""

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number(value: object, default: float = math.nan) -> float:
    """`value` as a float; the protocol's strings for non-finite values included; `default` for anything else."""
    if type(value) is float:  # as a rule
        return value
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str):
        return _NON_FINITE.get(value, default)
    return default


def integer(value: object) -> int | None:
    """`value` as an int, or None where it is none (a float such as 1e30 or NaN is none)."""
    as_float = number(value)
    if isinstance(value, str) or not math.isfinite(as_float) or abs(as_float) > 2**53:
        return None
    return int(as_float)


def positive(value: object, limit: int = 2**53) -> int | None:
    """`value` as an int from 1 to `limit`, or None: a size or a plan outside of that is not believed."""
    found = integer(value)
    return found if found is not None and 1 <= found <= limit else None


def text(value: object) -> str:
    """`value` as text that is safe to show; empty for anything that is not a string."""
    return visible(value) if isinstance(value, str) else ""


def word(value: object) -> str:
    """As `text`, of what many ranks say alike, or one again and again: one object for all of them."""
    return sys.intern(text(value))


def numbers(value: object) -> dict[str, float]:
    """The numeric entries of a mapping, names made safe to show; empty where `value` is no mapping."""
    if not isinstance(value, Mapping):
        return {}
    entries = islice(value.items(), MAX_NAMES)
    return {visible(str(name), 80): number(entry) for name, entry in entries if is_number(entry)}


def is_number(value: object) -> bool:
    """Whether `value` is a number, NaN included, or one of the protocol's strings for a non-finite one."""
    return isinstance(value, int | float) or (isinstance(value, str) and value in _NON_FINITE)
