"""Ranks that hang for real, and what the tests of diagnoses share."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tests.writing import clean_environment, wait_until
from ugro_tui.act.diagnose import Bundle, Watched, diagnose
from ugro_tui.core.decode import decode
from ugro_tui.core.entries import Entry
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.job import JobState
from ugro_tui.core.snapshot import JobView, curve_of, view
from ugro_tui.nodes.base import Ask, NodeError, Probe, Ran, Reply

REPOSITORY = Path(__file__).resolve().parents[2]
NOW = 10_000.0
WHEN = 1_700_000_000.0

# Makes 20 steps, a minute ago as far as its files tell, and is stuck in a call in C then; heartbeats go on.
HANGS = """
import os, socket, sys, time
from ugro_emitter import MetricsEmitter
from ugro_emitter.clock import Clock

class Ahead(Clock):
    ahead = 0.0
    def __init__(self):
        self.time, self.monotonic = time.time, time.monotonic
        self.perf_counter = lambda: time.perf_counter() + self.ahead

def all_reduce():
    ends[0].recv(1)

def load_batch():
    ends[0].recv(1)

root, rank, size, phase, signal = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5] == "yes"
ends, clock = socket.socketpair(), Ahead()
emitter = MetricsEmitter(
    "job", root, rank, world_size=size, heartbeat_interval=0.2, total_steps=100, stack_signal=signal, clock=clock
)
metrics = emitter.job_dir / ("metrics.jsonl" if rank == 0 else f"metrics.rank-{rank}.jsonl")
for step in range(20):
    emitter.emit_step(step, loss=1.0)
while not metrics.exists() or metrics.read_bytes().count(b"\\n") < 21:
    time.sleep(0.01)
clock.ahead = 60.0
os.utime(metrics, (time.time() - 60, time.time() - 60))
with emitter.phase(phase):
    load_batch() if phase == "data" else all_reduce()
"""


@contextmanager
def hanging(root: Path, rank: int = 0, size: int = 1, phase: str = "backward", *, signal: bool = True) -> Iterator[int]:
    """A rank of the job `job` that hangs; its pid. Heartbeats tell of the hang already."""
    env = clean_environment(root, PYTHONPATH=str(REPOSITORY / "emitter"))
    argv = [sys.executable, "-c", HANGS, str(root), str(rank), str(size), phase, "yes" if signal else "no"]
    process = subprocess.Popen(argv, env=env)
    try:
        wait_until(lambda: _hangs(beat_of(root, rank), process.pid, phase))
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _hangs(beat: Mapping[str, Any], pid: int, phase: str) -> bool:
    return (beat.get("pid"), beat.get("phase")) == (pid, phase) and beat["step_age"] > 50


def beat_of(root: Path, rank: int = 0) -> dict[str, Any]:
    """The newest heartbeat of a rank; empty before the first."""
    try:
        found: dict[str, Any] = json.loads((root / "job" / f"heartbeat.rank-{rank}.json").read_bytes())
    except FileNotFoundError:
        return {}
    return found


def write_log(root: Path, rank: int, text: str) -> None:
    """What a rank printed."""
    path = root / "job" / "logs" / f"rank_{rank}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def picture(nodes: Mapping[int, str], ages: Mapping[int, float] | None = None) -> JobView:
    """A job with a rank on each of `nodes`, the ranks in `ages` without a step for so many seconds."""
    state = JobState("job")
    for rank, node in nodes.items():
        common = {"v": 1, "rank": rank, "ts": 0.0}
        start = {"kind": "start", "seq": 0, "run_id": f"run-{rank}", "attempt": 1, "world_size": len(nodes)}
        records = [start, *({"kind": "step", "seq": step, "step": step, "loss": 1.0} for step in range(1, 11))]
        lines = b"".join(orjson.dumps(common | record) + b"\n" for record in records)
        state.apply(rank, decode(lines), NOW - (ages or {}).get(rank, 0.5), node)
    return view(state, NOW, curve_of(state))


class FakeNode:
    """A node that answers what a test hands it, or raises it."""

    via = "helper"

    def __init__(self, name: str, answer: Mapping[str, Any] | bytes | NodeError) -> None:
        self.name = name
        self.closed = False
        self.asked: list[dict[str, Any]] = []
        self._answer = answer

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = 30.0) -> Ran:
        """The answer."""
        del seconds
        mark = re.findall(r"echo ([0-9a-f]+)no python", argv[-1])[0].encode()
        self.asked.append(json.loads(stdin[stdin.rindex(b'{"root"') :]))
        if isinstance(self._answer, NodeError):
            raise self._answer
        data = self._answer if isinstance(self._answer, bytes) else zlib.compress(json.dumps(self._answer).encode())
        return Ran(0, b"a login script says hello\n" + (data and mark + data), b"")

    def poll(self, ask: Ask) -> Reply:
        """Not asked for."""
        raise AssertionError(ask)

    def health(self) -> NodeHealth:
        raise AssertionError("not asked here")

    def probe(self) -> Probe:
        """Not asked for."""
        raise AssertionError

    def close(self) -> None:
        """Noted."""
        self.closed = True


def alive(pid: int) -> bool:
    """Whether a process of ours has not ended."""
    return os.waitpid(pid, os.WNOHANG) == (0, 0)


def looked(
    view: JobView, tmp_path: Path, *nodes: FakeNode, copies: bool = True, over: tuple[Entry, ...] = ()
) -> Bundle:
    """The diagnosis of a picture, by what these nodes answer."""
    watched = [Watched(node, "~/jobs") for node in nodes]
    return diagnose(view, {"a": 1}, watched, tmp_path / "job", WHEN, copies=copies, over=over)


def files(bundle: Bundle) -> dict[str, str]:
    """What was written, by the names in its directory."""
    found = (path for path in bundle.path.rglob("*") if path.is_file())
    return {str(path.relative_to(bundle.path)): path.read_text() for path in found}


def rank(**fields: Any) -> dict[str, Any]:
    """What a node answers of a rank."""
    return {"here": True, "process": "process 7", "heartbeat": None, "error": None, "log": None, **fields}
