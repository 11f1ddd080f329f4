"""When a launch waits no more for the ranks of a node, and what it says of them then: never more than was heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from ugro_tui.act.beginning import Beginning
from ugro_tui.act.sites import Began, Exit, Look
from ugro_tui.core.launching import LaunchPlan, LaunchRequest, NodePlan
from ugro_tui.nodes.helper_job import names_emitter

NODE = NodePlan("n2", 1, 2, 2, ("python", "/lent/entry.py", "train.py"), "/home")
NO_EMITTER = "2 ranks began; the script does not name ugro_emitter, so only logs are shown"


def beginning(*, emits: bool, rendezvous: str = "static") -> Beginning:
    plan = LaunchPlan(LaunchRequest("job", rendezvous=rendezvous), 1, 4, "t", (NODE,))
    return Beginning(plan, NODE, Began(5.0, emits=emits))


def look(fresh: list[int], beating: list[int] = [], talking: list[int] = [], *, ended: bool = False) -> Look:  # noqa: B006
    exits = {"1": Exit(9.0, 0)} if ended else {}
    return Look(
        exists=True, manifest={}, ours=True, mine=True, blank=False, alive=1, watched=1, supervisors=["1"],
        exits=exits, fresh=fresh, beating=beating, talking=talking, tails={}, time=9.0,
    )  # fmt: skip


def test_heartbeats_of_all_ranks_say_that_they_run() -> None:
    one = beginning(emits=True)
    assert one.said(look([]), 0.0) == ""
    assert one.said(look([2, 3], [2]), 1.0) == ""
    assert one.said(look([2, 3], [2, 1]), 1.0) == ""  # one of another node, on a shared disk
    assert one.said(look([2, 3], [2, 3]), 1.5) == "2 ranks run"
    assert beginning(emits=True, rendezvous="c10d").said(look([0, 3], [0, 3]), 1.0) == "2 ranks run"
    assert beginning(emits=False).said(look([], ended=True), 0.0) == "2 ranks run"


def test_a_script_with_the_emitter_is_given_time_for_its_first_heartbeat() -> None:
    one = beginning(emits=True)
    assert one.said(look([2, 3], [], [2, 3]), 100.0) == ""
    assert one.said(look([2, 3], [2], [2, 3]), 109.9) == ""
    assert one.said(look([2, 3], [2], [2, 3]), 110.0) == "2 ranks began, without a heartbeat so far"


def test_a_script_without_the_emitter_is_told_soon_and_not_called_well() -> None:
    one = beginning(emits=False)
    assert one.said(look([2]), 90.0) == ""
    assert one.said(look([2, 3]), 100.0) == ""
    assert one.said(look([2, 3], [], [2, 3]), 101.9) == ""
    assert one.said(look([2, 3], [], [2]), 104.9) == ""  # one of them is silent yet
    assert one.said(look([2, 3], [], [2, 3]), 102.0) == NO_EMITTER
    assert one.said(look([2, 3]), 105.0) == NO_EMITTER


@pytest.mark.parametrize("emitter", [True, False])
def test_whether_a_script_names_the_emitter(tmp_path: Path, emitter: bool) -> None:
    script = tmp_path / "train.py"
    assert names_emitter(str(script))  # who knows
    script.write_text("from ugro_emitter import MetricsEmitter\n" if emitter else "import torch\n")
    assert names_emitter(str(script)) is emitter
