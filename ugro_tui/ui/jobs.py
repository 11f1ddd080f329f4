"""`JobsScreen`: all jobs, the worst first, and what to do where there is none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content

from ugro_tui.core.states import HUNG, STALLED
from ugro_tui.ui.job_columns import AGE_WORDS, COLUMNS, FIELDS, OLDER, job_lines
from ugro_tui.ui.listing import ListScreen
from ugro_tui.ui.marks import JOB_STYLES
from ugro_tui.ui.panels import empty, verdict
from ugro_tui.ui.screen import GoTo
from ugro_tui.ui.table import LineTable

if TYPE_CHECKING:
    from ugro_tui.ui.job_preview import JobPreview

LEAST_PREVIEW: Final = 9
"""Lines that the list must leave for the job under the cursor to be drawn there."""

_AROUND: Final = 6
"""Lines of the screen that are neither list nor preview, where the verdict takes one."""

_TOLD = (HUNG, STALLED, "running", "starting", "pending", "failed", "stopped", "finished", "unknown")


class JobsScreen(ListScreen):
    """A line for each job; below it the verdict on the one under the cursor, and its loss where there is room."""

    NAME = "jobs"
    SAYS = "Jobs"
    HELP_WORDS = AGE_WORDS

    DEFAULT_CSS = """
    JobsScreen.-drawn LineTable { height: auto; max-height: 50%; }
    JobsScreen JobPreview { display: none; }
    JobsScreen.-drawn JobPreview { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "compare", "compare", tooltip="Compare the marked jobs", show=True),
    ]

    _placed = ""
    """The job in hand that the cursor was put on: where it is moved to afterwards, it stays, until another is taken."""

    _preview: JobPreview | None = None

    def on_mount(self) -> None:
        """The list comes first: what draws curves is imported once it stands."""
        self.call_after_refresh(self._add_preview)

    async def _add_preview(self) -> None:
        from ugro_tui.ui.job_preview import JobPreview

        preview = JobPreview(self.desk, self.put)
        await self.query_one("#parts").mount(preview, after="#detail")
        self._preview = preview
        self.show()

    def draw(self) -> None:
        """The list, and whether it leaves room for more."""
        super().draw()
        height = self.size.height
        left = height - _AROUND - min(len(self._lines) + 1, height // 2)
        roomy = left >= LEAST_PREVIEW and not self.has_class("-tiny") and not self.has_class("-empty")
        self.dress({"-drawn": self._preview is not None and roomy})

    def draw_ages(self) -> None:
        """The verdict, and what is drawn of the job."""
        super().draw_ages()
        self._draw_preview()

    @on(LineTable.Moved)
    def _draw_preview(self) -> None:
        if self._preview is not None and self.has_class("-drawn"):
            self._preview.show(self.desk.snapshot.job(str(self.table.key)))

    def new_table(self) -> LineTable[Any]:
        """The table of jobs."""
        return LineTable(COLUMNS, FIELDS, noun="job")

    @property
    def job(self) -> str | None:
        """The job under the cursor."""
        return None if self.table.key is None else str(self.table.key)

    def title_words(self) -> Content:
        """How many jobs are in which state."""
        found = Counter(self._lines.row(index).state for index in range(len(self._lines)))
        parts = [(f"  {found[state]} {state}", JOB_STYLES.get(state, "$text-muted")) for state in (*_TOLD, OLDER)]
        return Content.assemble(("Jobs", "bold"), *(part for part in parts if not part[0].startswith("  0 ")))

    def show_lines(self) -> bool:
        """All jobs; none while what there is has not been looked at."""
        desk = self.desk
        self._lines = job_lines(desk.snapshot)
        self.table.show_lines(self._lines)
        if desk.job is not None and self.table.key is not None and desk.job != self._placed:
            self._placed = desk.job if self.table.go(desk.job) or self.table.filter_text else ""
        return bool(desk.snapshot.jobs) or (desk.ready and bool(desk.snapshot.listed))

    def detail(self) -> Content:
        """The verdict on the job under the cursor."""
        view = self.desk.snapshot.job(str(self.table.key))
        if view is None:
            return Content.styled("not changed for a day: enter reads it", "$text-muted")
        return Content.assemble((f" {view.job_id}", "bold"), verdict(view, self.desk.snapshot, self.desk.elapsed))

    def nothing(self) -> Content:
        """What to do when there is no job."""
        desk = self.desk
        return empty(desk.snapshot, desk.place, ready=desk.ready, size=self.size, elapsed=desk.elapsed)

    @on(LineTable.Opened)
    def _opened(self, event: LineTable.Opened) -> None:
        self.desk.take_job(str(event.key))
        self.post_message(GoTo("job"))

    @on(LineTable.Arranged)
    def _marked(self) -> None:
        marked = self.table.marked
        self.desk.marked = tuple(job for job in (*self.desk.order, *self.desk.snapshot.listed) if job in marked)

    def action_compare(self) -> None:
        """Compare the marked jobs; where fewer than two are marked, what `Desk.compared` finds instead."""
        self.post_message(GoTo("compare"))
