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
from ugro_tui.ui.columns import GAP, Row, TableColumn, fitting, row_of
from ugro_tui.ui.marks import RANK_TONES

_BASES = ("plain", "cursor")
_TONES = ("good", "warn", "bad", "quiet", "trend")
_BOLD = ("good", "warn", "bad")
_MARKED = ("Loss", "Trend")


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

    HELP_NAME = "Ranks"

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
        self._palette: dict[str, Style] = {}
        self.cursor = 0

    def show(self, ranks: RankColumns | None) -> None:
        """Show these ranks from now on; None where nothing is known."""
        if ranks is self._ranks:
            return
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
        palette = self._palette = self._palette or self._mixed()
        if y == 0:
            title = GAP.join(column.fit(column.title) for column in self._columns)
            return Strip([Segment(title, palette["title"])]).adjust_cell_length(width, palette["plain"])
        index = y - 1 + self.scroll_offset.y
        if self._ranks is None or not 0 <= index < len(self._ranks):
            return Strip.blank(width, palette["plain"])
        base = "cursor" if index == self.cursor and self.has_focus else "plain"
        return Strip(self._segments(row_of(self._ranks, index), base)).adjust_cell_length(width, palette[base])

    def notify_style_update(self) -> None:
        """The theme or the focus changed: mix the styles again."""
        super().notify_style_update()
        self._palette = {}

    def _mixed(self) -> dict[str, Style]:
        """Every style a line can need: mixing them for each cell would cost as much as the rest of the line."""
        styles = {name: self.get_component_rich_style(name) for name in self.COMPONENT_CLASSES}
        bold = {name: Style(color=styles[name].color, bold=name in _BOLD) for name in _TONES}
        return styles | {f"{base} {name}": styles[base] + bold[name] for base in _BASES for name in _TONES}

    def _segments(self, row: Row, base: str) -> list[Segment]:
        """The cells of a line, those of the same style in one segment: Textual's work grows with the segments."""
        tone = RANK_TONES[row.state]
        tones = {"State": tone, "Rank": tone, "Trend": "trend"}
        segments: list[Segment] = []
        run, run_style = "", base
        for column in self._columns:
            text = column.text(row)
            name = "bad" if "!" in text and column.title in _MARKED else tones.get(column.title)
            style = f"{base} {name}" if name else base
            if style != run_style:
                segments.append(Segment(run, self._palette[run_style]))
                run, run_style = "", style
            run += text + GAP
        return [*segments, Segment(run, self._palette[run_style])]

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
