"""A rank whose files grow while a test goes on, as an emitter's and a TensorBoard writer's do."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.writing import STARTED, RankWriter, now_clock

PAUSE = 0.03
"""Seconds between two steps."""

EVENTS = "tensorboard/rank_{rank}/events.out.tfevents.17.host.1.0"


@dataclass
class Grower:
    """One rank in a thread of its own: a record and event bytes a step, log lines and a heartbeat now and then."""

    folder: Path
    rank: int = 0
    world: int = 1
    steps: int = 0
    """Steps written so far."""
    _going: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.writer = RankWriter(self.folder, self.rank, now_clock())
        self._random = random.Random(self.rank)
        self.writer.start(world_size=self.world, total_steps=1_000_000, host=f"host{self.rank}")
        if self.rank == 0:
            self.writer.document("job.json", {"job_id": self.folder.name, "status": "running"})

    @property
    def log(self) -> Path:
        """What the rank prints."""
        return self.folder / "logs" / f"rank_{self.rank}.log"

    @property
    def events(self) -> Path:
        """Its event file."""
        return self.folder / EVENTS.format(rank=self.rank)

    def go(self) -> None:
        """Begin to grow, or go on."""
        self._going.clear()
        self._thread = threading.Thread(target=self._grow, name=f"rank {self.rank}", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Write nothing more until `go`."""
        self._going.set()
        if self._thread is not None:
            self._thread.join()

    def step(self) -> None:
        """What one step writes."""
        self.writer.clock.now = time.time() - STARTED
        self.steps += 1
        self.writer.steps(self.steps, self.steps)
        append(self.events, self._random.randbytes(300))
        if self.steps % 5 == 0:
            append(self.log, f"step {self.steps} of rank {self.rank}: grün\n".encode())
        if self.steps % 20 == 1:
            self.writer.heartbeat(step=self.steps)

    def _grow(self) -> None:
        while not self._going.wait(PAUSE):
            self.step()


def append(path: Path, data: bytes) -> None:
    """Bytes at the end of a file, in one write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as stream:
        stream.write(data)
