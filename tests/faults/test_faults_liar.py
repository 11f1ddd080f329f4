"""A node that speaks the helper's protocol and lies: it harms its own row, and nothing else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import liar
from tests.faults.lab import JOB, Lab, all_text, node, steps
from tests.faults.liar import CONTROLS, LIES
from tests.writing import now_clock, wait_until, whole_job
from ugro_tui.agent import Agent
from ugro_tui.core.commands import Refresh
from ugro_tui.core.states import NodeState

REFUSED = [lie for lie in LIES if lie not in ("words", "error", "without end", "many jobs")]
UNPARSED = ["garbage", "huge", "bomb", "no json", "checksum"]
REFRESH = 0.25


class Stage:
    """An honest node n1 whose run grows, a lying one n2, and the application that watches both."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.mode = lab.folder / "mode"
        self.mode.write_text("honest")
        honest = lab.fleet.add()
        lying = lab.fleet.add(f"ForceCommand {sys.executable} {liar.__file__} {self.mode}")
        whole_job(lying.metrics / JOB, now_clock(), ranks=3)
        lab.grow(honest)
        self.agent = lab.watch(REFRESH)
        wait_until(lambda: steps(self.agent, 0) > 0 and node(self.agent, "n2").state is NodeState.OK, 30)

    def lie(self, lie: str) -> None:
        """From the next answer on."""
        self.mode.write_text(lie)
        self.agent.feed.request(Refresh())

    def honest(self) -> None:
        """Speak the truth, and be believed again."""
        self.lie("honest")
        wait_until(lambda: node(self.agent, "n2").state is NodeState.OK, 20)

    def harmless(self) -> None:
        """Nothing came where it does not belong, the other node is well, and no text moves a terminal."""
        snapshot = self.agent.feed.snapshot()
        found = CONTROLS.search(all_text(snapshot))
        assert found is None, found
        assert node(self.agent, "n1").state is NodeState.OK
        allowed = {f"jobs/{JOB}", ".lock", "nodes/n1.json", "nodes/n2.json"}
        there = {str(path.relative_to(self.lab.central)) for path in self.lab.central.rglob("*") if path.is_file()}
        strangers = [path for path in there if not path.startswith(tuple(allowed))]
        assert not strangers, strangers
        below = {path.split("/")[3] for path in there if path.count("/") > 2}
        assert below <= {"n1", "n2"}, there
        assert not [path for path in self.lab.folder.rglob("*evil*") if "home" not in path.parts]
        assert not Path("/tmp/evil").exists()
        assert not self.lab.wrong(self.lab.fleet.machines[0])

    def pace(self, looks: int = 3) -> float:
        """Seconds for each of the honest node's next looks, as its newest step is shown."""
        began, step = time.monotonic(), steps(self.agent, 0)
        for _ in range(looks):
            wait_until(lambda step=step: steps(self.agent, 0) > step, 10)  # type: ignore[misc]
            step = steps(self.agent, 0)
        return (time.monotonic() - began) / looks


@pytest.fixture
def stage(lab: Lab) -> Iterator[Stage]:
    made = Stage(lab)
    yield made
    made.mode.write_text("honest")


def told(agent: Agent) -> str:
    return node(agent, "n2").brief


def test_lies_are_refused_and_harm_nobody_else(stage: Stage) -> None:
    for lie in [*REFUSED, *UNPARSED]:
        stage.lie(lie)
        wait_until(lambda: told(stage.agent) == "bad answer", 20)
        stage.harmless()
        stage.honest()
    assert stage.pace() < 4 * REFRESH


def test_words_of_a_node_are_shown_and_never_obeyed(stage: Stage) -> None:
    stage.lie("words")
    wait_until(lambda: "denied" in " ".join(stage.agent.feed.snapshot().notices), 20)
    stage.harmless()
    assert {view.job_id for view in stage.agent.feed.snapshot().jobs} == {JOB}
    assert stage.agent.feed.snapshot().listed == ()
    stage.lie("error")
    wait_until(lambda: told(stage.agent) == "not allowed", 20)
    assert "␛" in node(stage.agent, "n2").error
    stage.harmless()


@pytest.mark.parametrize("lie", ["without end", "many jobs"])
def test_a_node_that_always_has_more_keeps_nobody_waiting(stage: Stage, lie: str) -> None:
    stage.lie(lie)
    number = stage.agent.feed.request(Refresh()).number
    wait_until(lambda: number in [one.number for one in stage.agent.feed.snapshot().answers], 20)
    assert stage.pace() < 4 * REFRESH
    stage.harmless()
