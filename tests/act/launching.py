"""Nodes that launch for real: this machine under several names, and a Python whose torchrun is a few lines long."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ugro_tui.act.sites import Site
from ugro_tui.act.torchrun import Torchrun
from ugro_tui.clock import SystemClock
from ugro_tui.core.launching import LaunchRequest, NodeProgress
from ugro_tui.nodes.local import LocalNode

STUB = r"""
import os, signal, subprocess, sys
words = sys.argv[1:]
entry = next(place for place, word in enumerate(words) if word.endswith("entry.py"))
options = dict(zip(words[:entry:2], words[1:entry:2]))
node, count, size = int(options["--node-rank"]), int(options["--nproc-per-node"]), int(options["--nnodes"])
ranks = []
def end(number, frame):
    for rank in ranks:
        rank.send_signal(signal.SIGTERM)
signal.signal(signal.SIGTERM, end)
for local in range(count):
    env = dict(os.environ, RANK=str(node * count + local), LOCAL_RANK=str(local), WORLD_SIZE=str(size * count))
    ranks.append(subprocess.Popen([sys.executable, *words[entry:]], env=env, start_new_session=True))
codes = [rank.wait() for rank in ranks]
sys.exit(1 if any(codes) else 0)
"""
"""Each rank in a session of its own, SIGTERM handed on: as torchrun does."""

BEATS = """
import os
place = os.path.join(os.environ["UGRO_METRICS_DIR"], os.environ["UGRO_JOB_ID"])
open(os.path.join(place, "heartbeat.rank-%s.json" % os.environ["RANK"]), "w").close()
"""
"""A rank says that it is there."""

WAITS = BEATS + "import signal\nsignal.pause()\n"
"""A training script that runs until it is ended."""

TELLS = "import json, os, sys\nprint('told ' + json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))\n"


def stub_python(folder: Path, torchrun: str = STUB) -> Path:
    """An interpreter that is the real one, but for `-m torch.distributed.run`."""
    run, python = folder / "torchrun.py", folder / "a python"
    run.write_text(torchrun)
    real = f'exec "{sys.executable}"'
    python.write_text(f'#!/bin/sh\nif [ "$1" = -m ]; then shift 2; {real} "{run}" "$@"; fi\n{real} "$@"\n')
    python.chmod(0o755)
    return python


class Yard:
    """Nodes n1, n2, … that are this machine, each with a metrics directory of its own."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.python = stub_python(folder)
        self.told: list[NodeProgress] = []
        self.torchrun = self._made(names)

    def _made(self, names: tuple[str, ...]) -> Torchrun:
        clock, sites = SystemClock(), {}
        for name in names:
            root = self.jobs(name)
            sites[name] = Site(LocalNode(root, clock.time, name), str(root), lambda: "127.0.0.1")
        return Torchrun(sites, clock)

    def jobs(self, node: str) -> Path:
        return self.folder / node / "jobs"

    def request(self, text: str = WAITS, /, *args: str, **changes: Any) -> LaunchRequest:
        path = self.folder / "train it.py"
        path.write_text(text)
        fields = {"job_id": "job", "script": str(path), "args": args, "python": str(self.python), **changes}
        return LaunchRequest(**fields)

    def go(self, request: LaunchRequest, token: str = "0" * 32) -> None:
        """Start it."""
        plan = self.torchrun.plan(request, token)
        self.torchrun.preflight(plan, self.told.append)
        self.torchrun.start(plan, self.told.append)

    def document(self, node: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.jobs(node) / "job" / "job.json").read_text())
        return found

    def log(self, node: str, rank: int) -> str:
        return (self.jobs(node) / "job" / "logs" / f"rank_{rank}.log").read_text()

    def living(self) -> list[int]:
        """All processes that were given a metrics directory of ours, or watch over one of those."""
        return list(living(self.folder))

    def clear(self) -> None:
        for pid in self.living():
            with suppress(ProcessLookupError):
                os.kill(pid, 9)


def living(folder: Path) -> Iterator[int]:
    """Processes whose environment or command holds this path, ours alone left out."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
            if f"UGRO_METRICS_DIR={folder}/".encode() in words and int(place.name) != os.getpid():
                yield int(place.name)
