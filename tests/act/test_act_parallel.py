"""Many nodes at once: processes are ended on all of them in the same moment, whatever the number."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ugro_tui.act.errors import LaunchError
from ugro_tui.act.parallel import MOST_AT_ONCE, all_of, on_all
from ugro_tui.act.sites import Look, Site
from ugro_tui.act.torchrun import Torchrun
from ugro_tui.clock import SystemClock
from ugro_tui.core.errors import UgroError
from ugro_tui.nodes.local import LocalNode

T = TypeVar("T")
COUNT = 3 * MOST_AT_ONCE


class Waiting(Site):
    """A node that answers a stop when all others have been asked for it."""

    together = threading.Barrier(COUNT)

    def ask(
        self, action: str, words: Mapping[str, Any], kind: type[T], *, payload: bytes = b"", seconds: float = 30.0
    ) -> T:
        del words, payload, seconds  # what is asked is not looked at
        if action == "stop":
            self.together.wait(60)
        found = Look(
            exists=True, manifest={"status": "running", "attempt": 1}, ours=True, mine=False, blank=False, alive=0,
            watched=0, supervisors=["0"], exits={}, fresh=[], beating=[], talking=[], tails={}, time=0.0, were=3,
        )  # fmt: skip
        return found if isinstance(found, kind) else kind()


def test_a_stop_reaches_all_nodes_before_any_has_answered() -> None:
    clock = SystemClock()
    names = [f"n{number}" for number in range(COUNT)]
    sites = {name: Waiting(LocalNode(Path("nowhere"), clock.time, name), "nowhere", str) for name in names}
    standing = Torchrun(sites, clock).stop("job", 0.0, lambda _: None)
    assert (standing.status, len(standing.nodes)) == ("stopped", COUNT)


def test_errors_of_some_nodes_are_told_together_and_who_is_late_is_not_waited_for() -> None:
    stuck = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            raise UgroError("n1: no room")
        if number == 2:
            raise ValueError("a mistake")
        if number == 3:
            stuck.wait(60)
        return number

    found = on_all(range(4), work, 0.2)
    stuck.set()
    assert found[0] == 0
    with pytest.raises(LaunchError, match=r"n1: no room\nn2: ValueError\('a mistake'\).*\nn3: no answer within 0 s"):
        all_of(["n0", "n1", "n2", "n3"], found)
