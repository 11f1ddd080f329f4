"""The rank table: paints only the lines that are visible, so 8,192 ranks cost what 8 do."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ugro_tui.core.snapshot import RankColumns
from ugro_tui.core.states import RankState
from ugro_tui.ui.columns import GAP, TableColumn, fitting
from ugro_tui.ui.marks import RANK_TONES


class RankTable(ScrollView, can_focus=True):
    """One line a rank. Keys move a cursor; the view follows it."""

    DEFAULT_CSS = """
    RankTable { background: $surface; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    RankTable > .title { color: $text-muted; text-style: bold; background: $surface; }
    RankTable > .plain { color: $foreground; background: $surface; }
    RankTable > .cursor { background: $primary 30%; color: $foreground; }
    RankTable > .good { color: $success; }
    RankTable > .warn { color: $warning; }
    RankTable > .bad { color: $error; text-style: bold; }
    RankTable > .quiet { color: $text-muted; }
    RankTable > .trend { color: $accent 70%; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"title", "plain", "cursor", "good", "warn", "bad", "quiet", "trend"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Next rank", show=False),
        Binding("k,up", "move(-1)", "Previous rank", show=False),
        Binding("ctrl+d,pagedown", "half_page(1)", "Half a page down", show=False),
        Binding("ctrl+u,pageup", "half_page(-1)", "Half a page up", show=False),
        Binding("g,home", "move_to(0)", "First rank", show=False),
        Binding("G,end", "move_to(-1)", "Last rank", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._ranks: RankColumns | None = None
        self._columns: tuple[TableColumn, ...] = ()
        self._fitted = 0
        self.cursor = 0

    def show(self, ranks: RankColumns | None) -> None:
        """Show these ranks from now on; None where nothing is known."""
        before = 0 if self._ranks is None else len(self._ranks)
        self._ranks = ranks
        count = 0 if ranks is None else len(ranks)
        if count != before:
            self.virtual_size = Size(self.size.width, count + 1)
            self.cursor = max(0, min(self.cursor, count - 1))
        self._columns = ()
        self.refresh()

    def on_resize(self, event: Resize) -> None:
        """Choose the columns again, and let the scrollbar know."""
        self._columns = ()
        self.virtual_size = Size(event.size.width, (0 if self._ranks is None else len(self._ranks)) + 1)

    def render_line(self, y: int) -> Strip:
        """The line at `y` of the visible part: the titles stay on top."""
        width = self.size.width
        if not self._columns or width != self._fitted:
            self._columns, self._fitted = fitting(width, self._ranks), width
        plain = self.get_component_rich_style("plain")
        if y == 0:
            title = GAP.join(column.fit(column.title) for column in self._columns)
            return Strip([Segment(title, self.get_component_rich_style("title"))]).adjust_cell_length(width, plain)
        row = y - 1 + self.scroll_offset.y
        if self._ranks is None or not 0 <= row < len(self._ranks):
            return Strip.blank(width, plain)
        base = self.get_component_rich_style("cursor") if row == self.cursor and self.has_focus else plain
        return Strip(self._segments(self._ranks, row, base)).adjust_cell_length(width, base)

    def _segments(self, ranks: RankColumns, row: int, base: Style) -> list[Segment]:
        state = RankState(int(ranks.state[row]))
        tone = Style(color=self.get_component_rich_style(RANK_TONES[state]).color, bold=state != RankState.FINISHED)
        bad = Style(color=self.get_component_rich_style("bad").color, bold=True)
        trend = Style(color=self.get_component_rich_style("trend").color)
        styles = {"State": base + tone, "Rank": base + tone, "Trend": base + trend}
        segments = []
        for column in self._columns:
            text = column.text(ranks, row)
            style = styles.get(column.title, base)
            segments += [Segment(text, base + bad if "!" in text else style), Segment(GAP, base)]
        return segments

    def action_move(self, rows: int) -> None:
        """Move the cursor by `rows`."""
        self._go(self.cursor + rows)

    def action_half_page(self, direction: int) -> None:
        """Move the cursor by half of what is visible."""
        self._go(self.cursor + direction * max(1, (self.size.height - 1) // 2))

    def action_move_to(self, row: int) -> None:
        """Move the cursor to `row`; -1 is the last."""
        self._go((0 if self._ranks is None else len(self._ranks)) - 1 if row < 0 else row)

    def on_click(self, event: Click) -> None:
        """Move the cursor to the line under the mouse."""
        if event.y > 0:
            self._go(event.y - 1 + self.scroll_offset.y)

    def _go(self, row: int) -> None:
        count = 0 if self._ranks is None else len(self._ranks)
        self.cursor = max(0, min(row, count - 1))
        visible = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + visible:
            self.scroll_to(y=self.cursor - visible + 1, animate=False)
        self.refresh()
