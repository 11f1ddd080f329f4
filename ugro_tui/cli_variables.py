"""The variables that `launch` is told to give to ranks: `--env` and `--secret`."""

from __future__ import annotations

from collections.abc import Sequence

from ugro_tui.core.errors import BadInput
from ugro_tui.core.text import visible


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """`K=V` texts as a mapping.

    Raises:
        BadInput: one of them has no `=`, or no name before it.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise BadInput(f"{option}: {visible(text, 80)!r} is no NAME=VALUE: write {option} NAME=VALUE")
        found[name] = value
    return found


def secrets_from(texts: Sequence[str]) -> dict[str, str]:
    """`K=FILE` texts as a mapping, and `K` alone with an empty file: a person is asked for it.

    Raises:
        BadInput: one has no name, or no file behind `=`.
    """
    found = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not name or (equals and not path):
            raise BadInput(
                f"--secret: {visible(text, 80)!r} is no NAME=FILE: write --secret NAME=FILE, or --secret NAME"
            )
        found[name] = path
    return found
