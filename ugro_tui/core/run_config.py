"""What a run was started with, flat: dotted names to texts, alike where the values are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

from ugro_tui.core.text import visible

Config: TypeAlias = Mapping[str, str]

MOST_NAMES: Final = 512
"""Names kept of one configuration, of those that a node may make up."""

LONGEST_NAME: Final = 80
LONGEST_VALUE: Final = 200
_DEEPEST: Final = 8

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I | re.ASCII)
_OPTION = re.compile(r"--?[A-Za-z][^=]*(=.*)?", re.S)
_SETTING = re.compile(r"\+{0,2}[A-Za-z_][\w.-]*=.*", re.S)
"""An option as Hydra writes it: `optimizer.lr=3e-4`."""

_WORDS: Final = ("true", "false", "none")


def flattened(value: object) -> dict[str, str]:
    """The scalars of nested mappings, by their dotted names; lists as one text. At most `MOST_NAMES` of them."""
    return dict(islice(_leaves(value, "", _DEEPEST), MOST_NAMES))


def _leaves(value: object, name: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and depth:
        for key, part in value.items():
            yield from _leaves(part, f"{name}.{key}" if name else str(key), depth - 1)
    elif name:
        yield visible(name, LONGEST_NAME), scalar_text(value)


def scalar_text(value: object) -> str:
    """A value as text: numbers alike however they were written (3e-4, 0.0003), and so true, false and none."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _number_text(float(value)) if abs(value) < 2**53 else visible(str(value)[:LONGEST_VALUE])
    if not isinstance(value, str):
        return visible(_listed(value), LONGEST_VALUE)
    if value.lower() in _WORDS:
        return value.lower()
    return _number_text(float(value)) if _NUMBER.fullmatch(value) else visible(value, LONGEST_VALUE)


def _listed(value: object) -> str:
    try:
        return json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return "…"  # nested without end


def _number_text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def options(command: Sequence[str]) -> dict[str, str]:
    """The options in the command line of a training script: what follows its name; the launcher's own are left out.

    `--lr 3e-4`, `--lr=3e-4` and `lr=3e-4` are told as `lr`, `--min-lr` as `min_lr`; an option without a value is true,
    one that begins with `no-` is false. One that has several values, or is repeated, is told with all of them.
    """
    found: dict[str, list[str]] = {}
    name = ""
    for word in _behind_script(command):
        if _OPTION.fullmatch(word):
            name, equals, value = word.lstrip("-").partition("=")
            found.setdefault(name, []).extend([value] if equals else [])
            name = "" if equals else name
        elif name:
            found[name].append(word)
        elif _SETTING.fullmatch(word):
            setting, _, value = word.lstrip("+").partition("=")
            found.setdefault(setting, []).append(value)
    return dict(islice((_option(name, values) for name, values in found.items()), MOST_NAMES))


def _behind_script(command: Sequence[str]) -> Sequence[str]:
    """All that follows the first script; one that is handed to it at once is the script that it runs."""
    places = [place for place, word in enumerate(command) if word.endswith(".py")]
    if not places:
        return command[1:]
    last = places[0]
    while last + 1 in places:
        last += 1
    return command[last + 1 :]


def _option(name: str, values: Sequence[str]) -> tuple[str, str]:
    denied = not values and name.startswith("no-")
    key = (name.removeprefix("no-") if denied else name).replace("-", "_")
    text = scalar_text(" ".join(values)) if values else str(not denied).lower()
    return visible(key, LONGEST_NAME), text


_TOLD: Final = ("world_size", "total_steps", "emit_every", "versions")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a `start` record tells: `own` is what the script has handed in, `told` is the rest that may differ."""

    own: Config
    told: Config

    def merged(self, command: Sequence[str] = ()) -> Config:
        """All of it, and the options of the command line; what the script has handed in is believed first."""
        typed = {name: value for name, value in options(command).items() if name != "job_id"}
        return {**self.told, **typed, **self.own}


NOTHING: Final = RunConfig({}, {})


def config_of(start: Mapping[str, object]) -> RunConfig:
    """What a `start` record tells of how the run was started."""
    gpu = start.get("gpu")
    told: dict[str, object] = {name: start[name] for name in _TOLD if start.get(name) is not None}
    if isinstance(gpu, Mapping) and gpu.get("name") is not None:
        told["gpu"] = gpu["name"]
    return RunConfig(flattened(start.get("config")), flattened(told))
