"""Event files by rsync, over a real sshd."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.sshd import Fleet, Machine
from tests.writing import finished_job, now_clock, wait_until
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.launching import Executed
from ugro_tui.nodes.base import NodeError
from ugro_tui.nodes.fleet import make_rsyncs
from ugro_tui.nodes.inventory import NodeSpec
from ugro_tui.nodes.local import LocalNode

pytestmark = pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is missing (Debian: apt-get install rsync)")


@pytest.fixture
def machine(shared_fleet: Fleet) -> Machine:
    return shared_fleet.machines[0] if shared_fleet.machines else shared_fleet.add()


def event_file(machine: Machine, rank: int, data: bytes) -> Path:
    path = machine.metrics / "job" / "tensorboard" / f"rank_{rank}" / "events.out.tfevents.1.host.2.0"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        stream.write(data)
    return path


def agent(fleet: Fleet, machine: Machine, central: Path) -> Agent:
    return Agent(Config(nodes=(machine.name,), ssh_config=fleet.ssh_config, central=central, engine="rsync"))


def test_event_files_come_by_rsync_and_grow_in_place(shared_fleet: Fleet, machine: Machine, tmp_path: Path) -> None:
    finished_job(machine.metrics / "job", now_clock())
    source = event_file(machine, 0, b"x" * 5000)
    (source.parent / "events.out.tfevents.link").symlink_to("/etc/hostname")
    (source.parent / "other").write_bytes(b"not ours")
    with agent(shared_fleet, machine, tmp_path / "central") as running:
        (node,) = running.sync("job").nodes
        assert (node.files, node.bytes >= 5000, node.error) == (1, True, "")
        copy = tmp_path / "central" / "jobs" / "job" / "tensorboard" / machine.name / "rank_0" / source.name
        assert copy.read_bytes() == source.read_bytes()
        assert sorted(path.name for path in copy.parent.iterdir()) == [source.name]
        assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        inode = copy.stat().st_ino
        event_file(machine, 0, b"more")
        running.sync("job")
        wait_until(lambda: copy.read_bytes() == source.read_bytes())
        assert copy.stat().st_ino == inode
        wait_until(lambda: any(one.command.startswith("rsync ") and one.code == 0 for one in _ran(running)))
        assert any(one.command.startswith("ssh ") and one.code == 0 for one in _ran(running))
        assert any(one.command.startswith("exec sh -c ") and one.code is None for one in _ran(running))
        assert {one.node for one in _ran(running)} == {machine.name}


def _ran(running: Agent) -> tuple[Executed, ...]:
    return running.feed.snapshot().executed


def test_a_node_that_rsync_does_not_reach_is_an_error_that_says_why(shared_fleet: Fleet, machine: Machine) -> None:
    spec = NodeSpec("n9", machine.name, port=1)
    rsync = make_rsyncs([spec], str(machine.metrics), shared_fleet.ssh_config)["n9"]
    finished_job(machine.metrics / "job", now_clock())
    event_file(machine, 0, b"x")
    found = rsync.find(LocalNode(machine.metrics, now_clock().time, "n9"), "job")
    assert found.paths == ("rank_0/events.out.tfevents.1.host.2.0",)
    with pytest.raises(NodeError, match=r"n9: rsync failed: .*: mend it on the node, or set engine"):
        rsync.bring(found, shared_fleet.folder / "into")
