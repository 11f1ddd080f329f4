"""A second application beside an open one: it knows of the nodes, and of their processes, what the first one knows."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.lab import Lab, job, node, steps
from tests.writing import RankWriter, now_clock, wait_until
from ugro_tui import exits
from ugro_tui.core.states import NodeState


def test_a_node_that_is_away_is_not_taken_for_dead_ranks(lab: Lab) -> None:
    well, away = lab.fleet.add(), lab.fleet.add()
    lab.grow(well, away)
    first = lab.watch()
    wait_until(lambda: all(steps(first, rank) > 0 for rank in range(2)), 30)
    away.stop()
    wait_until(lambda: node(first, away.name).state is NodeState.WAITING, 30)
    second = lab.watch(keep=False)
    snapshot = second.look()
    assert snapshot.reading
    found = node(second, away.name)
    assert not found.state.reached
    assert found.error == node(first, away.name).error
    assert 0 <= found.age < 120
    states = [rank.state for rank in job(second).summary.per_rank_stats]
    assert states == ["running", "unreachable"]
    assert [alert.rule for alert in job(second).summary.alerts] == ["node_unreachable"]
    assert exits.of_status(second.feed.snapshot()) == exits.PARTIAL
    away.restart()
    wait_until(lambda: node(second, away.name).state is NodeState.OK, 60)


def test_a_process_that_is_gone_is_dead_for_both(lab: Lab) -> None:
    machine = lab.fleet.add()
    clock = now_clock()
    clock.now -= 10
    writer = RankWriter(machine.metrics / "job", 0, clock)
    writer.start()
    writer.steps(1, 20)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    here = {"boot_id": boot, "pid_ns": str(os.stat("/proc/self/ns/pid").st_ino)}
    writer.heartbeat(pid=2**22 + 1, pid_start=1, state="running", step=20, **here)
    first = lab.watch()
    wait_until(lambda: first.feed.snapshot().job("job") is not None and job(first, "job").summary.alerts, 30)
    told = [alert.what for alert in job(first, "job").summary.alerts]
    assert told == ["killed: its process is gone, without an end record or an error file (SIGKILL?)"]
    second = lab.watch(keep=False)
    assert second.look().reading
    wait_until(lambda: [alert.what for alert in job(second, "job").summary.alerts] == told, 30)
