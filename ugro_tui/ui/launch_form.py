"""`LaunchForm`: the fields of a launch, what is wrong below each of them, and the buttons."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from ugro_tui.core.launch_form import FIELDS, FIRST, FormField, args_again, backend_of, free_name
from ugro_tui.ui.choice import Choice
from ugro_tui.ui.node_choice import NodeInput, NodeTable

NODES: Final = "nodes"
"""The field that has a table beside it."""


def _fitted(hint: str, room: int) -> str:
    """What stands in an empty line: one that is cut says so. `room` is 0 before the line has its place."""
    return Content(hint).truncate(room, ellipsis=True).plain if room else hint


class FormLine(Input):
    """A line to type in: at its end. While one types elsewhere its beginning is read, where it is longer than its
    place."""

    def on_mount(self) -> None:
        """What stood there last is read from its beginning."""
        self.cursor_position = 0

    def on_focus(self) -> None:
        """Go on at the end, unless the mouse has chosen a place."""
        if not self.cursor_position:
            self.cursor_position = len(self.value)

    def on_blur(self) -> None:
        """Show how it begins."""
        self.cursor_position = 0


class LaunchForm(Vertical):
    """Up and down go from field to field. `table` shows the nodes that may be chosen."""

    class Edited(Message):
        """A field says something else."""

    def __init__(self, values: Mapping[str, str], table: NodeTable) -> None:
        super().__init__(id="form")
        self._table = table
        self._lines = {field.name: self._line(field, values.get(field.name, "")) for field in FIELDS}
        self._errors = {field.name: Static(classes="error", id=f"error-{field.name}") for field in FIELDS}
        self._shown: Mapping[str, str] = {}
        self._wanted: Collection[str] = ()

    def _line(self, field: FormField, value: str) -> Input | Choice:
        """What a field is filled in with."""
        if field.choices:
            return Choice(field.choices, value, id=field.name)
        if field.name == NODES:
            return NodeInput(value, field.hint, self._table, id=NODES)
        return FormLine(value, placeholder=field.hint, compact=True, select_on_focus=False, id=field.name)

    def compose(self) -> ComposeResult:
        """A line for each field, and two buttons."""
        for field in FIELDS:
            with Vertical(id=f"field-{field.name}", classes="field"):
                with Horizontal():
                    yield Static(Content(field.label), classes="label")
                    yield self._lines[field.name]
                yield self._errors[field.name]
        with Horizontal(id="buttons"):
            yield Button("Launch (ctrl+s)", variant="primary", compact=True, id="start")
            yield Button("More (ctrl+o)", compact=True, id="more")

    @property
    def lines(self) -> Collection[Widget]:
        """What is typed into."""
        return self._lines.values()

    @property
    def values(self) -> dict[str, str]:
        """What stands in the fields."""
        return {name: line.value for name, line in self._lines.items()}

    def fill(self, values: Mapping[str, str]) -> None:
        """Have these stand there."""
        for name, value in values.items():
            line = self._lines[name]
            line.value = value
            if isinstance(line, Input):
                line.cursor_position = len(value) if line.has_focus else 0

    def renew(self, taken: Collection[str]) -> None:
        """Ask for another launch where the name is taken: by the next name, and without what belonged to that job."""
        values = self.values
        free = free_name(values["name"], taken)
        if free != values["name"]:
            self.fill({"name": free, "resume": FIRST, "args": args_again(values["args"])})

    def go(self, name: str) -> None:
        """Type into this field."""
        line: Widget = self._lines[name]
        self.screen.set_focus(line)

    def show(self, wanted: Collection[str], errors: Mapping[str, str]) -> None:
        """Show these fields, and what is wrong with some of them."""
        backend, self._wanted = backend_of(self.values), wanted
        room = self._lines[FIELDS[0].name].content_size.width  # that of all of them; a hidden one has none
        for field in FIELDS:
            name, text = field.name, errors.get(field.name, "")
            line, error = self._lines[name], self._errors[name]
            self.query_one(f"#field-{name}").display = name in wanted
            if isinstance(line, Input):
                line.placeholder = _fitted(field.hint_for(backend), room)
            if text != self._shown.get(name, ""):
                error.update(Content(f"✖ {text}" if text else ""))
                error.display = bool(text)
        self._shown = dict(errors)

    def on_resize(self) -> None:
        """Hints are as long as there is room for, once that is known."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        self.show(self._wanted, self._shown)

    @on(Input.Changed)
    @on(Choice.Changed)
    def _edited(self, event: Message) -> None:
        event.stop()
        self.post_message(self.Edited())

    def toggle_node(self, name: str) -> None:
        """Choose this node, or do not any more."""
        self.query_one(NodeInput).toggle(name)
