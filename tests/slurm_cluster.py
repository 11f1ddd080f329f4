"""A Slurm cluster of four nodes, as real daemons on loopback: munged, slurmctld and four slurmd, no accounting.

A test takes the fixture with `from tests.slurm_cluster import cluster`. Its commands find it by SLURM_CONF.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.writing import wait_until

NODES = ("n1", "n2", "n3", "n4")
_DAEMONS = {
    name: shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
    for name in ("munged", "slurmctld", "slurmd", "sbatch")
}

# Ends the daemon when the test process does, however that comes about: then the pipe is closed at its other end.
_GUARDED = '"$@" & daemon=$!; read -r _; kill -KILL "$daemon" 2>/dev/null; wait'

# cred_expire: how long a job that was requeued waits until it may begin anew. Slurm refuses to run one that is begun
# before: "This also controls how long a requeued job must wait before starting again" (slurm.conf(5)); 120 s of itself.
_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CryptoType=crypto/munge
SlurmctldPort={control}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=2
MinJobAge=600
TreeWidth=16
GresTypes=gpu
NodeName=n[1-4] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=4 RealMemory=4000 Gres=gpu:2
PartitionName=gpu Nodes=n[1-4] Default=YES DefMemPerNode=1000 MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=n[1-4] DefMemPerNode=1000 MaxTime=INFINITE State=UP PriorityTier=2
"""


def missing() -> str:
    """Why no cluster can be started here; empty where one can."""
    lacking = [name for name, found in _DAEMONS.items() if found is None]
    if lacking:
        return f"{', '.join(lacking)} missing (Debian: apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "slurmd needs root"
    try:
        socket.gethostbyname(_host())
    except OSError:
        return f"this machine does not know its own name: add '127.0.0.1 {_host()}' to /etc/hosts"
    return ""


class Cluster:
    """The daemons; jobs of its users live on this machine, whatever their node."""

    def __init__(self, folder: Path, daemons: ExitStack) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self._daemons = daemons
        (folder / "state").mkdir()
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            control = holder.getsockname()[1]
        first = _free_ports(len(NODES))
        last = first + len(NODES) - 1
        self.conf.write_text(_CONF.format(folder=folder, host=_host(), control=control, first=first, last=last))
        for name in ("gpu0", "gpu1"):  # they are scheduled; nothing opens them
            (folder / name).touch()
        (folder / "gres.conf").write_text(f"NodeName=n[1-4] Name=gpu File={folder}/gpu[0-1]\n")

    def start(self) -> None:
        """Start all, and wait until all nodes are idle."""
        key, socket_path = self.folder / "munge.key", self.folder / "munge.socket"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        Path("/run/munge").mkdir(exist_ok=True)
        self._daemon(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={socket_path}",
            f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log",
            f"--seed-file={self.folder}/munged.seed",
        )  # fmt: skip
        wait_until(socket_path.exists, 20)
        self.start_controller("-i")
        for node in NODES:
            (self.folder / f"spool-{node}").mkdir()
            self._daemon("slurmd", "-D", "-f", str(self.conf), "-N", node)
        self._wait_for_nodes()

    def says(self, *argv: str) -> str:
        """What a command of Slurm writes; what it complains of is left out."""
        env = {**os.environ, "SLURM_CONF": str(self.conf)}
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=env).stdout

    def clear(self) -> None:
        """Cancel all jobs, wait until nothing of them is left, and have all nodes idle again."""
        for number in self.says("squeue", "-h", "-o", "%i").split():
            self.says("scancel", number)
        wait_until(lambda: not self.says("squeue", "-h", "-o", "%i"), 60)
        self.says("scontrol", "update", f"NodeName={','.join(NODES)}", "State=RESUME")
        self._wait_for_nodes()

    def _wait_for_nodes(self) -> None:
        wait_until(lambda: self.says("sinfo", "-h", "-N", "-p", "gpu", "-o", "%T") == "idle\n" * len(NODES), 60)

    def start_controller(self, *options: str) -> None:
        """Start slurmctld; it finds its state again."""
        self._controller = self._daemon("slurmctld", "-D", *options, "-f", str(self.conf))

    def stop_controller(self) -> None:
        """End slurmctld; jobs run on."""
        assert self._controller.stdin is not None
        pid = int((self.folder / "slurmctld.pid").read_text())
        os.kill(pid, signal.SIGTERM)  # it saves its state
        wait_until(lambda: not Path(f"/proc/{pid}/cmdline").read_bytes(), 20)
        self._controller.stdin.close()
        self._controller.wait(20)

    def _daemon(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        argv = ["/bin/sh", "-c", _GUARDED, "sh", str(_DAEMONS[name]), *arguments]
        env = {**os.environ, "SLURM_CONF": str(self.conf)}
        with (self.folder / "daemons.log").open("ab") as log:
            guard = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log, env=env, cwd=self.folder)
        assert guard.stdin is not None
        self._daemons.callback(guard.wait, 20)
        self._daemons.callback(guard.stdin.close)
        return guard


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for all tests of a file; SLURM_CONF names it for them."""
    if why := missing():
        pytest.skip(why)
    with ExitStack() as daemons, pytest.MonkeyPatch.context() as patch:
        found = Cluster(tmp_path_factory.mktemp("slurm"), daemons)
        patch.setenv("SLURM_CONF", str(found.conf))
        found.start()
        yield found
        found.clear()


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on at this moment, below those that systems give."""
    for first in range(20_000 + os.getpid() % 5_000, 32_000, count):
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    holder = held.enter_context(socket.socket())
                    holder.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    pytest.fail("no free ports")
