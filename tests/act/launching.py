"""Nodes that launch for real: this machine under several names, and a Python whose torchrun is a few lines long."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.sshd import descendants
from ugro_tui.act.sites import Site
from ugro_tui.act.torchrun import Torchrun
from ugro_tui.clock import SystemClock
from ugro_tui.core.launching import NodeProgress
from ugro_tui.nodes.local import LocalNode

STUB = r"""
import os, signal, subprocess, sys
words = sys.argv[1:]
entry = next(place for place, word in enumerate(words) if word.endswith("entry.py"))
options = dict(zip(words[:entry:2], words[1:entry:2]))
node, count, size = int(options["--node-rank"]), int(options["--nproc-per-node"]), int(options["--nnodes"])
ranks = []
for local in range(count):
    env = dict(os.environ, RANK=str(node * count + local), LOCAL_RANK=str(local), WORLD_SIZE=str(size * count))
    ranks.append(subprocess.Popen([sys.executable, *words[entry:]], env=env, start_new_session=True))
def end(number, frame):
    for rank in ranks:
        rank.send_signal(signal.SIGTERM)
signal.signal(signal.SIGTERM, end)
codes = [rank.wait() for rank in ranks]
sys.exit(1 if any(codes) else 0)
"""


def stub_python(folder: Path, torchrun: str = STUB) -> Path:
    """An interpreter that is the real one, but for `-m torch.distributed.run`."""
    run, python = folder / "torchrun.py", folder / "a python"
    run.write_text(torchrun)
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -m ]; then shift 2; exec "{sys.executable}" "{run}" "$@"; fi\nexec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    return python


def here(folder: Path, *names: str) -> Torchrun:
    """Nodes of these names, each with a metrics directory of its own on this machine."""
    clock = SystemClock()
    made = {
        name: Site(LocalNode(folder / name / "jobs", clock.time, name), str(folder / name / "jobs"), lambda: "127.0.0.1")
        for name in names
    }
    return Torchrun(made, clock)


def silent(_: NodeProgress) -> None:
    """Nobody looks."""


def mine() -> list[int]:
    """Processes that came from this one, and those that mention a job of these tests."""
    return descendants(os.getpid())
