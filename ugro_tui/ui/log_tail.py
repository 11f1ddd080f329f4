"""The end of a log, in a few lines."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size

from ugro_tui.core.alerts import Severity
from ugro_tui.core.log_inquiry import LogText
from ugro_tui.core.log_level import Level
from ugro_tui.core.log_lines import LogLine
from ugro_tui.core.ports import Archive
from ugro_tui.core.snapshot import JobView
from ugro_tui.ui.marks import LEVEL_GLYPHS
from ugro_tui.ui.wording import cut

_STYLES = {Level.CRITICAL: "bold $error", Level.ERROR: "$error", Level.WARNING: "$warning", Level.DEBUG: "$text-muted"}


def broken_rank(view: JobView | None) -> int | None:
    """The rank that the worst critical alert names, of a job that failed, hangs or learns nothing: its log says why."""
    critical = (alert for alert in (view.summary.alerts if view else ()) if alert.severity is Severity.CRIT)
    return next((alert.rank for alert in critical if alert.rank is not None), None)


def _said(line: LogLine) -> Content:
    glyph = LEVEL_GLYPHS.get(line.level)
    return Content.styled(f"{glyph} {line.message}" if glyph else line.message, _STYLES.get(line.level, ""))


def log_tail(archive: Archive, job: str, rank: int | None, room: Size) -> Content:
    """The newest lines of what a rank prints, None: all of them, as many as there is `room` for; or why there are
    none."""
    lines = max(1, room.height)
    found = archive.look(LogText(job, rank))
    if found.content is None or not found.content.lines:
        why = found.problem or ("reading …" if found.loading else "nothing printed so far")
        said = Content.styled(why, "$text-muted")
        width = room.width or said.cell_length  # before the pane has its place it has none
        return cut(Content("\n").join(said.wrap(width)), width, lines)
    newest = found.content.lines[-lines:]
    return Content("\n").join(_said(line) for line in newest)
