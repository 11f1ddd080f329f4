"""The options of a run as its script hands them in, made safe to write: names to numbers, words, or more of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .capture import plain

MOST_NAMES = 256
"""Options written in all: a line of more than 1 MiB would be passed over by readers."""
MOST_TEXT = 200
"""Characters written of a value that is text, and of a name."""
_DEEPEST = 4


def check_config(config: Any) -> dict[str, Any] | None:
    """`config` as the `start` record holds it; None where there is none.

    Raises ValueError: it is no mapping. A value that is neither number, text, None nor a mapping is written as the
    text that `str` makes of it.
    """
    if config is None:
        return None
    if not isinstance(config, Mapping):
        raise ValueError(f"config must be a mapping of names to values, as vars(args), not {type(config).__name__}")
    return _mapping(config, _DEEPEST, iter(range(MOST_NAMES)))


def _mapping(config: Mapping[Any, Any], depth: int, room: Iterator[int]) -> dict[str, Any]:
    return {_text(name): _value(value, depth - 1, room) for _, (name, value) in zip(room, config.items())}


def _value(value: Any, depth: int, room: Iterator[int]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping) and depth:
        return _mapping(value, depth, room)
    try:
        return plain(value) if isinstance(value, (int, float)) else _text(value)
    except OverflowError:
        return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)[:MOST_TEXT]
    except Exception:  # noqa: BLE001 - a user's object may do anything when it is shown
        return f"a {type(value).__name__}"
