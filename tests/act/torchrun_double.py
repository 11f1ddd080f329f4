"""Stands for `python` in tests of launches: its `-m torch.distributed.run` starts ranks without torch.

It knows the options that ugro-tui gives, tells the failures of ranks in torchrun's words, and ends them at SIGTERM.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

FAILURE = """[0]:
  time      : 2026-01-01_00:00:00
  host      : here
  rank      : {rank} (local_rank: {local})
  exitcode  : {code} (pid: {pid})
"""


def main(arguments: list[str]) -> int:
    """The agent of one node; its exit code."""
    words = iter(arguments)
    options: dict[str, str] = {}
    for word in words:
        if not word.startswith("--"):
            break
        options[word] = next(words)
    command = [sys.executable, word, *words]
    nproc, node = int(options["--nproc-per-node"]), int(options["--node-rank"])
    ranks = [_start(command, node * nproc + local, local, nproc * int(options["--nnodes"])) for local in range(nproc)]

    def end(number: int, _frame: object) -> None:
        for rank in ranks:
            rank.send_signal(number)

    signal.signal(signal.SIGTERM, end)
    codes = [rank.wait() for rank in ranks]
    for local, code in enumerate(codes):
        if code:
            report = FAILURE.format(rank=node * nproc + local, local=local, code=code, pid=ranks[local].pid)
            sys.stderr.write(report)
    return int(any(codes))


def _start(command: list[str], rank: int, local: int, world: int) -> subprocess.Popen[bytes]:
    env = {**os.environ, "RANK": str(rank), "LOCAL_RANK": str(local), "WORLD_SIZE": str(world)}
    return subprocess.Popen(command, env=env)


if __name__ == "__main__":
    if sys.argv[1:3] == ["-m", "torch.distributed.run"]:
        sys.exit(main(sys.argv[3:]))
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
