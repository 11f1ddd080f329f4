"""`PlanAhead`: the plan of what stands in the form, asked for while it is typed."""

from __future__ import annotations

from typing import Final

from textual.content import Content

from ugro_tui.core.commands import Answer, PlanLaunch
from ugro_tui.core.launching import LaunchRequest, LaunchView
from ugro_tui.ui.desk import Desk
from ugro_tui.ui.launch_text import plan_text

PLAN_AFTER: Final = 0.5
"""Seconds without a keypress after which the plan is asked for: nodes may have to be asked."""

PATIENCE: Final = 20.0
"""Seconds after which something else is asked although there is no answer: a node may hang."""


class PlanAhead:
    """Asks once for each request; tells of the answer to the last one alone."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asked: LaunchRequest | None = None
        self._asked_at = 0.0
        self._ticket = 0
        self._answer: Answer | None = None
        self._before: LaunchView | None = None
        """What was told of launches before the plan was asked for."""

    def ask(self, request: LaunchRequest) -> bool:
        """Ask what a launch of this would do, one question at a time; whether it was asked for just now."""
        now = self._desk.clock()
        if request == self._asked or (self._waits and now - self._asked_at < PATIENCE):
            return False
        self._asked, self._asked_at, self._answer = request, now, None
        self._before = self._desk.snapshot.launch
        self._ticket = self._desk.feed.request(PlanLaunch(request)).number
        return True

    def forget(self) -> None:
        """What was planned is old: nodes have changed."""
        self._asked = None

    @property
    def _waits(self) -> bool:
        """Whether the last question is not answered yet."""
        answers = self._desk.snapshot.answers
        self._answer = next((one for one in answers if one.number == self._ticket), self._answer)
        return self._ticket > 0 and self._answer is None

    def content(self, request: LaunchRequest) -> Content:
        """The plan for this, or why there is none, or none yet."""
        waits = self._waits or request != self._asked
        launch, answer = self._desk.snapshot.launch, None if waits else self._answer
        if launch is not None and launch.job_id == request.job_id and launch.plan is not None:
            told = answer is not None and not answer.problem and launch != self._before
            if told or launch.plan.request == request:
                return plan_text(launch.plan)
        if answer is not None and answer.problem:
            return Content.styled(f"✖ {answer.problem}", "$error")
        return Content.styled("planning …", "$text-muted")
