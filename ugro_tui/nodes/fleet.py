"""The nodes of an inventory, each ready to be asked; nothing is connected before the first question."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from ugro_tui.core.ports import Clock
from ugro_tui.nodes.executed import ExecutedLog, RecordedConnection, RecordedNode
from ugro_tui.nodes.inventory import LOCAL, NodeSpec
from ugro_tui.nodes.rsync import Rsync
from ugro_tui.nodes.secrets import Secrets

if TYPE_CHECKING:
    from ugro_tui.nodes.carriers import Connection, Host


def make_nodes(
    specs: Sequence[NodeSpec],
    here: Path,
    there: str,
    ssh_config: Path | None,
    secrets: Secrets,
    clock: Clock,
    log: ExecutedLog | None = None,
) -> tuple[Host, ...]:
    """A node for each spec; this machine alone where there is none.

    `here` is the metrics directory of this machine, `there` that of nodes which name none of their own (`~` is theirs).
    What is run on any of them is written into `log`.
    """
    nodes: list[Host] = []
    log = log or ExecutedLog(clock)
    for spec in specs:
        if spec.name == LOCAL:
            nodes.append(RecordedNode(here, clock.time, log))
        else:
            connect = _connector(spec, ssh_config, secrets, clock, log)
            root = spec.metrics_dir or there
            from ugro_tui.nodes.remote import RemoteNode  # who watches this machine alone starts quicker without

            nodes.append(RemoteNode(spec.name, root, connect, monotonic=clock.monotonic, time=clock.time))
    return tuple(nodes) or (RecordedNode(here, clock.time, log),)


def _connector(
    spec: NodeSpec, ssh_config: Path | None, secrets: Secrets, clock: Clock, log: ExecutedLog
) -> Callable[[float], Connection]:
    def connect(deadline: float) -> Connection:
        from ugro_tui.nodes.sshconfig import settings_of

        with _without("invoke"):  # which paramiko's reader of settings would import: half of the time
            from ugro_tui.nodes.transport import connect  # paramiko: only who connects pays for it

        settings = settings_of(spec.target, ssh_config, user=spec.user or None, port=spec.port)
        with log.running(spec.name, settings.command) as ended:
            connection = connect(settings, secrets, deadline, clock.monotonic)
            ended(0)
        return RecordedConnection(connection, spec.name, log)

    return connect


@contextmanager
def _without(module: str) -> Iterator[None]:
    """What is imported meanwhile finds no such module, unless it is there already."""
    modules = cast(dict[str, ModuleType | None], sys.modules)
    modules.setdefault(module, None)
    try:
        yield
    finally:
        if modules.get(module, True) is None:
            modules.pop(module, None)


def make_rsyncs(
    specs: Sequence[NodeSpec], there: str, ssh_config: Path | None, log: ExecutedLog | None = None
) -> dict[str, Rsync]:
    """How rsync reaches each node that SSH reaches, by name; as `make_nodes`."""
    return {
        spec.name: Rsync(_ssh(spec, ssh_config), spec.target, spec.metrics_dir or there, log)
        for spec in specs
        if spec.name != LOCAL
    }


def _ssh(spec: NodeSpec, ssh_config: Path | None) -> tuple[str, ...]:
    config = () if ssh_config is None else ("-F", str(ssh_config))
    user = ("-l", spec.user) if spec.user else ()
    port = () if spec.port is None else ("-p", str(spec.port))
    return ("ssh", "-oBatchMode=yes", *config, *user, *port)
