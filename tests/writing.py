"""Job directories as an emitter writes them: real files, and what a test needs around them."""

from __future__ import annotations

import ctypes
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STARTED = 1_700_000_000.0
Record = dict[str, Any]

# Root may read everything; a test of what may not be read lets go of these two capabilities of its thread (and of the
# threads that it starts): CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
_CAPABILITY_VERSION = 0x20080522
_READ_ANYTHING = 1 << 1 | 1 << 2


@dataclass
class Clock:
    """A clock that a test sets. Both times advance together."""

    now: float = 1000.0

    def monotonic(self) -> float:
        """Seconds of the test."""
        return self.now

    def time(self) -> float:
        """Unix seconds: `STARTED` at the test's second 0."""
        return STARTED + self.now


@dataclass
class RankWriter:
    """Writes the files of one rank of one job."""

    folder: Path
    rank: int = 0
    clock: Clock = field(default_factory=Clock)
    seq: int = 0

    @property
    def metrics(self) -> Path:
        """The rank's metrics file."""
        return self.folder / ("metrics.jsonl" if self.rank == 0 else f"metrics.rank-{self.rank}.jsonl")

    def start(self, **fields: Any) -> None:
        """A process begins."""
        self.seq = 0
        record = {"run_id": f"run-{self.rank}", "attempt": 1, "world_size": 1, "host": "here", "emit_every": 1}
        self.record("start", **{**record, **fields})

    def steps(self, first: int, last: int, **fields: Any) -> None:
        """The steps from `first` to `last`, one a second by the test's clock, with a loss of 10 / step."""
        for step in range(first, last + 1):
            values = {"step": step, "loss": 10 / step, "throughput": 100.0 + self.rank, "tokens": step * 100}
            self.record("step", step - last, **{**values, **fields})

    def end(self, status: str = "completed", **fields: Any) -> None:
        """The process says how it ended."""
        self.record("end", **{"status": status, "error": None, "dropped": 0, **fields})

    def record(self, kind: str, offset: float = 0.0, **fields: Any) -> None:
        """One line of the metrics file, `offset` seconds from now."""
        common = {"v": 1, "kind": kind, "seq": self.seq, "ts": self.clock.time() + offset, "rank": self.rank}
        self.seq += 1
        self.raw(json.dumps({**common, **fields}).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        """Bytes at the end of the metrics file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.metrics.open("ab") as stream:
            stream.write(data)
        self.touch(self.metrics)

    def heartbeat(self, **fields: Any) -> None:
        """The heartbeat file, replaced as the emitter does."""
        beat = {"v": 1, "ts": self.clock.time(), "run_id": f"run-{self.rank}", "step_age": 0.0, "dropped": 0}
        self.document(f"heartbeat.rank-{self.rank}.json", {**beat, **fields})

    def document(self, name: str, content: object) -> None:
        """A file that is replaced whole."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.tmp")
        beside.write_text(json.dumps(content))
        beside.replace(path)
        self.touch(path)

    def touch(self, path: Path) -> None:
        """Date a file, and the directory, as if written now by the test's clock."""
        for dated in (path, self.folder):
            os.utime(dated, (self.clock.time(), self.clock.time()))


def whole_job(folder: Path, clock: Clock, ranks: int = 1, steps: int = 20) -> list[RankWriter]:
    """A job of `ranks` that has made `steps` of 100 steps and lives; ready to be continued."""
    writers = [RankWriter(folder, rank, clock) for rank in range(ranks)]
    for writer in writers:
        writer.start(world_size=ranks, total_steps=100, host=f"node{writer.rank}")
        writer.steps(1, steps)
        writer.heartbeat(step=steps)
    return writers


def finished_job(folder: Path, clock: Clock, ranks: int = 1, steps: int = 20) -> list[RankWriter]:
    """A job of `ranks` that has ended well."""
    writers = whole_job(folder, clock, ranks, steps)
    for writer in writers:
        writer.end()
    return writers


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until `condition` holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        threading.Event().wait(0.005)


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Within, file permissions hold for this thread and those that it starts, even for root."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits of each
    assert libc.capget(header, sets) == 0
    before = sets[0]
    sets[0] = before & ~_READ_ANYTHING
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = before
        assert libc.capset(header, sets) == 0


def now_clock() -> Clock:
    """A clock that stands at the machine's present, for jobs that a real process is to look at."""
    return Clock(time.time() - STARTED)


def clean_environment(home: Path, **added: str) -> dict[str, str]:
    """This process's environment without a launcher's or a user's settings, at home in an empty folder."""
    foreign = ("UGRO_", "XDG_", "SLURM_", "TORCHELASTIC_", "PYTHONIOENCODING")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "HOME": str(home), "TERM": "xterm-256color", **added}
