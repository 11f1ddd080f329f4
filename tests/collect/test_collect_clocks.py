"""Clocks that are wrong, or jump: the same is shown as of a node whose clock is right, whatever way it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.collect.bench import Bench, view
from tests.nodes.disk_sftp import DiskSftp
from tests.writing import STARTED, Clock, RankWriter
from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.core.states import JobStatus, RankState
from ugro_tui.nodes.base import Node
from ugro_tui.nodes.local import LocalNode
from ugro_tui.nodes.remote import RemoteNode

HOUR = 3600.0
LOOK_SECONDS = 5.0
RUNNING_LOOKS, SILENT_LOOKS = 12, 13
LOST_SECONDS = 1.0
"""SFTP tells times in whole seconds."""


@dataclass
class Watch(Clock):
    """A clock that goes as another one does, but shows another time."""

    true: Clock | None = None
    ahead: float = 0.0

    def monotonic(self) -> float:
        assert self.true is not None
        return self.true.now

    def time(self) -> float:
        assert self.true is not None
        return STARTED + self.true.now + self.ahead


Shown = tuple[JobStatus, list[RankState], list[str], float]
Ahead = Callable[[int], float]


def shown(bench: Bench, collector: TrainingMetricsCollector) -> Shown:
    """The job's status, the states of its ranks, its alerts, and the age of its newest step."""
    job = view(bench.done(collector), "job")
    states = [RankState(int(state)) for state in job.ranks.state]
    alerts = [alert.name for alert in job.summary.alerts]
    return job.summary.status, states, alerts, float(job.ranks.step_age.max())


def by_helper(bench: Bench, there: Clock, here: Clock) -> Node:  # noqa: ARG001
    return LocalNode(bench.root, there.time)


def by_sftp(bench: Bench, there: Clock, here: Clock) -> Node:  # noqa: ARG001
    """An account that may run nothing: nobody can ask it for the time."""
    return RemoteNode("n1", str(bench.root), DiskSftp().connect, monotonic=here.monotonic, time=here.time)


def story(bench: Bench, read: Any, there_ahead: Ahead, here_ahead: Ahead) -> list[Shown]:
    """What is shown at each look at a run that goes well, and then falls silent."""
    there, here = Watch(true=bench.clock), Watch(true=bench.clock)
    there.ahead, here.ahead = there_ahead(0), here_ahead(0)
    writers = [RankWriter(bench.root / "job", rank, there) for rank in range(2)]
    for writer in writers:
        writer.start(world_size=2, total_steps=1000)
    collector = TrainingMetricsCollector([read(bench, there, here)], here, HOUR)
    bench.collectors.append(collector)
    told = []
    for look in range(RUNNING_LOOKS + SILENT_LOOKS):
        bench.clock.now += LOOK_SECONDS
        there.ahead, here.ahead = there_ahead(look), here_ahead(look)
        for writer in writers if look < RUNNING_LOOKS else ():
            writer.steps(5 * look + 1, 5 * look + 5)
            writer.heartbeat(step=5 * look + 5)
        collector.start()
        told.append(shown(bench, collector))
    return told


def right(_look: int) -> float:
    return 0.0


def ahead(_look: int) -> float:
    return HOUR


def behind(_look: int) -> float:
    return -HOUR


def stepping_back(look: int) -> float:
    return 0.0 if look < 7 else -HOUR


def stepping_forth(look: int) -> float:
    return 0.0 if look < 7 else HOUR


def restless(look: int) -> float:
    return HOUR * (look // 3 % 3 - 1)


def same(told: Sequence[Shown], expected: Sequence[Shown]) -> None:
    assert [words[:3] for words in told] == [words[:3] for words in expected]
    assert [words[3] for words in told] == pytest.approx([words[3] for words in expected], abs=LOST_SECONDS)


CLOCKS: list[tuple[Ahead, Ahead]] = [(ahead, right), (behind, right), (stepping_back, right), (restless, right)]
JUMPS: list[tuple[Ahead, Ahead]] = [(right, stepping_forth), (right, restless)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Shown]:
    """What is shown where all clocks are right."""
    bench = Bench(tmp_path_factory.mktemp("right"))
    told = story(bench, by_helper, right, right)
    bench.collectors[0].stop()
    running, silent = told[:RUNNING_LOOKS], told[RUNNING_LOOKS:]
    assert [words[:3] for words in running] == [(JobStatus.RUNNING, [RankState.RUNNING] * 2, [])] * RUNNING_LOOKS
    assert {state for words in silent for state in words[1]} == {RankState.RUNNING, RankState.HUNG, RankState.DEAD}
    return told


@pytest.mark.parametrize("read", [by_helper, by_sftp])
@pytest.mark.parametrize(("there", "here"), CLOCKS + JUMPS)
def test_wrong_and_jumping_clocks_change_nothing_that_is_shown(
    bench: Bench, expected: list[Shown], read: Any, there: Ahead, here: Ahead
) -> None:
    # Who cannot be asked for the time is not known to be wrong before something has changed.
    first = 1 if read is by_sftp else 0
    same(story(bench, read, there, here)[first:], expected[first:])
