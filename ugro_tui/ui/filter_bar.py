"""`FilterBar`: the line in which a filter is typed, and below it what became of it."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from ugro_tui.core.filters import FilterError
from ugro_tui.core.text import visible

_PROMPT = "/"


class FilterBar(Vertical):
    """Hidden until `open`. It posts `Changed` whenever the text is another one; the screen filters and calls `answer`.

    `enter` posts `Kept`; the screen calls `close` where the filter can be read. `esc`, or `enter` with nothing typed,
    posts `Cleared` and closes. The screen gives the focus back to what it filters.
    """

    DEFAULT_CSS = """
    FilterBar { display: none; height: 2; background: $surface; }
    FilterBar.-open { display: block; }
    FilterBar Horizontal { height: 1; }
    FilterBar Input, FilterBar Input:focus { height: 1; border: none; padding: 0; background: $panel; width: 1fr; }
    FilterBar .prompt { width: 1; color: $accent; text-style: bold; background: $panel; }
    FilterBar .answer { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear", "Clear the filter", show=False)]

    class Changed(Message):
        """The text is another one."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Kept(Message):
        """The filter is to stay as it is."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Cleared(Message):
        """There is to be no filter."""

    def __init__(self, hint: str = "", *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._hint = hint

    def compose(self) -> ComposeResult:
        """The line to type in, and the answer below it."""
        with Horizontal():
            yield Static(_PROMPT, classes="prompt")
            yield Input(select_on_focus=False)
        yield Static(classes="answer")

    def open(self, text: str = "") -> None:
        """Let the user type, beginning with `text`; go on where it is open."""
        line = self.query_one(Input)
        if self.is_open:
            line.focus()
            return
        self.add_class("-open")
        line.value = text
        line.cursor_position = len(text)
        line.focus()
        if not text:
            self._say(Content.styled(self._hint, "$text-muted"))

    def close(self) -> None:
        """Hide it; the filter stays."""
        self.remove_class("-open")

    @property
    def is_open(self) -> bool:
        """Whether the user types in it."""
        return self.has_class("-open")

    def answer(self, error: FilterError | None, shown: int, there: int) -> None:
        """Say why the text cannot be read, with a caret below the place, or how many lines pass."""
        line = self.query_one(Input)
        if error is not None:
            at = len(_PROMPT) + cell_len(line.value[: error.column]) - line.scroll_offset.x
            self._say(
                Content.styled(pointed(visible(str(error)), at, self.size.width or self.app.size.width), "$error")
            )
        elif not line.value.strip():
            self._say(Content.styled(self._hint, "$text-muted"))
        else:
            text = f"{shown:,} of {there:,}" if shown else f"none of {there:,}: nothing passes this filter"
            self._say(Content.styled(text, "$text-muted" if shown else "$warning"))

    def action_clear(self) -> None:
        """Close it, and have no filter any more."""
        self.close()
        self.post_message(self.Cleared())

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.is_open:
            self.post_message(self.Changed(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.post_message(self.Kept(event.value))
        else:
            self.action_clear()

    def _say(self, content: Content) -> None:
        self.query_one(".answer", Static).update(content)


def pointed(text: str, at: int, width: int) -> str:
    """`text` beside a caret in the cell `at`: behind it, or before it where there is no room behind."""
    if at + len(text) + 2 <= width or at < width // 2:
        return f"{' ' * at}^ {text}"
    before = text if len(text) < at else text[: max(0, at - 2)] + "…"
    return f"{before} ^".rjust(at + 1)
