"""Where jobs of a real Slurm are launched from: an agent and ranks that need no torch.

A test takes the fixture with `from tests.act.slurm_shop import shop`, and `cluster` with it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.act import torchrun_double
from tests.slurm_cluster import Cluster
from tests.sshd import LOOPBACK
from tests.writing import wait_until
from ugro_tui.act.backend import JobStanding
from ugro_tui.act.sites import Site
from ugro_tui.act.slurm import SlurmBackend
from ugro_tui.clock import SystemClock
from ugro_tui.core.launching import Backend, LaunchPlan, LaunchRequest, NodeProgress, SlurmOptions
from ugro_tui.nodes.local import LocalNode

TRAINER = """
import hashlib, json, os, signal, sys
from ugro_emitter import MetricsEmitter
signal.alarm(150)
mode = sys.argv[1]
emitter = MetricsEmitter(heartbeat_interval=0.1)
emitter.emit_step(1, loss=1.0)
print(json.dumps(sys.argv[2:]), flush=True)
if mode == "dies" and os.environ['RANK'] == '1' and "--resume" not in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
if mode == "tells":
    told = [os.environ.get(name, "") for name in ("KEY", "TYPED", "UGRO_SECRETS")]
    print(json.dumps([[hashlib.sha256(one.encode()).hexdigest() for one in told], os.getcwd()]), flush=True)
if mode == "fails" and os.environ['RANK'] == '1':
    sys.exit(7)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode in ("waits", "stubborn", "tells"):
    print("ready", flush=True)
    while True:
        signal.pause()
emitter.close()
"""


class Shop:
    """Launches on one cluster, by one backend; the metrics directory has a name that no shell would like."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.root = folder / "my 'jobs' 100%j"
        self.script = folder / "a script.py"
        self.script.write_text(TRAINER)
        self.python = folder / "python"
        double = Path(torchrun_double.__file__).read_text()
        self.python.write_text(f"#!{sys.executable}\n{double}")
        self.python.chmod(0o755)
        self.typed: dict[str, str] = {}
        self.backend = self._made(LocalNode(self.root, time.time))
        self.progress: list[NodeProgress] = []
        self.executed: list[str] = []

    def _made(self, node: LocalNode) -> SlurmBackend:
        site = Site(node, str(self.root), lambda: LOOPBACK, lambda _, command, *__: self.executed.append(command))
        return SlurmBackend({node.name: site}, SystemClock(), self.typed.get, pace=0.3)

    def request(
        self, *args: str, job_id: str = "job", slurm: SlurmOptions | None = None, **changes: Any
    ) -> LaunchRequest:
        """Two nodes with two ranks each, unless it is changed."""
        options = slurm or SlurmOptions(nodes=2, gpus_per_node=2, partition="gpu")
        request = LaunchRequest(job_id, str(self.script), args, Backend.SLURM, python=str(self.python), slurm=options)
        return replace(request, **{"workdir": str(self.script.parent), **changes})

    def launch(self, *args: str, **changes: Any) -> LaunchPlan:
        """Plan, look and start; what was planned."""
        plan = self.backend.plan(self.request(*args, **changes), os.urandom(16).hex())
        self.backend.preflight(plan, self.progress.append)
        self.backend.start(plan, self.progress.append)
        return plan

    def until(self, status: str, job_id: str = "job") -> JobStanding:
        """Wait until job.json says so (cheaper than to ask), and all is over for Slurm; what is then told."""
        number = self.document(job_id)["slurm_job_id"]
        wait_until(lambda: self.document(job_id)["status"] == status)
        wait_until(lambda: not self.cluster.says("squeue", "-h", "-j", number, "-o", "%i"))
        return self.backend.look(job_id)

    def document(self, job_id: str = "job") -> dict[str, Any]:
        """job.json as it lies there."""
        found: dict[str, Any] = json.loads((self.root / job_id / "job.json").read_bytes())
        return found

    def log(self, name: str) -> str:
        """A log of the job; empty where there is none."""
        path = self.root / "job" / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def ready(self) -> None:
        """Wait until both ranks of a job on one node wait for their end."""
        wait_until(lambda: all("ready" in self.log(f"rank_{rank}") for rank in range(2)))


@pytest.fixture
def shop(cluster: Cluster, tmp_path: Path) -> Iterator[Shop]:
    """A place to launch from; the cluster is empty before and after."""
    yield Shop(cluster, tmp_path)
    cluster.clear()
