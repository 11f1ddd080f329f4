"""Links that swallow, drip or fall silent: each is named in time, asked less and less, and holds up nobody."""

from __future__ import annotations

import sys
import time

import pytest

from tests.faults import liar
from tests.faults.lab import Lab, answered, node, settle, steps
from tests.faults.test_faults_three_nodes import CUT_SECONDS, NO_ANSWER_SECONDS, first_said
from tests.writing import wait_until
from ugro_tui.core.commands import Refresh
from ugro_tui.core.states import NodeState

REFRESH = 0.5
DRIPS = ("n1", "n2", "n4")


def test_no_answer_to_a_syn_and_drips_of_a_banner_and_of_answers(lab: Lab) -> None:
    mode = lab.folder / "mode"
    mode.write_text("drip")
    _deaf, _drip, _well = (lab.fleet.add() for _ in range(3))
    lab.fleet.add(f"ForceCommand {sys.executable} {liar.__file__} {mode}")
    deaf, drip = (lab.behind(machine) for machine in lab.fleet.machines[:2])
    growers = lab.grow(*lab.fleet.machines)
    deaf.deafen()
    drip.down.bandwidth = 1
    began = time.monotonic()
    agent = lab.watch(REFRESH)
    said = first_said(agent, dict.fromkeys(DRIPS, began), dict.fromkeys(DRIPS, "no answer"), 15)
    assert max(said.values()) < NO_ANSWER_SECONDS
    step = steps(agent, 2)
    assert step > 0
    assert node(agent, "n3").state is NodeState.OK
    assert drip.connections <= 2  # each attempt takes its whole time
    wait_until(lambda: steps(agent, 2) > step, 4 * REFRESH)
    deaf.hear()
    drip.down.bandwidth = 0
    mode.write_text("honest")
    lab.fleet.machines[3].disconnect()
    answered(agent, Refresh())
    wait_until(lambda: all(view.state is NodeState.OK for view in agent.feed.snapshot().nodes), 20)
    settle(lab, agent, growers)


def test_a_node_that_stays_away_is_asked_less_and_less(lab: Lab) -> None:
    _away, _well = lab.fleet.add(), lab.fleet.add()
    link = lab.behind(lab.fleet.machines[0])
    growers = lab.grow(*lab.fleet.machines)
    agent = lab.watch(0.2)
    wait_until(lambda: steps(agent, 0) > 0, 20)
    lab.fleet.machines[0].stop()  # the link still accepts, and ends what nobody takes
    before, step = link.connections, steps(agent, 1)
    wait_until(lambda: node(agent, "n1").state is NodeState.WAITING, 10)
    assert link.connections - before in (2, 3)  # the first of three failures may be the loss of the connection itself
    began = time.monotonic()
    wait_until(lambda: steps(agent, 1) > step + 100, 20)
    tried = link.connections - before - 3
    assert tried <= (time.monotonic() - began) + 1  # a pause is a second at the least; a look would be each 0.2 s
    lab.fleet.machines[0].start()
    answered(agent, Refresh())
    wait_until(lambda: node(agent, "n1").state is NodeState.OK, 10)
    settle(lab, agent, growers)


@pytest.mark.acceptance
def test_a_link_that_falls_silent_is_given_up_and_made_anew(lab: Lab) -> None:
    machine, _well = lab.fleet.add(), lab.fleet.add()
    link = lab.behind(machine)
    growers = lab.grow(*lab.fleet.machines)
    agent = lab.watch(5.0)
    wait_until(lambda: steps(agent, 0) > 0 and steps(agent, 1) > 0, 20)
    link.hold()
    began = time.monotonic()
    said = first_said(agent, {"n1": began}, {"n1": "no answer"}, CUT_SECONDS)
    assert said["n1"] < NO_ANSWER_SECONDS
    wait_until(lambda: link.connections > 1, CUT_SECONDS + 2 * NO_ANSWER_SECONDS)
    assert node(agent, "n2").state is NodeState.OK
    link.hold(held=False)
    wait_until(lambda: node(agent, "n1").state is NodeState.OK, 30)
    settle(lab, agent, growers)
