"""What the benchmarks of nodes share: CPU times of processes, a job that grows, our reading, and the usual one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import paramiko

from tests.proxy import FaultProxy
from tests.sshd import Fleet, Machine
from ugro_tui.core.layout import POLLED
from ugro_tui.nodes.base import Ask, Known, Node, Reply
from ugro_tui.nodes.fleet import make_nodes
from ugro_tui.nodes.inventory import NodeSpec
from ugro_tui.nodes.secrets import Secrets

TICK = 1 / os.sysconf("SC_CLK_TCK")
JOB = "job"


class RealClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


def cpu_of(pids: Iterable[int]) -> float:
    """CPU seconds that these processes have used so far, to the nanosecond; each has one thread."""
    total = 0.0
    for pid in pids:
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    return total


def cpu_of_children(pids: Iterable[int]) -> float:
    """CPU seconds of all children of these processes that have ended so far, in steps of `TICK`."""
    total = 0.0
    for pid in pids:
        with suppress(OSError):
            words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            total += (int(words[13]) + int(words[14])) * TICK
    return total


def cpu_of_machine(machine: Machine) -> float:
    """CPU seconds of all that its sshd ever started, as far as it was waited for, and of itself."""
    pids = machine.processes()
    return cpu_of(pids) + cpu_of_children(pids)


def cpu_during(work: Callable[[], object]) -> float:
    """CPU seconds of all threads of this process while `work` runs."""
    before = time.process_time()
    work()
    return time.process_time() - before


def make_node(fleet: Fleet, name: str, root: Path) -> Node:
    """The node that `name` in the fleet's SSH settings leads to, as the application makes it."""
    spec = NodeSpec(name, name, metrics_dir=str(root))
    return make_nodes([spec], fleet.folder, str(root), fleet.ssh_config, Secrets(), RealClock())[0]


class Metrics:
    """The metrics files of a job's ranks on a machine; they grow by whole lines."""

    def __init__(self, machine: Machine, ranks: int) -> None:
        self.folder = machine.metrics / JOB
        self.folder.mkdir()
        names = ["metrics.jsonl", *(f"metrics.rank-{rank}.jsonl" for rank in range(1, ranks))]
        self.paths = [self.folder / name for name in names]
        self.grow(4096)

    def grow(self, size: int = 1024) -> None:
        """So many bytes more in each file, none like those before."""
        for path in self.paths:
            with path.open("ab") as stream:
                stream.write(os.urandom(size // 2).hex().encode()[:-1] + b"\n")


class Ours:
    """Reads the job as the application does: says what is known of each file, keeps the place of the next read."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._known: dict[str, Known] = {}
        self._listed = ""

    def poll(self) -> int:
        """Read what is new: bytes."""
        reply = self.ask()
        return sum(len(chunk.data) for chunk in reply.chunks)

    def ask(self) -> Reply:
        """One question."""
        reply = self._node.poll(Ask({JOB: self._known}, POLLED, listed=self._listed))
        self._listed = reply.listed
        known = dict(self._known)  # what was asked stays as it was
        for chunk in reply.chunks:
            assert chunk.offset == known.get(chunk.path, Known()).offset
            known[chunk.path] = Known(chunk.offset + len(chunk.data), chunk.place, chunk.stamp)
        self._known = known
        return reply

    def drain(self) -> None:
        """Read all there is, until nothing is new."""
        while self.ask().more or self.poll():
            pass

    def knows(self, path: str, known: Known) -> None:
        """Begin with this of a file, as if it had been read."""
        self._known[path] = known

    def close(self) -> None:
        """End the connection."""
        self._node.close()


def stock_client(fleet: Fleet, machine: Machine) -> paramiko.SSHClient:
    """A connection as paramiko makes it."""
    client = paramiko.SSHClient()
    client.load_host_keys(str(fleet.known_hosts))
    client.connect(
        machine.host, machine.port, fleet.user, key_filename=str(fleet.key), allow_agent=False, look_for_keys=False
    )
    return client


class Usual:
    """Reads the job as one writes it first: list the directory, open each file, read from where it ended."""

    def __init__(self, fleet: Fleet, machine: Machine, folder: Path) -> None:
        self._client = stock_client(fleet, machine)
        self._sftp = self._client.open_sftp()
        self._folder = str(folder)
        self._offsets: dict[str, int] = {}

    def poll(self) -> int:
        """Read what is new: bytes."""
        found = 0
        for entry in self._sftp.listdir_attr(self._folder):
            with self._sftp.open(f"{self._folder}/{entry.filename}", "rb") as stream:
                stream.seek(self._offsets.get(entry.filename, 0))
                data = stream.read()
            self._offsets[entry.filename] = self._offsets.get(entry.filename, 0) + len(data)
            found += len(data)
        return found

    def close(self) -> None:
        """End the connection."""
        self._client.close()


def behind(fleet: Fleet, machine: Machine, proxy: FaultProxy) -> str:
    """The name of another way to a machine, through the link `proxy`."""
    name = f"{machine.name}-{proxy.port}"
    with fleet.known_hosts.open("a") as hosts:
        hosts.write(f"{name} {machine.public_key}\n")
    with fleet.ssh_config.open("a") as settings:
        settings.write(
            f"Host {name}\n  HostName {machine.host}\n  Port {proxy.port}\n  HostKeyAlias {name}\n"
            f"  User {fleet.user}\n  IdentityFile {fleet.key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {fleet.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
        )
    return name
