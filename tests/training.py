"""A real training process as small as can be: the emitter and a step, then nothing until it is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.writing import clean_environment, wait_until

_EMITTER = Path(__file__).resolve().parents[1] / "emitter"

# It joins the memory cgroup that it is told of before it begins, and eats memory when it is told to by a line.
_SCRIPT = """
import os, sys
folder, rank, cgroup = sys.argv[1:]
if cgroup:
    with open(os.path.join(cgroup, "cgroup.procs"), "w") as procs:
        procs.write(str(os.getpid()))
from ugro_emitter import MetricsEmitter
emitter = MetricsEmitter("job", folder, int(rank), heartbeat_interval=0.05, world_size=1 + int(rank))
emitter.emit_step(1, loss=1.0)
sys.stdin.readline()
eaten = []
while cgroup:
    eaten.append(bytearray(os.urandom(1 << 20)))
emitter.close()
"""


class Training:
    """One rank of the job `job` below `root`, as a process of its own."""

    def __init__(self, root: Path, rank: int = 0, cgroup: str = "") -> None:
        self.heartbeat = root / "job" / f"heartbeat.rank-{rank}.json"
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(root), str(rank), cgroup],
            stdin=subprocess.PIPE,
            env=clean_environment(root, PYTHONPATH=str(_EMITTER)),
        )
        wait_until(lambda: self.told().get("step") == 1)

    def __enter__(self) -> Training:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def told(self) -> dict[str, Any]:
        """The newest heartbeat."""
        if not self.heartbeat.exists():
            return {}
        found = json.loads(self.heartbeat.read_bytes())
        assert isinstance(found, dict)
        return found

    def go_on(self) -> None:
        """Have it eat memory where it is in a cgroup, else come to its end."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End it as the kernel does, without a word, and take leave of it."""
        self.process.kill()
        self.process.wait()
        self.age()

    def stop(self) -> None:
        """Have it stand still."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)
        self.age()

    def age(self) -> None:
        """Date the heartbeat ten seconds back: too few to take the rank for dead by its age."""
        then = time.time() - 10
        os.utime(self.heartbeat, (then, then))
