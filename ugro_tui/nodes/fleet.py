"""The nodes of an inventory, each ready to be asked; nothing is connected before the first question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ugro_tui.core.ports import Clock
from ugro_tui.nodes.base import Node
from ugro_tui.nodes.inventory import LOCAL, NodeSpec
from ugro_tui.nodes.local import LocalNode
from ugro_tui.nodes.remote import RemoteNode
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.nodes.wire import Connection


def make_nodes(
    specs: Sequence[NodeSpec], here: Path, there: str, ssh_config: Path | None, secrets: Secrets, clock: Clock
) -> tuple[Node, ...]:
    """A node for each spec; this machine alone where there is none.

    `here` is the metrics directory of this machine, `there` that of nodes which name none of their own (`~` is theirs).
    """
    nodes: list[Node] = []
    for spec in specs:
        if spec.name == LOCAL:
            nodes.append(LocalNode(here, clock.time))
        else:
            connect = _connector(spec, ssh_config, secrets, clock)
            root = spec.metrics_dir or there
            nodes.append(RemoteNode(spec.name, root, connect, monotonic=clock.monotonic, time=clock.time))
    return tuple(nodes) or (LocalNode(here, clock.time),)


def _connector(
    spec: NodeSpec, ssh_config: Path | None, secrets: Secrets, clock: Clock
) -> Callable[[float], Connection]:
    def connect(deadline: float) -> Connection:
        from ugro_tui.nodes.sshconfig import settings_of
        from ugro_tui.nodes.transport import connect  # paramiko: only who connects pays for it

        settings = settings_of(spec.target, ssh_config, user=spec.user or None, port=spec.port)
        return connect(settings, secrets, deadline, clock.monotonic)

    return connect
