"""A record to one line of JSON: orjson where it is installed, else the standard library."""

from __future__ import annotations

import json
from typing import Any, Callable

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

Encode = Callable[[dict[str, Any]], bytes]


def encode_with_json(record: dict[str, Any]) -> bytes:
    """One line, newline included. Raises ValueError or TypeError on what JSON cannot hold.

    ASCII only, so that a lone surrogate in a name cannot make the line invalid UTF-8.
    """
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def encode_with_orjson(record: dict[str, Any]) -> bytes:
    """The same line about five times faster; what orjson refuses (a lone surrogate) goes the slow way.

    orjson writes a non-finite float as null without a word: `capture` has replaced those before.
    """
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return encode_with_json(record)


encode: Encode = encode_with_json if orjson is None else encode_with_orjson
