"""`JobsScreen`: all jobs, the worst first, and what to do where there is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ugro_tui.core.snapshot import JobView
from ugro_tui.ui.panels import empty
from ugro_tui.ui.screen import GoTo, UgroScreen


class JobsScreen(UgroScreen):
    """All jobs that are followed."""

    NAME = "jobs"
    SAYS = "Jobs"

    DEFAULT_CSS = """
    JobsScreen #empty { display: none; height: 1fr; content-align: center middle; text-align: center; }
    JobsScreen.-empty #empty { display: block; }
    JobsScreen.-empty #list { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "open", tooltip="Open the job", show=True)]

    def parts(self) -> Iterable[Widget]:
        """A line for each job."""
        yield Static(id="title", classes="line")
        yield Static(id="list")
        yield Static(id="empty")

    def draw(self) -> None:
        """All jobs, or what to do when there is none."""
        jobs = self.desk.jobs
        self.set_class(not jobs, "-empty")
        self.put("title", Content(f" Jobs {len(jobs)}"))
        self.put("list", Content("\n").join([self._line(job) for job in jobs]))

    def _line(self, job: JobView) -> Content:
        return Content(f"{job.job_id}  {job.summary.verdict}")

    def draw_ages(self) -> None:
        """The empty screen tells of nodes."""
        desk = self.desk
        if not desk.order:
            self.put("empty", empty(desk.snapshot, desk.place, ready=desk.ready, size=self.size, elapsed=desk.elapsed))

    def action_open(self) -> None:
        """Show the job under the cursor."""
        self.post_message(GoTo("job"))
