"""The nodes of a launch: a line to type their names in, and a table beside it in which they are checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Blur, Click, Focus, Key
from textual.message import Message
from textual.widgets import Input

from ugro_tui.core import health_words as words
from ugro_tui.core.node_choice import NodeChoice
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.ui.columns import TableColumn
from ugro_tui.ui.lines import Listed
from ugro_tui.ui.node_columns import NodeLine, node_lines, state_cell, state_tone
from ugro_tui.ui.table import LineTable


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that may be chosen."""

    line: NodeLine
    chosen: bool

    @property
    def name(self) -> str:
        """Its name."""
        return self.line.view.name


_BOXES: Final = {True: "[x]", False: "[ ]"}


def _columns(elapsed: float) -> Sequence[TableColumn[Candidate]]:
    state = state_cell(elapsed)
    return (
        TableColumn("", 3, 0, lambda one: _BOXES[one.chosen], tone=_tone),
        TableColumn("Node", 10, 0, lambda one: one.name, "node", left=True, grows=True, names=True),
        TableColumn("State", 16, 1, lambda one: state(one.line), left=True, tone=lambda one, _: state_tone(one.line)),
        TableColumn("GPUs", 11, 2, lambda one: words.gpus_free(one.line.health), left=True, tone=_gpu_tone),
        TableColumn("Space", 8, 3, lambda one: words.space(one.line.health)),
        TableColumn("Ranks", 5, 4, lambda one: str(one.line.ranks)),
    )


def _tone(one: Candidate, _: str) -> str:
    return "mark" if one.chosen else "quiet"


def _gpu_tone(one: Candidate, _: str) -> str:
    return "warn" if any(gpu.busy for gpu in one.line.health.gpus) else ""


class NodeTable(LineTable[Candidate], can_focus=False):
    """A line for each node that is listed. The keys for it are those of the line to type in; a click checks a node."""

    class Checked(Message):
        """A node was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    active = False
    """Whether names are being typed, so that keys move in this table."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(_columns(math.nan), (), noun="node", id=id)
        self.choice = NodeChoice("", ())

    @property
    def lit(self) -> bool:
        """The cursor stands out while somebody types."""
        return self.active

    def choose(self, line: str, snapshot: Snapshot, elapsed: float) -> None:
        """Show what this line chooses of the nodes of the snapshot, `elapsed` seconds old."""
        every = node_lines(snapshot, elapsed)
        rows = {every.row(place).view.name: every.row(place) for place in range(len(every))}
        before, self.choice = self.choice, NodeChoice(line, tuple(rows))
        chosen = set(self.choice.chosen)
        listed = [Candidate(rows[name], name in chosen) for name in self.choice.listed]
        self.show_lines(Listed(listed, lambda one: one.name, {"node": lambda one: one.name}), _columns(elapsed))
        if self.choice.sought != before.sought:
            self.action_move_to(0)

    @property
    def says(self) -> Content:
        """How many are chosen, how many are listed, and how to choose others."""
        choice = self.choice
        chosen, known, listed = len(choice.chosen), len(choice.known), len(choice.listed)
        count = f"all {known} chosen" if chosen == known else f"{chosen} of {known} chosen"
        sought = f"  {listed} like {choice.sought}" if listed < known else ""
        keys = "  space or click checks, ctrl+a all" if self.active else "  a click checks one"
        return Content.assemble(count, (sought, "$accent"), (keys, "$text-muted"))

    @property
    def finds(self) -> bool:
        """Whether somebody types a part of names that nodes have."""
        return self.active and bool(self.choice.sought) and self.choice.found

    def on_click(self, event: Click) -> None:
        """Check the node under the mouse, or do not any more."""
        event.prevent_default()
        line = event.y - 1 + self.scroll_offset.y
        if event.y > 0 and line < self.counts[0]:
            self.action_move_to(line)
            self.post_message(self.Checked(str(self.key)))


class NodeInput(Input):
    """Takes names; a blank checks the node under the cursor of the table beside it."""

    HELP_NAME = "Nodes"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "toggle_here", "Check the node, or do not", show=False),
        Binding("ctrl+a", "toggle_all", "Check all that are listed, or none", show=False),
    ]

    def __init__(self, value: str, placeholder: str, table: NodeTable, *, id: str) -> None:  # noqa: A002
        super().__init__(value, placeholder=placeholder, compact=True, select_on_focus=False, id=id)
        self._table = table

    def on_focus(self, _: Focus) -> None:
        """Let the table show where one is."""
        self._table.active = True
        self._table.refresh()

    def on_blur(self, _: Blur) -> None:
        """No longer."""
        self._table.active = False
        self._table.refresh()

    def on_key(self, event: Key) -> None:
        """A blank checks the node under the cursor: no name has one."""
        if event.key == "space":
            event.stop()
            event.prevent_default()
            self.action_toggle_here()

    def action_toggle_here(self) -> None:
        """Choose the node under the cursor, or do not any more."""
        self.toggle(str(self._table.key or ""))

    def toggle(self, name: str) -> None:
        """Choose this node, or do not any more."""
        if name:
            self._put(self._table.choice.toggled(name))

    def action_toggle_all(self) -> None:
        """Choose all listed nodes; where they are, none of them."""
        self._put(self._table.choice.toggled_all())

    def _put(self, line: str) -> None:
        self.value = line
        self.cursor_position = len(line)

    def step(self, lines: int) -> bool:
        """Go to another node; False beyond the last and before the first."""
        inside = 0 <= self._table.cursor + lines < self._table.counts[0]
        if inside:
            self._table.action_move(lines)
        return inside
