"""Settings: built-in defaults, then the TOML file, then `UGRO_*` variables, then flags. An error names its place."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import platformdirs

from ugro_tui.core.errors import BadInput
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.text import visible
from ugro_tui.nodes.inventory import LOCAL, NodeSettings, NodeSpec, inventory
from ugro_tui.settings import (
    DEFAULT_CENTRAL,
    DEFAULT_METRICS_DIR,
    ENGINES,
    FILE_READERS,
    NODE_KEYS,
    READERS,
    alert_tables,
    directory,
    node_tables,
)

REFRESH_IN_PLACE, REFRESH_OVER_SSH = 2.0, 5.0
"""Seconds between two looks where nothing else is set."""

_AUTOMATIC = 0.0
_KEYS = tuple(READERS)
_FILE_KEYS = tuple(FILE_READERS)
"""Settings that stand in the file alone."""

_TABLES = ("node", "alerts")
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Config:
    """What the application runs on.

    `metrics_dir` is this machine's; `remote_metrics_dir` the same setting as typed, for nodes, where `~` is their own
    home. `refresh` is in seconds; left out, it follows from whether nodes are reached over SSH. `nodes` are comma lists
    as typed. `theme` is empty where none is set, `ascii` None where the locale decides. `on_alert` is a command with
    its arguments, run for each alert. `launch_script` and `launch_python` are paths on the nodes, empty for the script
    that comes with us and `python3`; `read_only` forbids to start and stop jobs. `origins` says for each setting where
    it was set.
    """

    metrics_dir: Path = Path(DEFAULT_METRICS_DIR)
    refresh: float = _AUTOMATIC
    nodes: tuple[str, ...] = ()
    hostfile: Path | None = None
    ssh_config: Path | None = None
    central: Path = Path(DEFAULT_CENTRAL)
    engine: str = ENGINES[0]
    theme: str = ""
    ascii: bool | None = None
    launch_script: str = ""
    launch_python: str = ""
    read_only: bool = False
    node: Mapping[str, NodeSettings] = field(default_factory=dict)
    remote_metrics_dir: str = ""
    on_alert: tuple[str, ...] = ()
    bell: bool = True
    thresholds: Thresholds = DEFAULTS
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Make directories absolute, `~` expanded, and choose what was left out.

        Raises:
            BadInput: a directory is no directory name.
        """
        settle = object.__setattr__
        settle(self, "remote_metrics_dir", self.remote_metrics_dir or str(self.metrics_dir))
        settle(self, "metrics_dir", directory(self.metrics_dir, "metrics_dir"))
        settle(self, "central", directory(self.central, "central"))
        if self.refresh == _AUTOMATIC:
            settle(self, "refresh", REFRESH_OVER_SSH if self.remote else REFRESH_IN_PLACE)

    @property
    def remote(self) -> bool:
        """Whether there are nodes to be copied from; otherwise this machine alone is watched, in place."""
        named = {piece.strip() for text in self.nodes for piece in text.split(",")}
        return self.hostfile is not None or bool(named - {LOCAL, ""})

    @property
    def place(self) -> str:
        """Where jobs are looked for, for people."""
        if not self.remote:
            return visible(str(self.metrics_dir))
        named = [*self.nodes, *([] if self.hostfile is None else [f"those of {self.hostfile}"])]
        return visible(f"{self.remote_metrics_dir} on {', '.join(named)}", 200)

    @property
    def retyped(self) -> str:
        """The options of the command line that a next command has to repeat to see the same, a space before each."""
        values = {"nodes": ",".join(self.nodes), "metrics_dir": self.remote_metrics_dir}
        typed = [key for key in _WHERE if self.origins.get(key, "").startswith("command line")]
        words = [
            word for key in typed for word in (_spelled("command line", key), values.get(key, str(getattr(self, key))))
        ]
        return "".join(f" {shlex.quote(word)}" for word in words)

    def inventory(self) -> tuple[NodeSpec, ...]:
        """The nodes to watch; this machine alone where none is named.

        Raises:
            BadInput: `nodes` or the hostfile cannot be used; says where it was set and what to do.
        """

        def aliases() -> list[str]:
            from ugro_tui.nodes.sshconfig import host_aliases  # asked for patterns alone

            return host_aliases(self.ssh_config)

        return inventory(self.nodes, self.hostfile, self.node, aliases, self.origins)

    def here(self) -> Config:
        """The same, for this machine alone."""
        return replace(self, nodes=(), hostfile=None)

    def in_force(self) -> Iterator[tuple[str, Any, str]]:
        """Each setting: its key, its value as JSON can hold it, and where it was set."""
        for key in _KEYS:
            yield key, _plain(getattr(self, key)), self.origins.get(key, _DEFAULT)
            if key == "metrics_dir":
                yield "remote_metrics_dir", self.remote_metrics_dir, self.origins.get(key, _DEFAULT)
        for name, own in sorted(self.node.items()):
            for key in NODE_KEYS:
                if value := getattr(own, key):
                    yield f"node.{name}.{key}", value, self.origins.get("node", _DEFAULT)
        for key in _FILE_KEYS:
            yield key, _plain(getattr(self, key)), self.origins.get(key, _DEFAULT)
        for name, numbers in self.thresholds.own.items():
            for key, value in numbers.items():
                shown = bool(value) if key == "enabled" else value
                yield f"alerts.{name}.{key}", shown, self.origins.get("alerts", _DEFAULT)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def config_path() -> Path:
    """Where the TOML file is looked for when none is named."""
    return platformdirs.user_config_path("ugro-tui") / "config.toml"


def state_path() -> Path:
    """The application's own directory for what it learns."""
    return platformdirs.user_state_path("ugro-tui")


def log_path() -> Path:
    """The application's own log."""
    return platformdirs.user_log_path("ugro-tui") / "ugro-tui.log"


def load_config(flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None = None) -> Config:
    """The settings in force. `flags` maps a key to what the command line gave, None where it gave nothing.

    `nodes` and `hostfile` are one choice: where a later source makes it, none of an earlier one is watched.

    Raises:
        BadInput: a file cannot be read, a key is not known, or a value is not usable; names file, key and reason.
    """
    named = file or (Path(environ["UGRO_CONFIG"]) if environ.get("UGRO_CONFIG") else None)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source, found in (
        (visible(str(named or config_path())), _from_file(named)),
        ("environment", _from_environ(environ)),
        ("command line", {key: value for key, value in flags.items() if value is not None}),
    ):
        if found.keys() & {"nodes", "hostfile"}:
            values = {key: value for key, value in values.items() if key not in ("nodes", "hostfile")}
        values |= found
        origins |= {key: f"{source}: {_spelled(source, key)}" for key in found}
    read = {key: READERS[key](values[key], origins[key]) for key in _KEYS if key in values}
    if "metrics_dir" in values:
        read["remote_metrics_dir"] = str(values["metrics_dir"])
    read |= {key: FILE_READERS[key](values[key], origins[key]) for key in _FILE_KEYS if key in values}
    if "node" in values:
        read["node"] = node_tables(values["node"], origins["node"])
    if "alerts" in values:
        read["thresholds"] = alert_tables(values["alerts"], origins["alerts"])
    return Config(**read, origins={key: origin for key, origin in origins.items() if key in values})


_WHERE: Final = ("nodes", "hostfile", "ssh_config", "metrics_dir", "central")
"""The settings that say where jobs are looked for."""


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
    unknown = sorted(values.keys() - {*_KEYS, *_FILE_KEYS, *_TABLES})
    if unknown:
        there = ", ".join((*_KEYS, *_FILE_KEYS, *(f"[{table}.NAME]" for table in _TABLES)))
        raise BadInput(f"{path}: {visible(unknown[0], 80)}: no such setting: remove it; there are: {there}")
    return values
