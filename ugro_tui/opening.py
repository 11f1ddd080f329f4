"""What the command line asks for, as far as no command reads it: the global options, and what opens the screens."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ugro_tui.core.errors import BadInput
from ugro_tui.output import only_ascii, speak_ascii

if TYPE_CHECKING:
    from ugro_tui.config import Config

_GLOBAL: Final = {
    "--config": "FILE",
    "--metrics-dir": "DIR",
    "--nodes": "LIST",
    "--hostfile": "FILE",
    "--ssh-config": "FILE",
    "--central": "DIR",
    "--theme": "NAME",
    "--ascii": "",
    "--read-only": "",
}
"""What may stand before or after the command, and what its value is; empty: it has none."""

_SECONDS: Final = re.compile(r"\d+(\.\d+)?", re.ASCII)


class Opening(NamedTuple):
    """What the screens are to be opened with: the global options by their names, a job or all, how often to look."""

    options: Mapping[str, str | bool]
    job: str | None = None
    refresh: float | None = None


def opened(argv: Sequence[str]) -> Opening | None:
    """What `argv`, hoisted, opens the screens with; None where it is another command, or anything else than plain."""
    rest = list(argv)
    options: dict[str, str | bool] = {}
    while rest and rest[0].partition("=")[0] in _GLOBAL:
        name, equals, value = rest.pop(0).partition("=")
        if equals and not _GLOBAL[name]:
            return None
        options[name] = (value if equals else rest.pop(0)) if _GLOBAL[name] else True
    match rest:
        case []:
            return Opening(options)
        case ["watch", job] if not job.startswith("-"):
            return Opening(options, job)
        case ["watch", job, "-r" | "--refresh", seconds] | ["watch", "-r" | "--refresh", seconds, job] if (
            not job.startswith("-") and _SECONDS.fullmatch(seconds)
        ):
            return Opening(options, job, float(seconds))
    return None


def configured(flags: Mapping[str, object], file: Path | None, refresh: float | None = None) -> Config:
    """The settings in force; from now on, ASCII alone is written where they say so.

    Raises:
        BadInput: a setting cannot be used; says where it was made.
    """
    from ugro_tui.config import load_config

    config = load_config({**flags, "refresh": refresh}, os.environ, file)
    if only_ascii(asked=config.ascii):
        speak_ascii()
    return config


def hoisted(argv: Sequence[str]) -> list[str]:
    """`argv` with the global options moved before the command, wherever before `--` they stood.

    Raises:
        BadInput: one of them stands last, without its value.
    """
    rest, moved = list(argv), []
    end = rest.index("--") if "--" in rest else len(rest)
    place = 0
    while place < end:
        name, equals, _ = rest[place].partition("=")
        if name not in _GLOBAL:
            place += 1
            continue
        width = 1 if equals or not _GLOBAL[name] else 2
        if place + width > end:
            raise BadInput(f"{name} needs a value: {name} {_GLOBAL[name]}")
        moved += rest[place : place + width]
        del rest[place : place + width]
        end -= width
    return moved + rest
