"""Nodes behind a real sshd: by our own transport, and by the OpenSSH client, which carries the helper just as well."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.nodes.following import Follower
from tests.nodes.pipes import PipeConnection
from tests.sshd import Fleet, Machine, fleet
from tests.writing import now_clock, whole_job
from ugro_tui.core.layout import FileKind
from ugro_tui.nodes.base import Ask, NodeLost, NodeSetup
from ugro_tui.nodes.carriers import Connection
from ugro_tui.nodes.remote import RemoteNode
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.nodes.sshconfig import settings_of
from ugro_tui.nodes.transport import connect

__all__ = ["fleet"]


def reached(fleet: Fleet, machine: Machine) -> RemoteNode:
    """The machine as a node, over one run of ssh for each channel."""
    shell = ("ssh", "-F", str(fleet.ssh_config), machine.name)
    return RemoteNode(machine.name, "~/ugro_data/jobs", lambda _deadline: PipeConnection({**os.environ}, shell))


def real(fleet: Fleet, machine: Machine, root: str = "~/ugro_data/jobs") -> RemoteNode:
    """The machine as a node, as the application reaches it."""

    def login(deadline: float) -> Connection:
        return connect(settings_of(machine.name, fleet.ssh_config, user=None, port=None), Secrets(), deadline)

    return RemoteNode(machine.name, root, login)


@pytest.mark.parametrize(("line", "via"), [("LogLevel INFO", "helper"), ("ForceCommand internal-sftp", "sftp")])
def test_a_node_is_read_in_either_way(fleet: Fleet, line: str, via: str) -> None:
    machine = fleet.add(line)
    (machine.home / ".bashrc").write_text("echo hello\n")
    writers = whole_job(machine.metrics / "job", now_clock(), ranks=3)
    writers[0].document("tensorboard/rank_1/events.out.tfevents.1", "x" * 200_000)
    node = real(fleet, machine, str(machine.metrics))
    follower = Follower(node)
    events = Follower(node, kinds=frozenset({FileKind.EVENTS}))
    for writer in writers:
        writer.raw(b"late\n")
        follower.drain()
        events.drain()
    assert follower.texts() == {writer.metrics.name: writer.metrics.read_bytes() for writer in writers}
    assert len(follower.documents) == 3
    assert [len(text) for text in events.texts().values()] == [200_002]
    assert node.via == via
    assert node.probe().readable
    machine.disconnect()
    writers[0].raw(b"more\n")
    with suppress(NodeLost):  # unless the end of the connection was noticed before
        follower.look()
    follower.drain()
    assert follower.generations["metrics.jsonl"] == [writers[0].metrics.read_bytes()]
    node.close()


def test_closing_ends_a_look_at_a_frozen_node_at_once(fleet: Fleet) -> None:
    machine = fleet.add()
    node = real(fleet, machine)
    follower = Follower(node)
    machine.metrics.joinpath("job").mkdir()
    follower.look()
    machine.freeze()
    threading.Timer(0.2, node.close).start()
    began = time.monotonic()
    with pytest.raises(NodeLost, match="n1: the connection was closed"):
        follower.look()
    assert time.monotonic() - began < 2
    machine.thaw()


def test_a_login_that_prints_and_counts_is_read_through(fleet: Fleet) -> None:
    machine = fleet.add()
    (machine.home / ".bashrc").write_text("echo 'welcome to this machine'; echo trouble >&2; printf 'no newline'\n")
    writer = whole_job(machine.metrics / "job", now_clock(), ranks=2)[0]
    node = reached(fleet, machine)
    follower = Follower(node)
    follower.drain()
    assert follower.texts()["metrics.jsonl"] == writer.metrics.read_bytes()
    assert Path(node.probe().root) == machine.metrics
    writer.raw(b"one\n")
    machine.disconnect()
    with pytest.raises(NodeLost):
        follower.look()
    assert [chunk.data for chunk in follower.look().chunks] == [b"one\n"]
    node.close()


@pytest.mark.parametrize("line", ["ForceCommand internal-sftp", "ForceCommand /bin/false"])
def test_an_account_that_runs_no_commands_is_no_place_for_a_helper(fleet: Fleet, line: str) -> None:
    machine = fleet.add(line)
    with pytest.raises(NodeSetup, match="n1 can be logged in to, but runs no Python"):
        reached(fleet, machine).poll(Ask())
