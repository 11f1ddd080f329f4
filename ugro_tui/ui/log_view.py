"""The text of logs: paints only the lines that are visible, so 100,000 lines scroll as 100 do."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ugro_tui.core.log_inquiry import LogPage
from ugro_tui.core.log_level import Level
from ugro_tui.core.log_lines import MOST_SHOWN, LogLine
from ugro_tui.ui.log_paint import LogPainter, ranks_width
from ugro_tui.ui.log_rows import LogMatches, LogRows, part_of

LEAST_WIDTH = 44
"""Cells below which there is only the text of lines, wrapped."""

ASIDE = 20
"""Cells that long lines are moved by."""


def _key(key: str, action: str, short: str, says: str, *, show: bool = False) -> Binding:
    return Binding(key, action, short, tooltip=says, show=show)


class LogView(ScrollView, can_focus=True):
    """A line for each thing that ranks said. It follows what is new until someone moves up."""

    DEFAULT_CSS = """
    LogView { background: $surface; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    LogView > .plain { color: $foreground; background: $surface; }
    LogView > .bad { color: $error; background: $surface; }
    LogView > .warn { color: $warning; background: $surface; }
    LogView > .quiet { color: $text-muted; background: $surface; }
    LogView > .rank { color: $text-primary; background: $surface; }
    LogView > .match { background: $warning 40%; color: $foreground; text-style: underline; }
    LogView > .found { background: $warning; color: $surface; text-style: bold; }
    LogView > .marked { background: $primary 30%; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "plain", "bad", "warn", "quiet", "rank", "match", "found", "marked",
    }  # fmt: skip

    HELP_NAME = "Lines"

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("j,down", "move(1)", "down", "Down a line"),
        _key("k,up", "move(-1)", "up", "Up a line; following stops"),
        _key("ctrl+d,pagedown", "half_page(1)", "down", "Half a page down"),
        _key("ctrl+u,pageup", "half_page(-1)", "up", "Half a page up"),
        _key("g,home", "top", "top", "First line"),
        _key("G,end", "follow(True)", "end", "Last line, and follow"),
        _key("left", "aside(-1)", "left", "Long lines: back to their beginning"),
        _key("right", "aside(1)", "right", "Long lines: further to the right"),
        _key("f", "follow", "follow", "Follow what is new, or not", show=True),
        _key("w", "wrap", "wrap", "Wrap long lines, or not", show=True),
        _key("t", "stamps", "times", "The column of times, or not", show=True),
        _key("n", "step(1)", "next", "Next place that was searched for"),
        _key("N", "step(-1)", "previous", "Previous place"),
    ]

    class Changed(Message):
        """What the title tells of the view has changed."""

    class Followed(Message):
        """Somebody wants to see what is new."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._lines: tuple[LogLine, ...] = ()
        self._dropped = 0
        self._columns: tuple[int, ...] = ()
        self._rows = LogRows((), None)
        self._paint: LogPainter | None = None
        self._aside = 0
        self.stamps = True
        self.untimed: tuple[int, ...] = ()
        self.follow = True
        self.wrap = False
        self.matches = LogMatches()
        self.marked: int | None = None

    def show(self, page: LogPage, *, anew: bool = False) -> None:
        """Show this page from now on; `anew`: it does not go on from the one before."""
        gone = page.dropped - self._dropped
        self._lines, self._dropped, self._columns = page.lines, page.dropped, page.ranks
        self.untimed = page.untimed()
        self._paint = None
        if anew:
            self.matches.current = self.marked = None
            self._aside = gone = 0
        top = self._top() - gone
        self.matches.look(self._lines, gone)
        self._arrange(max(0, top))
        self.post_message(self.Changed())

    def clear(self) -> None:
        """Show nothing, and follow what comes."""
        self.follow = True
        self.matches = LogMatches()
        self.show(LogPage((), ()), anew=True)

    def _top(self) -> int:
        """The line of the first visible row."""
        return self._rows.at(self.scroll_offset.y)[0] if self._rows.height else 0

    def _arrange(self, top: int) -> None:
        """Count the rows anew; the line `top` stays on top, or where it follows, the last one at the bottom."""
        self._rows = LogRows(self._lines, self._room if self.wraps else None)
        self.virtual_size = Size(self.size.width, self._rows.height)
        row = self._rows.height if self.follow else self._rows.first(min(top, len(self._lines)))
        self.scroll_to(y=row, animate=False, force=True)  # forced: there may be no scrollbar yet
        self.refresh()

    @property
    def wraps(self) -> bool:
        """Whether long lines are wrapped: also where little of them would be seen."""
        return self.wrap or self._is_narrow

    @property
    def aside(self) -> int:
        """Cells of long lines that lie to the left of what is seen."""
        return 0 if self.wraps else self._aside

    @property
    def _is_narrow(self) -> bool:
        return 0 < self.size.width < LEAST_WIDTH

    @property
    def _room(self) -> int:
        """Cells for the text of a line; one is the scrollbar's."""
        return max(1, self.size.width - self._painter.margin - 1)

    @property
    def _painter(self) -> LogPainter:
        if self._paint is None:
            styles = {name: self.get_component_rich_style(name) for name in self.COMPONENT_CLASSES}
            self._paint = LogPainter(styles, self.app.console)
        untimed = len(self.untimed) >= max(1, len(self._columns))
        self._paint.ranks = 0 if self._is_narrow else ranks_width(self._columns)
        self._paint.stamps = self.stamps and not untimed and not self._is_narrow
        return self._paint

    def notify_style_update(self) -> None:
        """The theme or the focus changed: mix the styles again."""
        super().notify_style_update()
        self._paint = None

    def on_resize(self, event: Resize) -> None:
        """Wrap anew, and stay at the end where it follows."""
        del event
        self._arrange(self._top())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whoever moves up does not want to be taken to the end again."""
        super().watch_scroll_y(old_value, new_value)
        if self.follow and new_value < old_value and new_value < self.max_scroll_y:
            self.follow = False
            self.post_message(self.Changed())

    def render_line(self, y: int) -> Strip:
        """The row at `y` of the visible part."""
        row = y + self.scroll_offset.y
        paint, width = self._painter, self.size.width
        plain = self.get_component_rich_style("plain")
        if not 0 <= row < self._rows.height:
            return Strip.blank(width, plain)
        index, piece = self._rows.at(row)
        line = self._lines[index]
        room = self._room
        part = part_of(line.message, piece, room) if self.wraps else slice(None)
        begin = self.aside
        painted = paint.text(line, self.matches, part, gone_to=index == self.matches.current)
        text = painted.crop(begin, begin + room)
        strip = Strip([*paint.head(line, first=not piece), *text]).adjust_cell_length(width, plain)
        return strip if index != self.marked else Strip(Segment.apply_style(strip, post_style=self._marked_style))

    @property
    def _marked_style(self) -> Style:
        return Style(bgcolor=self.get_component_rich_style("marked").bgcolor, bold=True)

    def search(self, needle: str) -> None:
        """Search for this from now on, and go to the first place from the top on; empty: for nothing."""
        self.matches = LogMatches(needle)
        self.matches.look(self._lines)
        self._aside = self._aside if needle else 0
        self.action_step(1)

    def go_to(self, line: int) -> None:
        """Show the line of this index, marked, some lines below the top; it does not follow any more."""
        self.follow = False
        self.marked = line
        self.scroll_to(y=self._rows.first(line) - self.size.height // 4, animate=False, force=True)
        self.refresh()
        self.post_message(self.Changed())

    def _reveal(self, line: int) -> None:
        """Have a line be seen; where it is not, some lines below the top."""
        self._move_aside(line)
        row, top = self._rows.first(line), self.scroll_offset.y
        self.follow = False
        if not top <= row < top + self.size.height:
            self.scroll_to(y=row - self.size.height // 4, animate=False, force=True)

    def _move_aside(self, line: int) -> None:
        """Have the first place of a line that was searched for be seen, where lines are not wrapped."""
        message = self._lines[line].message
        end = next((end for _, end in self.matches.spans(message)), 0)
        beyond = cell_len(message[:end]) - self._room
        self._aside = 0 if self.wraps else max(0, -(-beyond // ASIDE)) * ASIDE

    @property
    def line_text(self) -> str:
        """The marked line, else the one that was searched for, else the first visible one; empty: there is none."""
        if not self._lines:
            return ""
        chosen = next((line for line in (self.marked, self.matches.current) if line is not None), self._top())
        return self._lines[min(chosen, len(self._lines) - 1)].text

    def find(self, holds: Level, rank: int) -> int | None:
        """The index of the first line of a rank that is at least so grave."""
        places = enumerate(self._lines)
        return next((place for place, line in places if line.level >= holds and rank in line.ranks), None)

    def action_move(self, rows: int) -> None:
        """Move by `rows`."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, force=True)

    def action_half_page(self, direction: int) -> None:
        """Move by half of what is visible."""
        self.action_move(direction * max(1, self.size.height // 2))

    def action_top(self) -> None:
        """Go to the first line."""
        self.scroll_to(y=0, animate=False, force=True)

    def action_follow(self, follow: bool | None = None) -> None:
        """Go to the end and stay there, or let what is new come without going there."""
        self.follow = not self.follow if follow is None else follow
        if self.follow:
            self.marked = None
            self.scroll_to(y=self._rows.height, animate=False, force=True)
            self.post_message(self.Followed())
        self.post_message(self.Changed())

    def action_wrap(self) -> None:
        """Wrap long lines, or do not."""
        self.wrap, self._aside, top = not self.wrap, 0, self._top()
        self._arrange(top)
        self.post_message(self.Changed())

    def action_stamps(self) -> None:
        """Show the column of times, or do not."""
        self.stamps, top = not self.stamps, self._top()
        self._arrange(top)
        self.post_message(self.Changed())

    def action_aside(self, direction: int) -> None:
        """Move long lines to the left or the right."""
        self._aside = max(0, min(self._aside + direction * ASIDE, MOST_SHOWN))
        self.refresh()
        self.post_message(self.Changed())

    def action_step(self, direction: int) -> None:
        """Go to the next place that was searched for, or the one before."""
        place = self.matches.step(direction, self._top())
        if place is not None:
            self._reveal(place)
        self.refresh()
        self.post_message(self.Changed())
