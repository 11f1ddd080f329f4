"""A link that is cut for real, between two network namespaces: nobody says a word, and only the kernel can find out."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.faults.lab import Lab, node, settle, steps
from tests.faults.test_faults_three_nodes import CUT_SECONDS, DEFAULT_REFRESH, NO_ANSWER_SECONDS, first_said
from tests.nodes.ssh import reach, says, soon
from tests.sshd import Machine
from tests.writing import wait_until
from ugro_tui.core.states import NodeState

# Accepts at its first address and carries both ways to its second one. It runs in the other namespace.
_RELAY = """
import asyncio, sys
async def carry(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
async def accept(reader, writer):
    far_reader, far_writer = await asyncio.open_connection(sys.argv[2], int(sys.argv[3]))
    await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(accept, sys.argv[1], int(sys.argv[3]))
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def ip(*words: str) -> None:
    """Run `ip`; the test is skipped where it is not allowed."""
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("ip is missing (Debian: apt-get install iproute2)")
    if done.returncode:
        pytest.skip(f"no network namespace can be made here: ip {' '.join(words)}: {done.stderr.strip()}")


@dataclass(frozen=True)
class Cable:
    """A pair of network interfaces: `near` is this machine's address, `far` that in the namespace `name`."""

    name: str
    near: str
    far: str

    def cut(self) -> None:
        """Nothing goes through any more, and nobody is told."""
        ip("-n", self.name, "link", "set", "far", "down")

    def mend(self) -> None:
        """As before."""
        ip("-n", self.name, "link", "set", "far", "up")


@pytest.fixture
def cable() -> Iterator[Cable]:
    """A namespace of its own, behind a cable."""
    pid = os.getpid()
    net, name = f"10.213.{pid % 250}", f"ugro{pid}"
    ip("netns", "add", name)
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "far", "netns", name)
        ip("addr", "add", f"{net}.1/24", "dev", name)
        ip("link", "set", name, "up")
        ip("-n", name, "addr", "add", f"{net}.2/24", "dev", "far")
        ip("-n", name, "link", "set", "far", "up")
        yield Cable(name, f"{net}.1", f"{net}.2")
    finally:
        subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@contextmanager
def beyond(lab: Lab, cable: Cable, machine: Machine) -> Iterator[None]:
    """Within, the machine's name leads to it over the cable and back."""
    argv = ["ip", "netns", "exec", cable.name, sys.executable, "-c", _RELAY, cable.far, cable.near, str(machine.port)]
    relay = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        assert relay.stdout is not None
        assert relay.stdout.readline() == b"ready\n"
        text = lab.fleet.ssh_config.read_text()
        block = f"Host {machine.name}\n  HostKeyAlias {machine.name}\n  HostName {cable.far}\n"
        lab.fleet.ssh_config.write_text(text.replace(f"Host {machine.name}\n", block, 1))
        lab.trust(machine)
        yield
    finally:
        relay.kill()
        relay.wait()


def test_a_cut_link_is_noticed_by_the_kernel_and_named_in_time(lab: Lab, cable: Cable) -> None:
    machine, _well = lab.fleet.add(f"ListenAddress {cable.near}"), lab.fleet.add()
    with beyond(lab, cable, machine):
        growers = lab.grow(*lab.fleet.machines)
        agent = lab.watch(DEFAULT_REFRESH)
        wait_until(lambda: steps(agent, 0) > 0 and steps(agent, 1) > 0, 20)
        asking, idle = reach(lab.fleet, machine), reach(lab.fleet, machine)
        assert says(asking) == says(idle) == "well"
        stream = asking.execute("cat", soon())
        cable.cut()
        began = time.monotonic()
        stream.send(b"is anybody there?", soon())
        ended: dict[str, float] = {}

        def watch() -> None:
            while len(ended) < 2 and time.monotonic() < began + 2 * CUT_SECONDS:
                for name, connection in (("asking", asking), ("idle", idle)):
                    if not connection.alive:
                        ended.setdefault(name, time.monotonic() - began)
                threading.Event().wait(0.05)

        watcher = threading.Thread(target=watch)
        watcher.start()
        said = first_said(agent, {"n1": began}, {"n1": "no answer"}, CUT_SECONDS)
        step = steps(agent, 1)
        watcher.join()
        assert said["n1"] < NO_ANSWER_SECONDS
        assert ended["asking"] < CUT_SECONDS
        assert "idle" in ended  # it is asked by the kernel after a while, and given up after the same time
        assert node(agent, "n2").state is NodeState.OK
        assert steps(agent, 1) > step
        cable.mend()
        wait_until(lambda: node(agent, "n1").state is NodeState.OK, 60)
        settle(lab, agent, growers)
