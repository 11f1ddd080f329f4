"""An application without a screen that watches many nodes, in a process of its own: prints what that costs, as JSON.

    python -m tests.benchmarks.watcher SSH_CONFIG ALIAS FOLDER COUNT

Every node is a connection of its own to the machine ALIAS, with a metrics directory of its own below FOLDER, in which
one rank of the job writes a record every five seconds.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from tests.writing import RankWriter, now_clock
from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.nodes.fleet import make_nodes
from ugro_tui.nodes.inventory import NodeSpec
from ugro_tui.nodes.secrets import Secrets

INTERVAL, SECONDS = 5.0, 30.0


class RealClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


def mib() -> float:
    """Memory of this process that is in use."""
    words = Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()
    return int(words[0]) / 1024


def write(folder: Path, count: int, stop: threading.Event) -> None:
    """Have each rank write a record every five seconds; in a process of its own."""
    writers = [RankWriter(folder / f"n{rank}" / "job", rank, now_clock()) for rank in range(count)]
    for writer in writers:
        writer.start(world_size=count, total_steps=10_000)
    step = 1
    while not stop.wait(INTERVAL):
        for writer in writers:
            writer.clock = now_clock()
            writer.steps(step, step)
            writer.heartbeat(step=step)
        step += 1


def main(ssh_config: str, alias: str, folder: str, count: int) -> None:
    """Watch, and print what it costs."""
    from multiprocessing import get_context

    context = get_context("spawn")
    process = context.Process(target=_write, args=(folder, count), daemon=True)
    process.start()
    root = Path(folder)
    specs = [NodeSpec(f"n{rank}", alias, metrics_dir=str(root / f"n{rank}")) for rank in range(count)]
    clock = RealClock()
    nodes = make_nodes(specs, root, "~", Path(ssh_config), Secrets(), clock)
    aggregator = ResultAggregator(root / "central", clock, [node.name for node in nodes])
    before = mib()
    collector = TrainingMetricsCollector(nodes, clock, INTERVAL, aggregator=aggregator, keep=True)
    collector.start()
    while not _all_there(collector, count):
        threading.Event().wait(0.1)
    threading.Event().wait(INTERVAL)  # what connecting left behind is done
    began, used = clock.monotonic(), time.process_time()
    threading.Event().wait(SECONDS)
    spent, passed = time.process_time() - used, clock.monotonic() - began
    polls = count * passed / INTERVAL
    told = {"nodes": count, "core": spent / passed, "mib": mib() - before, "a_poll": spent / polls, "polls": polls}
    collector.stop()
    process.terminate()
    print(json.dumps(told), flush=True)


def _all_there(collector: TrainingMetricsCollector, count: int) -> bool:
    job = collector.snapshot().job("job")
    return job is not None and job.summary.ranks_seen == count


def _write(folder: str, count: int) -> None:
    write(Path(folder), count, threading.Event())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
