"""What each setting may be: readers that take what was typed, and say where and why it cannot be used."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ugro_tui.core.errors import BadInput
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.rules.rule import ENABLED, Thresholds
from ugro_tui.core.text import visible
from ugro_tui.core.theme_names import THEMES
from ugro_tui.nodes.inventory import LOCAL, NodeSettings, is_word

DEFAULT_METRICS_DIR = "~/ugro_data/jobs"
DEFAULT_CENTRAL = "~/ugro_data/central"
MIN_REFRESH, MAX_REFRESH = 0.2, 3600.0
ENGINES = ("builtin", "rsync")
"""How event files are brought: by ourselves, or by the rsync program."""

NODE_KEYS = ("user", "port", "metrics_dir")


def directory(value: object, origin: str) -> Path:
    """An absolute path, `~` expanded.

    Raises:
        BadInput: it is no directory name.
    """
    return _path(value, origin, "directory")


def _file(value: object, origin: str) -> Path:
    path = _path(value, origin, "file")
    if not path.exists():
        raise BadInput(f"{origin}: {visible(str(path))}: no such file: give another, or leave it out")
    return path


def _path(value: object, origin: str, kind: str) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise BadInput(f"{origin}: {_shown(value)} is not a {kind} name: give a path as text")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:
        raise BadInput(f"{origin}: {visible(str(value))}: {error}: give the whole path") from None


def _seconds(value: object, origin: str) -> float:
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not MIN_REFRESH <= seconds <= MAX_REFRESH:
        raise BadInput(
            f"{origin}: {_shown(value)} is not a time in seconds between {MIN_REFRESH} and {MAX_REFRESH:.0f}"
        )
    return seconds


def _nodes(value: object, origin: str) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise BadInput(
            f'{origin}: {_shown(value)} names no nodes: give text such as "gpu1,gpu[2-4]" or a list of such texts'
        )
    return tuple(texts)


def _engine(value: object, origin: str) -> str:
    if value not in ENGINES:
        raise BadInput(f"{origin}: {_shown(value)} is not an engine: choose {' or '.join(ENGINES)}")
    return str(value)


def _theme(value: object, origin: str) -> str:
    if value not in THEMES:
        raise BadInput(f"{origin}: {_shown(value)} is not a theme: choose {', '.join(THEMES[:-1])} or {THEMES[-1]}")
    return str(value)


def _text(value: object, origin: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadInput(f"{origin}: {_shown(value)} is not a path: give one as text")
    return value


def _ascii(value: object, origin: str) -> bool:
    """A variable can say it too, so words are read."""
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    found = value if isinstance(value, bool) else words.get(str(value).lower()) if isinstance(value, str) else None
    if found is None:
        raise BadInput(f"{origin}: {_shown(value)} is neither true nor false")
    return found


READERS: Mapping[str, Callable[[object, str], Any]] = {
    "metrics_dir": directory,
    "refresh": _seconds,
    "nodes": _nodes,
    "hostfile": _file,
    "ssh_config": _file,
    "central": directory,
    "engine": _engine,
    "theme": _theme,
    "ascii": _ascii,
    "launch_script": _text,
    "launch_python": _text,
    "read_only": _ascii,
}
"""The settings that the file, a variable and a flag can each give."""


def _command(value: object, origin: str) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else []
    if not texts or not texts[0] or not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise BadInput(
            f"{origin}: {_shown(value)} is no command: give a list of the program and its arguments, as "
            '["notify-send", "training"]; no shell reads it'
        )
    return tuple(texts)


def _switch(value: object, origin: str) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"{origin}: {_shown(value)} is neither true nor false")
    return value


FILE_READERS: Mapping[str, Callable[[object, str], Any]] = {"on_alert": _command, "bell": _switch}
"""The settings that stand in the file alone."""


def alert_tables(value: object, origin: str) -> Thresholds:
    """The tables `[alerts.NAME]` of a settings file.

    Raises:
        BadInput: one of them is no table, or holds what is not known or not usable.
    """
    if not isinstance(value, dict):
        raise BadInput(f"{origin}: {_shown(value)} is not a table: write [alerts.NAME] and below it its numbers")
    found = DEFAULTS
    for name, table in value.items():
        if not isinstance(table, dict):
            raise BadInput(
                f"{origin}.{visible(name, 80)}: {_shown(table)} is not a table: write [alerts.NAME] and below it its "
                "numbers"
            )
        for number, wanted in table.items():
            found = _threshold(found, f"{name}.{number}", wanted, origin)
    return found


def _threshold(thresholds: Thresholds, name: str, wanted: object, origin: str) -> Thresholds:
    if name.endswith(f".{ENABLED}"):
        wanted = float(_switch(wanted, f"{origin}.{visible(name, 80)}"))
    elif isinstance(wanted, bool | str):
        raise BadInput(f"{origin}.{visible(name, 80)}: {_shown(wanted)} is not a number: write it without quotes")
    try:
        return thresholds.having(name, wanted)
    except BadInput as error:
        raise BadInput(f"{origin}: {error}") from None


def node_tables(value: object, origin: str) -> dict[str, NodeSettings]:
    """The tables `[node.NAME]` of a settings file.

    Raises:
        BadInput: one of them is no table, or holds what is not known or not usable.
    """
    if not isinstance(value, dict):
        raise BadInput(
            f"{origin}: {_shown(value)} is not a table: write [node.NAME] and below it user, port, metrics_dir"
        )
    return {name: _node(table, f"{origin}.{visible(name, 80)}", name) for name, table in value.items()}


def _node(table: object, origin: str, name: str) -> NodeSettings:
    if name == LOCAL:
        raise BadInput(f"{origin}: this machine is not reached over SSH: remove the table, and set metrics_dir itself")
    if not isinstance(table, dict):
        raise BadInput(
            f"{origin}: {_shown(table)} is not a table: write [{origin.rpartition(': ')[2]}] above the settings"
        )
    unknown = sorted(table.keys() - set(NODE_KEYS))
    if unknown:
        raise BadInput(
            f"{origin}.{visible(unknown[0], 80)}: no such setting: remove it; there are: {', '.join(NODE_KEYS)} "
            '(a name with dots is written in quotes: [node."a.b"])'
        )
    return NodeSettings(
        user=_user(table["user"], f"{origin}.user") if "user" in table else "",
        port=_port(table["port"], f"{origin}.port") if "port" in table else None,
        metrics_dir=_remote_dir(table["metrics_dir"], f"{origin}.metrics_dir") if "metrics_dir" in table else "",
    )


def _user(value: object, origin: str) -> str:
    if not isinstance(value, str) or not is_word(value):
        raise BadInput(f"{origin}: {_shown(value)} is not a user's name: give the name to log in with as text")
    return value


def _port(value: object, origin: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise BadInput(f"{origin}: {_shown(value)} is not a port: give a number from 1 to 65535")
    return value


def _remote_dir(value: object, origin: str) -> str:
    """As typed: `~` is the home on the node."""
    if not isinstance(value, str) or not value or visible(value) != value:
        raise BadInput(f"{origin}: {_shown(value)} is not a directory name: give a path on the node as text")
    return value


def _shown(value: object) -> str:
    try:
        return visible(repr(value), 80)
    except ValueError:  # a whole number of more digits than Python prints
        return "a number that is far too large"
