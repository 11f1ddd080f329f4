"""Real `sshd` processes on loopback as nodes: each with a home, a host key and a port of its own.

A conftest takes the fixtures with `from tests.sshd import fleet, shared_fleet`; `fleet.add()` starts a machine.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest

from tests.writing import wait_until

SSHD = shutil.which("sshd", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
LOOPBACK = "127.0.0.1"

# Ends sshd when the test process does, however that comes about: then the pipe is closed at its other end.
_GUARDED = '"$@" & sshd=$!; read -r _; kill -KILL "$sshd" 2>/dev/null'


def missing() -> str:
    """Why no sshd can be started here; empty where one can."""
    if SSHD is None:
        return "sshd is missing (Debian: apt-get install openssh-server)"
    if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return "ssh is missing (Debian: apt-get install openssh-client)"
    return "" if Path("/proc/self/stat").exists() else "no /proc here: the processes of an sshd cannot be found"


def make_key(path: Path, *options: str, passphrase: str = "") -> Path:
    """A new key pair, ed25519 unless `options` say otherwise: `path` and `path`.pub."""
    kind = options if "-t" in options else ("-t", "ed25519", *options)
    subprocess.run(["ssh-keygen", "-q", *kind, "-N", passphrase, "-C", "test", "-f", path], check=True)
    return path


class Machine:
    """One sshd with its home. It listens on `port` of `host` from `start` to `stop`."""

    def __init__(self, folder: Path, name: str, key: Path, lines: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self.host = LOOPBACK
        self.folder = folder
        self.home = folder / "home"
        self.log = folder / "log"
        self.authorized_keys = folder / "authorized_keys"
        self.home.mkdir(parents=True)
        self.authorized_keys.write_bytes(key.with_name(f"{key.name}.pub").read_bytes())
        self.host_key = make_key(folder / "hostkey")
        self._lines = lines
        self._env = {"HOME": str(self.home), **env}
        self._guard: subprocess.Popen[bytes] | None = None
        self.within: Sequence[str] = ()
        """What runs its sshd: the words before the command."""
        self._reserve()

    @property
    def metrics(self) -> Path:
        """The metrics directory, `~/ugro_data/jobs` for who logs in; made when it is first asked for."""
        folder = self.home / "ugro_data" / "jobs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def public_key(self) -> str:
        """Its host key as a known_hosts file spells it: type and base64."""
        return " ".join(self.host_key.with_name("hostkey.pub").read_text().split()[:2])

    @property
    def address(self) -> str:
        """How a known_hosts file names it."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    def start(self) -> None:
        """Listen; a port that someone else took meanwhile is given up for another one before the first start."""
        for _attempt in range(5):
            if self._listens():
                return
            self._port_holder.close()
            self._reserve()
        pytest.fail(f"sshd does not start: {self.log.read_text()[-1000:]}")

    def stop(self) -> None:
        """As when the power goes: the listener and all connections end, nothing is said to anyone."""
        if self._guard is None:
            return
        self._signal(signal.SIGSTOP)  # nothing forks any more
        self._signal(signal.SIGKILL)
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(10)
        self._guard = None

    def restart(self) -> None:
        """Stop, and listen again on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop all of its processes, those of connections too; the kernel still acknowledges what is sent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def disconnect(self) -> None:
        """End all connections, not the listener."""
        for pid in self.processes()[1:]:
            _kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """The listener, and all that came from it."""
        return [] if self._guard is None else descendants(self._guard.pid)

    def release(self) -> None:
        """Stop for good."""
        self.stop()
        self._port_holder.close()

    def _reserve(self) -> None:
        """Choose a port. It stays bound here, without listening, so that no one is given it while sshd is down."""
        self._port_holder = socket.socket()
        self._port_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port_holder.bind((self.host, 0))
        self.port: int = self._port_holder.getsockname()[1]

    def _listens(self) -> bool:
        assert SSHD is not None
        self.log.write_bytes(b"")
        argv = [*self.within, SSHD, "-D", "-f", str(self._config()), "-E", str(self.log)]
        self._guard = subprocess.Popen(["/bin/sh", "-c", _GUARDED, "sh", *argv], stdin=subprocess.PIPE)
        wait_until(lambda: self._says_so() or (self.log.stat().st_size and not self.processes()), 20)
        if not self._says_so():
            self.stop()
        return self._says_so()

    def _says_so(self) -> bool:
        return f"listening on {self.host} port {self.port}" in self.log.read_text()

    def _config(self) -> Path:
        path = self.folder / "sshd_config"
        own = [
            f"Port {self.port}", f"ListenAddress {self.host}", f"HostKey {self.host_key}", "PidFile none",
            f"AuthorizedKeysFile {self.authorized_keys}", "StrictModes no", "PermitRootLogin yes",
            "PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no", "PrintMotd no", "UseDNS no",
            "SetEnv " + " ".join(f'"{name}={value}"' for name, value in self._env.items()),
        ]  # fmt: skip
        subsystem = [] if any("Subsystem" in line for line in self._lines) else ["Subsystem sftp internal-sftp"]
        # The first value of an option is the one that holds, and a Match block ends only with the file.
        plain = [line for line in self._lines if not line.startswith("Match")]
        matching = [line for line in self._lines if line.startswith("Match")]
        path.write_text("\n".join([*plain, *own, *subsystem, *matching]) + "\n")
        return path

    def _signal(self, number: signal.Signals) -> None:
        """Signal all of its processes, the listener first, until no other one is found."""
        seen: set[int] = set()
        while new := [pid for pid in self.processes() if pid not in seen]:
            for pid in new:
                _kill(pid, number)
            seen.update(new)


class Fleet:
    """Machines n1, n2, … with one key that opens them all, and an `ssh_config` that knows them by these names."""

    KIND: ClassVar[type[Machine]] = Machine

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = make_key(folder / "id")
        self.known_hosts = folder / "known_hosts"
        self.ssh_config = folder / "ssh_config"
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.machines: list[Machine] = []
        self.known_hosts.touch()
        self.ssh_config.touch()

    def add(
        self,
        *lines: str,
        ssh: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        known: bool = True,
        started: bool = True,
    ) -> Machine:
        """Start another machine.

        Args:
            lines: of its sshd_config, before all others; a `Subsystem` of their own replaces SFTP's.
            ssh: lines of its Host block, before all others.
            env: variables of its sessions, such as PATH, besides HOME.
            known: its host key is in `known_hosts`.
            started: it listens at once.
        """
        name = f"n{len(self.machines) + 1}"
        machine = self.KIND(self.folder / name, name, self.key, lines, env or {})
        self.machines.append(machine)
        if started:
            machine.start()
        if known:
            self.know(machine)
        self._configure(machine, ssh)
        return machine

    def know(self, machine: Machine, prefix: str = "") -> None:
        """Write its host key into `known_hosts`, with a marker such as `@revoked ` before it."""
        with self.known_hosts.open("a") as stream:
            stream.write(f"{prefix}{machine.address} {machine.public_key}\n")

    def release(self) -> None:
        """Stop all machines for good."""
        for machine in self.machines:
            machine.release()

    def _configure(self, machine: Machine, ssh: Sequence[str]) -> None:
        block = [
            *ssh, f"HostName {machine.host}", f"Port {machine.port}", f"User {self.user}", f"IdentityFile {self.key}",
            "IdentitiesOnly yes", f"UserKnownHostsFile {self.known_hosts}", "GlobalKnownHostsFile /dev/null",
        ]  # fmt: skip
        with self.ssh_config.open("a") as stream:
            stream.write(f"Host {machine.name}\n" + "".join(f"  {line}\n" for line in block))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Machines for one test; none is started yet."""
    yield from _fleet(tmp_path / "fleet")


@pytest.fixture(scope="module")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Machines for all tests of a file; none is started yet."""
    yield from _fleet(tmp_path_factory.mktemp("machines") / "fleet")


def _fleet(folder: Path) -> Iterator[Fleet]:
    if why := missing():
        pytest.skip(why)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd puts away its privileges
    folder.mkdir()
    fleet = Fleet(folder)
    try:
        yield fleet
    finally:
        fleet.release()


def descendants(pid: int) -> list[int]:
    """All processes that come from `pid`, parents before children, without itself."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = stat.read_text(errors="replace").rpartition(")")[2].split()
            if words[0] != "Z":
                children.setdefault(int(words[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    level = [pid]
    while level := [child for parent in level for child in children.get(parent, ())]:
        found += level
    return found


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
