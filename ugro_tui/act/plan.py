"""What is to be started on this machine: the plan that the user is shown before anything happens."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENTRY = Path(__file__).with_name("entry.py")
"""Started by torchrun in each rank; becomes the script."""

_FOREIGN = ("TORCHELASTIC_", "PET_")
"""Variables of a torchrun around us: options (PET_*) and error file are not for the torchrun that we start."""


def free_port() -> int:
    """A TCP port of this machine that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class LocalPlan:
    """One torchrun on this machine. Paths may be relative to `workdir`.

    `nproc` is the number of ranks, `env` what is added to this process's environment, `attempt` counts from 1, and
    `extra_pythonpath` are folders of packages lent to the script (the emitter), searched after the user's own
    PYTHONPATH.
    """

    job_id: str
    script: Path
    metrics_dir: Path
    args: tuple[str, ...] = ()
    nproc: int = 1
    python: str = sys.executable
    env: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    extra_pythonpath: tuple[Path, ...] = ()
    workdir: Path = field(default_factory=Path.cwd)
    port: int = field(default_factory=free_port)
    """For the ranks to find each other (static rendezvous)."""

    @property
    def folder(self) -> Path:
        """The job's directory."""
        return self._absolute(self.metrics_dir) / self.job_id

    @property
    def script_path(self) -> Path:
        """The script, absolute."""
        return self._absolute(self.script)

    @property
    def interpreter(self) -> str:
        """The Python to start: a name that PATH is searched for, or an absolute path (symbolic links kept)."""
        return str(self._absolute(Path(self.python))) if os.sep in self.python else self.python

    @property
    def command(self) -> tuple[str, ...]:
        """The argument list of the torchrun agent."""
        # Without a log folder of its own torchrun leaves one behind in /tmp for each launch.
        torchrun = f"-m torch.distributed.run --nproc-per-node {self.nproc} --log-dir {os.devnull}"
        rendezvous = f"--master-addr 127.0.0.1 --master-port {self.port}"
        return (
            self.interpreter,
            *torchrun.split(),
            *rendezvous.split(),
            str(ENTRY),
            str(self.script_path),
            *self.args,
        )

    def environment(self, inherited: Mapping[str, str], token: str) -> dict[str, str]:
        """The agent's environment: `inherited`, then `env`, then what makes the job known by `token`."""
        kept = {name: value for name, value in inherited.items() if not name.startswith(_FOREIGN)}
        env = {**kept, **self.env}
        # torchrun would allow one thread a rank.
        env.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // self.nproc)))
        search = [env.get("PYTHONPATH", ""), *(str(self._absolute(path)) for path in self.extra_pythonpath)]
        return env | {
            "PYTHONPATH": os.pathsep.join(filter(None, search)),
            "PYTHONUNBUFFERED": "1",
            "UGRO_JOB_ID": self.job_id,
            "UGRO_METRICS_DIR": str(self.folder.parent),
            "UGRO_ATTEMPT": str(self.attempt),
            "UGRO_LAUNCH_TOKEN": token,
        }

    def _absolute(self, path: Path) -> Path:
        return Path(os.path.abspath(self.workdir / path.expanduser()))


def usable_cores() -> int:
    """CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1
