"""Moments of several nodes: one that is down, a sync, a question, a whole lab; and all scenes together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from tests.ui.alert_scenes import full_disk, hung, straggler
from tests.ui.scenes import SCENES, Run, job, snapshot
from ugro_tui.core.job import Away
from ugro_tui.core.snapshot import NodeSync, NodeView, Question, Snapshot, SyncView
from ugro_tui.core.states import NodeState

THREE = ("gpu-master", "gpu1", "gpu2")
REFUSED = NodeView(
    "gpu2", 47.0, "gpu2: 192.168.1.12 port 22 refused the connection: is its sshd running?", NodeState.WAITING,
    "unreachable", retry=8.0,
)  # fmt: skip
SILENT = NodeView("gpu2", 12.0, "gpu2: no answer within 5 s", NodeState.SILENT, "no answer")
CHANGED = NodeView(
    "gpu2", 47.0, "gpu2: the host key is not the one of ~/.ssh/known_hosts: compare the fingerprints",
    NodeState.PERSON, "host key changed",
)  # fmt: skip


LOOK = "look at its network and its sshd"


def on_three(third: NodeView, *, sure: bool = True, ranks: int = 6, **rest: Any) -> Snapshot:
    """A run on three nodes, of which the third is as `third` says."""
    state = job(Run("gpt2-xl", ranks=ranks, hosts=lambda rank: THREE[rank % 3], remote=True))
    if not third.state.reached:
        state.away = {third.name: Away(third.age, third.brief, sure, LOOK)}
    nodes = (NodeView("gpu-master", 1.0, via="in place"), NodeView("gpu1", 2.0, via="helper"), third)
    return replace(snapshot(state), nodes=nodes, **rest)


def node_down() -> Snapshot:
    """Three nodes, one of which refuses connections."""
    return on_three(REFUSED)


def node_silent() -> Snapshot:
    """Three nodes, one of which missed its last answer: not sure yet."""
    return on_three(SILENT, sure=False)


def host_key() -> Snapshot:
    """Three nodes, one of which has another host key."""
    return on_three(CHANGED)


def syncing() -> Snapshot:
    """Three nodes that are well, one read by SFTP; a sync under way."""
    parts = (NodeSync("gpu-master", 7, 2_000_000, done=True), NodeSync("gpu1", 4, 1_000_000, done=True))
    sync = SyncView("tensorboard+logs", 2.0, (*parts, NodeSync("gpu2", 1, 400_000)))
    return on_three(NodeView("gpu2", 3.0, via="sftp"), sync=sync)


def synced() -> Snapshot:
    """The same a moment later: of one node not everything came."""
    whole = tuple(NodeSync(name, 6, 2_000_000, done=True) for name in THREE[:2])
    part = NodeSync("gpu2", done=True, error="gpu2: the connection was lost", denied=("gpt2-xl: logs/rank_2.log",))
    return on_three(NodeView("gpu2", 3.0, via="sftp"), sync=SyncView("logs", 3.0, (*whole, part)))


def reading_only() -> Snapshot:
    """Another application writes the central directory."""
    return on_three(NodeView("gpu2", 3.0, via="mirror"), reading="another ugro-tui (pid 4711) writes")


PASSPHRASE = Question("~/.ssh/id_ed25519", "Passphrase of the key ~/.ssh/[id_ed25519] for gpu1 and gpu2")


def passphrase() -> Snapshot:
    """A key is encrypted."""
    locked = NodeView("gpu2", math.nan, "gpu2: the key is encrypted", NodeState.PERSON, "passphrase needed")
    return on_three(locked, questions=(PASSPHRASE,))


def lab() -> Snapshot:
    """64 nodes, two of which do not answer."""
    nodes = [NodeView(f"n{number:02d}", number % 5, via="helper") for number in range(64)]
    nodes[17] = replace(REFUSED, name="n17", error="n17: port 22 refused the connection", retry=41.0)
    nodes[40] = replace(SILENT, name="n40", error="n40: no answer within 5 s")
    state = job(
        Run("llama-70b", ranks=512, steps=40, total=20_000, hosts=lambda rank: f"n{rank // 8:02d}", remote=True)
    )
    state.away = {
        "n17": Away(47.0, "unreachable", sure=True, next_step=LOOK),
        "n40": Away(12.0, "no answer", sure=False, next_step=LOOK),
    }
    return replace(snapshot(state), nodes=tuple(nodes))


def no_jobs_on_three() -> Snapshot:
    """Three nodes without jobs: one well, one down, one not heard of yet."""
    nodes = (NodeView("gpu-master", 1.0), NodeView("gpu1", math.nan, state=NodeState.CONNECTING), REFUSED)
    return replace(snapshot(), nodes=nodes)


ALL_SCENES = SCENES | {
    scene.__name__: scene
    for scene in (
        node_down, node_silent, host_key, syncing, synced, reading_only, passphrase, lab, no_jobs_on_three,
        straggler, hung, full_disk,
    )
}  # fmt: skip
