"""Real nodes, one killed, one frozen, one cut in the middle of a transfer: named in time, and nothing lost."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.faults.growing import append
from tests.faults.lab import Lab, answered, job, node, settle, steps
from tests.writing import wait_until
from ugro_tui.agent import Agent
from ugro_tui.core.commands import Refresh
from ugro_tui.core.states import NodeState

NO_ANSWER_SECONDS = 10.0
CUT_SECONDS = 20.0
DEFAULT_REFRESH = 5.0


def first_said(agent: Agent, since: Mapping[str, float], words: Mapping[str, str], seconds: float) -> dict[str, float]:
    """Seconds from `since` until each node was first said to be in trouble, in these words."""
    said: dict[str, float] = {}

    def all_said() -> bool:
        now = time.monotonic()
        for view in agent.feed.snapshot().nodes:
            if view.state is not NodeState.OK and view.brief == words.get(view.name):
                said.setdefault(view.name, now - since[view.name])
        return len(said) == len(words)

    wait_until(all_said, seconds)
    return said


def test_killed_frozen_and_cut_nodes_are_named_in_time_and_nothing_is_lost(lab: Lab) -> None:
    first, killed, cut, _well, last = (lab.fleet.add() for _ in range(5))
    link = lab.behind(cut)
    growers = lab.grow(*lab.fleet.machines)
    agent = lab.watch(DEFAULT_REFRESH)
    wait_until(lambda: all(steps(agent, rank) > 0 for rank in range(5)), 30)
    # Just after their first answers: they are asked again after nearly a whole interval, and never after a longer one.
    first.freeze()
    last.freeze()
    since = dict.fromkeys(("n1", "n5"), time.monotonic())
    killed.stop()
    since["n2"] = time.monotonic()
    append(growers[2].log, b"x" * 3_000_000)
    link.down.cut_after = 100_000
    wait_until(lambda: link.down.cut_after is None, 10)  # it happened, and in the middle of the log
    link.refuse()
    since["n3"] = time.monotonic()
    assert 0 < lab.copied(cut)[growers[2].log].stat().st_size < growers[2].log.stat().st_size
    behind = steps(agent, 3)
    words = {"n1": "no answer", "n2": "unreachable", "n3": "unreachable", "n5": "no answer"}
    said = first_said(agent, since, words, CUT_SECONDS)
    assert max(said["n1"], said["n2"], said["n5"]) < NO_ANSWER_SECONDS
    assert steps(agent, 3) > behind
    assert node(agent, "n4").state is NodeState.OK
    assert lab.wrong() == []
    killed.start()
    first.thaw()
    last.thaw()
    link.hear()
    answered(agent, Refresh())
    wait_until(lambda: all(view.state is NodeState.OK for view in agent.feed.snapshot().nodes), DEFAULT_REFRESH)
    assert len(job(agent).ranks) == 5
    settle(lab, agent, growers)
