"""A record to one line of JSON: orjson where it is installed, else the standard library."""

from __future__ import annotations

import json
from typing import Any, Callable

try:
    import orjson
except ImportError:
    HAS_ORJSON = False
else:
    HAS_ORJSON = True

Encode = Callable[[dict[str, Any]], bytes]


def encode_with_json(record: dict[str, Any]) -> bytes:
    """One line, newline included. Raises ValueError or TypeError on what JSON cannot hold.

    ASCII only, so that a lone surrogate in a name cannot make the line invalid UTF-8.
    """
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def fastest_encoder() -> Encode:
    """The quicker one of those installed. orjson's raises TypeError on a few things that the other one can write.

    orjson writes a non-finite float as null without a word: `capture` has replaced those before.
    """
    if not HAS_ORJSON:
        return encode_with_json
    # Bound once and passed by position: this call is most of what the writer does.
    dumps, newline = orjson.dumps, orjson.OPT_APPEND_NEWLINE
    return lambda record: dumps(record, None, newline)
