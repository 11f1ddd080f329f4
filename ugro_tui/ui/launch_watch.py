"""`LaunchWatch`: the launch that is shown instead of the form, until it is over."""

from __future__ import annotations

from ugro_tui.core.commands import Launch
from ugro_tui.core.launching import LaunchView, Stage
from ugro_tui.ui.desk import Desk

_REFUSED = "✖ launch: "
"""How the answer to a launch that failed begins."""


class LaunchWatch:
    """`job` is empty while no launch is shown, `begun` when it was asked for, by the desk's clock."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.job = ""
        self.begun = 0.0
        self._before: LaunchView | None = None
        """What was told of launches before this one was asked for."""

    def begin(self, job: str) -> None:
        """Show the launch of this job, which is asked for now."""
        self.job, self.begun, self._before = job, self._desk.clock(), self._desk.snapshot.launch

    def end(self) -> None:
        """Show the form again."""
        self.job = ""

    @property
    def view(self) -> LaunchView | None:
        """What is told of it; None before there is anything."""
        launch = self._desk.snapshot.launch
        if launch is None or launch.job_id != self.job or launch == self._before:
            return None
        self._before = None  # the next failure may say the same
        return launch

    @property
    def over(self) -> bool:
        """Whether it is known how it ended."""
        view = self.view
        return view is not None and view.stage.over

    def allows(self, action: str) -> bool:
        """Whether a key that does this does anything now: the form is behind the launch; what failed is tried again."""
        return not self.job or action not in ("start", "more") or (action == "start" and self.over)

    def follow(self) -> LaunchView | None:
        """Take up a launch that is under way, leave one that was refused before it began; the one that runs now."""
        launch = self._desk.snapshot.launch
        if not self.job and launch is not None and launch.going and launch.stage is not Stage.STOPPING:
            self.begin(launch.job_id)
            self._before = None
        view = self.view
        if self.job and view is None and not self._desk.waits_for(Launch):
            self.end()
        if view is None or view.stage is not Stage.RUNNING:
            return None
        self.end()
        return view

    def hush(self) -> None:
        """Why it failed is shown where it did: take away the message that says the same."""
        view = self.view
        if view is not None and view.problem and self._desk.message.text.startswith(_REFUSED):
            self._desk.say("")
