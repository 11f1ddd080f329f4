"""Ends that nobody has written down: how often it is asked for them, and until when."""

from __future__ import annotations

import threading
from dataclasses import replace

from tests.core.record_lines import manifest
from tests.ui.scenes import COMPLETED, Run, ended, job, snapshot
from tests.writing import Clock
from ugro_tui.core.errors import UgroError
from ugro_tui.core.job import JobState
from ugro_tui.core.snapshot import Snapshot, curve_of, view
from ugro_tui.settling import MOST_TRIES, WAIT_SECONDS, Settler


class Asked:
    """A settler over a picture, and what it asks for; `answers` are given in turn, None raises."""

    def __init__(self, picture: Snapshot, *answers: bool | None) -> None:
        self.clock, self.jobs, self._answers = Clock(), list[str](), list(answers)
        self.settler = Settler(lambda: picture, self._is_over, self.clock, threading.Event())

    def _is_over(self, job_id: str) -> bool:
        self.jobs.append(job_id)
        answer = self._answers.pop(0) if self._answers else False
        if answer is None:
            raise UgroError("no answer")
        return answer

    def looks(self, count: int, seconds: float = 5.0) -> int:
        """How often it asks in so many looks."""
        before = len(self.jobs)
        for _ in range(count):
            self.clock.now += seconds
            self.settler.look()
        return len(self.jobs) - before


def picture(recorded: str, run: Run) -> Snapshot:
    """A job whose `job.json` says this."""
    made = snapshot(job(run))
    return replace(made, jobs=tuple(replace(view, recorded=recorded) for view in made.jobs))


def without_records() -> Snapshot:
    """A job that its launcher says runs, and of which no rank has told anything."""
    state = JobState("silent")
    manifest(state, "running")
    return Snapshot(1, 0.0, jobs=(view(state, 0.0, curve_of(state)),))


def test_an_end_is_asked_for_soon_then_more_seldom_and_no_more_once_it_is_known() -> None:
    over = picture("running", Run("a", ranks=1, ends=ended(1, **COMPLETED)))
    asked = Asked(over, None, False)
    assert asked.looks(MOST_TRIES) == MOST_TRIES
    assert asked.looks(6) == 1  # every 30 s
    done = Asked(over, False, True)
    assert done.looks(10) == 2


def test_a_job_that_waits_is_asked_for_every_half_minute_and_one_that_runs_or_is_recorded_never() -> None:
    waits = Asked(picture("pending", Run("b", ranks=1)))
    assert waits.looks(12) == 12 * 5 / WAIT_SECONDS
    silent = Asked(without_records(), False, True)  # it may have failed before its first record
    assert silent.looks(18) == 2
    for recorded, run in (("running", Run("c", ranks=1)), ("finished", Run("d", ends=ended(4, **COMPLETED)))):
        assert Asked(picture(recorded, run)).looks(3) == 0
