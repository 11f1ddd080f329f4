"""`ListScreen`: a screen that is a table, with a filter above and what the line under the cursor says below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ugro_tui.core.text import visible
from ugro_tui.ui.filter_bar import FilterBar
from ugro_tui.ui.lines import Key
from ugro_tui.ui.screen import UgroScreen
from ugro_tui.ui.table import LineTable


class FilteredScreen(UgroScreen):
    """A screen with one table and a `FilterBar`: `/` narrows, `esc` widens."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", tooltip="Filter: field:value field~text field<9", show=True),
    ]

    @property
    def table(self) -> LineTable[Any]:
        """The table that is filtered."""
        return self.query_one(LineTable)

    def on_mount(self) -> None:
        """Sort, filter and columns are those of the last time."""
        self.table.restore(self.desk.arranged(self.NAME))

    def go_to(self, key: Key) -> None:
        """Put the cursor on the line of this identity, or say why not."""
        if self.table.go(key):
            self.table.focus()
            return
        hidden = self.table.filter_text
        self.say(f"{key}: not here{f' behind the filter {hidden}: esc takes it away' if hidden else ''}")

    def copied(self) -> str:
        """The line under the cursor."""
        return self.table.line_text

    def action_filter(self) -> None:
        """Let the user type a filter."""
        self.query_one(FilterBar).open(self.table.entered)

    def peel(self) -> bool:
        """Take the filter away, and the line in which one was typed."""
        bar = self.query_one(FilterBar)
        if not (bar.is_open or self.table.filter_text):
            return False
        bar.close()
        self.table.narrow("")
        return True

    @on(FilterBar.Changed)
    def _narrow(self, event: FilterBar.Changed) -> None:
        error = self.table.preview(event.text)
        self.query_one(FilterBar).answer(error, *self.table.counts)

    @on(FilterBar.Kept)
    def _keep(self, event: FilterBar.Kept) -> None:
        if self.table.narrow(event.text) is None:
            self.query_one(FilterBar).close()
            self.table.focus()

    @on(FilterBar.Cleared)
    def _clear(self) -> None:
        self.table.narrow("")
        self.table.focus()

    @on(LineTable.Arranged)
    def _arranged(self) -> None:
        table = self.table
        now = {"sort": list(table.sorted_by), "filter": table.entered, "wide": table.wide}
        self.desk.keep_arranged(self.NAME, now)
        self.show()

    @on(LineTable.Noted)
    def _noted(self, event: LineTable.Noted) -> None:
        self.say(event.text, once=True)


class ListScreen(FilteredScreen):
    """Subclasses give the table, the words of the title, and what is said of the line under the cursor."""

    DEFAULT_CSS = """
    ListScreen #title { background: $panel; }
    ListScreen LineTable { height: 1fr; }
    ListScreen #detail { height: auto; max-height: 80%; padding: 0 1; border-top: solid $primary 40%; }
    ListScreen.-tiny #detail { display: none; }
    ListScreen #empty { display: none; height: 1fr; content-align: center middle; text-align: center; }
    ListScreen.-empty #empty { display: block; }
    ListScreen.-empty LineTable, ListScreen.-empty #detail { display: none; }
    """

    def new_table(self) -> LineTable[Any]:
        """The table, without lines."""
        raise NotImplementedError

    def title_words(self) -> Content:
        """What the first line says before it tells of sort and filter."""
        raise NotImplementedError

    def show_lines(self) -> bool:
        """Put the newest lines into the table; whether there are any."""
        raise NotImplementedError

    def detail(self) -> Content:
        """What is said of the line under the cursor."""
        return Content()

    @property
    def detail_room(self) -> int:
        """Lines that `detail` may have: those that the table leaves free, a third of the screen in any case."""
        around = 5  # title, titles of the columns, border, what nodes and keys say
        return max(self.size.height // 3, self.size.height - around - self.table.counts[0])

    def nothing(self) -> Content:
        """What is said where there is no line: what to do next."""
        raise NotImplementedError

    def parts(self) -> Iterable[Widget]:
        """Title, filter, table, detail."""
        yield Static(id="title", classes="line")
        yield FilterBar()
        yield self.new_table()
        yield Static(id="detail")
        yield Static(id="empty")

    def on_mount(self) -> None:
        """Keys go to the table."""
        self.table.focus()

    def draw(self) -> None:
        """Title and lines."""
        self.set_class(not self.show_lines(), "-empty")
        arranged = "  ".join(self.table.title_parts)
        self.put("title", Content.assemble(" ", self.title_words(), (f"   {arranged}" if arranged else "", "$accent")))

    def draw_ages(self) -> None:
        """What is told below the table, or instead of it."""
        if self.has_class("-empty"):
            self.put("empty", self.nothing())
        else:
            self.put("detail", self._told())

    def _told(self) -> Content:
        """What is said of the line under the cursor; where the filter hides all of them, that it does."""
        typed = self.table.filter_text
        if self.table.key is None and typed:
            return Content.styled(f"nothing matches {visible(typed)}", "$text-muted")
        return self.detail()

    @on(LineTable.Moved)
    def _moved(self) -> None:
        self.put("detail", self._told())
