"""What "done" means: all that was on the nodes when a sync was asked for is here, over dead connections too."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.growing import append
from tests.faults.lab import JOB, Lab, answered, node, settle, sha, steps
from tests.sshd import Machine
from tests.writing import RankWriter, now_clock, wait_until
from ugro_tui.core.commands import OpenJob, Sync

SELDOM = 60.0
"""Seconds between two looks: what a test waits for comes because it was asked for."""


def fresh_files(machine: Machine, number: int) -> list[Path]:
    """Files, folders and a job that were not there a moment ago."""
    names = (
        f"{JOB}/metrics.rank-{number}.jsonl", f"{JOB}/logs/rank_{number}.log", f"job-{number}/metrics.jsonl",
        f"{JOB}/tensorboard/rank_{number}/events.out.tfevents.{number}.host", f"job-{number}/logs/rank_0.log",
    )  # fmt: skip
    paths = [machine.metrics / name for name in names]
    for path in paths:
        append(path, b"{}\n" * number)
    return paths


@pytest.mark.parametrize("over", ["helper", "sftp"])
def test_what_was_there_when_a_sync_was_asked_for_is_here_when_it_is_done(lab: Lab, over: str) -> None:
    machine = lab.fleet.add() if over == "helper" else lab.add_sftp()
    RankWriter(machine.metrics / JOB, 0, now_clock()).start()
    agent = lab.watch(SELDOM)
    assert agent.copies is not None
    wait_until(lambda: node(agent, "n1").via == over, 20)
    made: list[Path] = []
    for number in range(1, 5):
        made += fresh_files(machine, number)
        for path in made:
            append(path, b"{}\n")
        if number % 2:
            assert [part.error for part in agent.copies.sync(seconds=30).nodes] == [""]
        else:
            assert answered(agent, Sync()).problem == ""
        copies = lab.copied(machine)
        assert [path for path in made if sha(copies[path]) != sha(path)] == []


def test_a_job_that_has_just_begun_is_opened_over_sftp_too(lab: Lab) -> None:
    machine = lab.add_sftp()
    RankWriter(machine.metrics / JOB, 0, now_clock()).start()
    agent = lab.watch(SELDOM)
    wait_until(lambda: agent.feed.snapshot().job(JOB), 20)
    RankWriter(machine.metrics / "another", 0, now_clock()).start()
    assert answered(agent, OpenJob("another")).problem == ""
    assert agent.feed.snapshot().job("another") is not None


def kill_connections(machine: Machine) -> None:
    """The processes that sshd has for them."""
    machine.disconnect()


def kill_program(machine: Machine) -> None:
    """What runs in the session, whose connection lives on."""
    os.kill(machine.processes()[-1], signal.SIGKILL)


@pytest.mark.parametrize("over", ["helper", "sftp"])
@pytest.mark.parametrize("die", [kill_connections, kill_program])
def test_a_sync_that_meets_a_dead_connection_connects_again_and_goes_on(
    lab: Lab, die: Callable[[Machine], None], over: str
) -> None:
    machine = lab.fleet.add() if over == "helper" else lab.add_sftp()
    link = lab.behind(machine)
    (grower,) = lab.grow(machine)
    agent = lab.watch(SELDOM)
    assert agent.copies is not None
    wait_until(lambda: steps(agent, 0) > 0, 20)
    grower.pause()
    for turn in range(1, 4):
        assert [part.error for part in agent.copies.sync(seconds=30).nodes] == [""]
        die(machine)
        grower.step()
        assert [part.error for part in agent.copies.sync(seconds=30).nodes] == [""]
        assert not lab.differing()
        assert link.connections == turn + 1
    settle(lab, agent, [grower])


def test_a_node_that_is_gone_is_tried_once_more_and_no_further(lab: Lab) -> None:
    machine, _well = lab.fleet.add(), lab.fleet.add()
    link = lab.behind(machine)
    growers = lab.grow(*lab.fleet.machines)
    agent = lab.watch(SELDOM)
    assert agent.copies is not None
    wait_until(lambda: steps(agent, 0) > 0 and steps(agent, 1) > 0, 20)
    seen = link.connections
    machine.stop()  # the link still accepts, and ends what nobody takes
    first, second = agent.copies.sync(seconds=30).nodes
    assert first.error
    assert second.error == ""
    assert link.connections - seen <= 1
    machine.start()
    settle(lab, agent, growers)
