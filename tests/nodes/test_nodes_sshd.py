"""The helper behind a real sshd, carried by the OpenSSH client: what its command line and its input meet there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.nodes.following import Follower
from tests.nodes.pipes import PipeConnection
from tests.sshd import Fleet, Machine, fleet
from tests.writing import now_clock, whole_job
from ugro_tui.nodes.base import Ask, NodeLost, NodeSetup
from ugro_tui.nodes.remote import RemoteNode

__all__ = ["fleet"]


def reached(fleet: Fleet, machine: Machine) -> RemoteNode:
    """The machine as a node, over one run of ssh for each channel."""
    shell = ("ssh", "-F", str(fleet.ssh_config), machine.name)
    return RemoteNode(machine.name, "~/ugro_data/jobs", lambda _deadline: PipeConnection({**os.environ}, shell))


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
