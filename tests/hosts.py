"""Machines with a network, a name and processes of their own: Linux namespaces on one bridge, `sshd` in each.

What loopback hides shows here: addresses that differ, process ids that mean nothing elsewhere, cables that are pulled.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sshd import Fleet, Machine, missing

_BRIDGE, _NETWORK = "ugro0", "10.77.0"

_INSIDE = 'hostname "$0"; exec "$@"'


def _lacking() -> str:
    if why := missing():
        return why
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return "namespaces want root, `ip` and `unshare` (Debian: iproute2, util-linux)"
    return ""


class Host(Machine):
    """A machine of its own. Its cable can be pulled, its power cut."""

    def pull(self) -> None:
        """Pull its cable: packets vanish, nobody is told."""
        _ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        """Put it back."""
        _ip("link", "set", self._cable, "up")

    def release(self) -> None:
        super().release()
        _ip("link", "del", self._cable)  # the kernel takes its time to do so with the space
        _ip("netns", "del", self._space)
        shutil.rmtree(self._names.parent)

    def _reserve(self) -> None:
        super()._reserve()
        self._port_holder.close()
        number = self.name.removeprefix("n")
        self.host, self.port = f"{_NETWORK}.{number}", 22
        self._space, self._cable = f"ugro-{self.name}", f"ugro-{self.name}"
        self._names = Path("/etc/netns") / self._space / "hosts"
        if not self._names.exists():
            self._connect()
        self.within = (
            "ip", "netns", "exec", self._space, "unshare", "--uts", "--pid", "--kill-child", "--fork", "--mount-proc",
            "sh", "-c", _INSIDE, self.name,
        )  # fmt: skip

    def _connect(self) -> None:
        self._names.parent.mkdir(parents=True)
        known = "".join(f"{_NETWORK}.{number} n{number}\n" for number in range(1, 10))
        self._names.write_text(f"127.0.0.1 localhost\n{known}")
        _ip("netns", "add", self._space)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        _ip("link", "set", self._cable, "master", _BRIDGE, "up")
        _ip("-n", self._space, "addr", "add", f"{self.host}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", self._space, "link", "set", device, "up")


class Hosts(Fleet):
    """Hosts n1, n2, …; this machine is on their network too."""

    KIND = Host


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Hosts for one test; none is started yet."""
    if why := _lacking():
        pytest.skip(why)
    argv = ["ip", "link", "add", _BRIDGE, "type", "bridge"]
    made = subprocess.run(argv, stderr=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no bridge can be made here: {made.stderr.strip()}")
    _ip("addr", "add", f"{_NETWORK}.254/24", "dev", _BRIDGE)
    _ip("link", "set", _BRIDGE, "up")
    Path("/run/sshd").mkdir(exist_ok=True)
    (tmp_path / "fleet").mkdir()
    fleet = Hosts(tmp_path / "fleet")
    try:
        yield fleet
    finally:
        fleet.release()
        _ip("link", "del", _BRIDGE)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
