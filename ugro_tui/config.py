"""Settings: built-in defaults, then the TOML file, then `UGRO_*` variables, then flags. An error names its place."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from ugro_tui.core.errors import BadInput
from ugro_tui.core.text import visible

MIN_REFRESH, MAX_REFRESH = 0.2, 3600.0


DEFAULT_METRICS_DIR = Path("~/ugro_data/jobs")
DEFAULT_REFRESH = 2.0


@dataclass(frozen=True, slots=True)
class Config:
    """What the application runs on. `refresh` is in seconds."""

    metrics_dir: Path = DEFAULT_METRICS_DIR
    refresh: float = DEFAULT_REFRESH

    def __post_init__(self) -> None:
        """Make the directory absolute, `~` expanded.

        Raises:
            BadInput: it is no directory name.
        """
        object.__setattr__(self, "metrics_dir", _directory(self.metrics_dir, "metrics_dir"))


def config_path() -> Path:
    """Where the TOML file is looked for when none is named."""
    return platformdirs.user_config_path("ugro-tui") / "config.toml"


def log_path() -> Path:
    """The application's own log."""
    return platformdirs.user_log_path("ugro-tui") / "ugro-tui.log"


def load_config(flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None = None) -> Config:
    """The settings in force. `flags` maps a key to what the command line gave, None where it gave nothing.

    Raises:
        BadInput: a file cannot be read, a key is not known, or a value is not usable; names file, key and reason.
    """
    named = file or (Path(environ["UGRO_CONFIG"]) if environ.get("UGRO_CONFIG") else None)
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, found in (
        (str(named or config_path()), _from_file(named)),
        ("environment", _from_environ(environ)),
        ("command line", {key: value for key, value in flags.items() if value is not None}),
    ):
        values |= found
        origin |= {key: f"{source}: {_spelled(source, key)}" for key in found}
    return Config(
        metrics_dir=_directory(
            values.get("metrics_dir", DEFAULT_METRICS_DIR), origin.get("metrics_dir", "default: metrics_dir")
        ),
        refresh=_seconds(values.get("refresh", DEFAULT_REFRESH), origin.get("refresh", "default: refresh")),
    )


_KEYS = ("metrics_dir", "refresh")


def _spelled(source: str, key: str) -> str:
    if source == "environment":
        return f"UGRO_{key.upper()}"
    return f"--{key.replace('_', '-')}" if source == "command line" else key


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    return {key: environ[f"UGRO_{key.upper()}"] for key in _KEYS if environ.get(f"UGRO_{key.upper()}")}


def _from_file(named: Path | None) -> dict[str, Any]:
    try:
        path = (named or config_path()).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{named}: {error}: give the whole path of the settings file") from None
    try:
        with path.open("rb") as stream:
            values = tomllib.load(stream)
    except FileNotFoundError:
        if named is None:
            return {}
        raise BadInput(f"{path}: no such file: give another with --config, or leave it out") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}: allow it, or give another with --config") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not valid TOML: {error}: correct it, or give another with --config") from None
    unknown = sorted(values.keys() - set(_KEYS))
    if unknown:
        raise BadInput(f"{path}: {visible(unknown[0], 80)}: no such setting: remove it; there are: {', '.join(_KEYS)}")
    return values


def _directory(value: object, origin: str) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise BadInput(f"{origin}: {visible(repr(value), 80)} is not a directory name: give a path as text")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:
        raise BadInput(f"{origin}: {value}: {error}: give the whole path") from None


def _seconds(value: object, origin: str) -> float:
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not MIN_REFRESH <= seconds <= MAX_REFRESH:
        raise BadInput(
            f"{origin}: {visible(repr(value), 80)} is not a time in seconds between {MIN_REFRESH} and {MAX_REFRESH:.0f}"
        )
    return seconds
