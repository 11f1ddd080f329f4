"""The application without its screen, to be killed: `python -m tests.faults.headless CENTRAL SSH_CONFIG NODES`.

For each line of its input it starts another application on the same central directory, and prints its process id; all
that they have to load is loaded before. An application syncs over and over, so that it always writes something.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import ugro_tui.nodes.transport
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.commands import Sync

EVERY_SECONDS = 0.1


def main() -> None:
    """Serve until the input ends."""
    assert ugro_tui.nodes.transport
    central, ssh_config, nodes = sys.argv[1:]
    config = Config(nodes=(nodes,), ssh_config=Path(ssh_config), central=Path(central), refresh=EVERY_SECONDS * 2)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the killed ones are not waited for
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # `ssh -G` is waited for
            watch(config)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def watch(config: Config) -> None:
    """Until it is killed."""
    with Agent(config, keep=True) as agent:
        while True:
            agent.feed.request(Sync())
            threading.Event().wait(EVERY_SECONDS)


if __name__ == "__main__":
    main()
