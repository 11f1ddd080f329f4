"""`ExecutedScreen`: every command that this application ran on a node."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from textual.content import Content

from ugro_tui.core.filter_fields import NUMBER, SECONDS, Field
from ugro_tui.core.launching import Executed
from ugro_tui.core.numbers import UNKNOWN, counted, duration
from ugro_tui.core.rank import LOCAL as HERE
from ugro_tui.ui.columns import TableColumn
from ugro_tui.ui.lines import Listed
from ugro_tui.ui.listing import ListScreen
from ugro_tui.ui.table import LineTable

RUNNING, ENDED, FAILED, CUT, LOST = "running", "ended", "failed", "cut", "lost"
_GLYPHS: Final = {RUNNING: "●", ENDED: "✔", FAILED: "✖", CUT: "■", LOST: "⌁"}
_TONES: Final = {RUNNING: "good", FAILED: "bad", CUT: "quiet", LOST: "warn", ENDED: "quiet"}

FIELDS: Final = (
    Field("state", words=(RUNNING, ENDED, FAILED, CUT, LOST)),
    Field("age", SECONDS, aliases=("time",)),
    Field("node", aliases=("host",)),
    Field("command"),
    Field("code", NUMBER, whole=True, aliases=("exit",)),
    Field("took", SECONDS, aliases=("seconds",)),
)


def state(entry: Executed) -> str:
    """How far it is: it runs, has ended well or not, was cut off from here before it told, or with its connection."""
    if entry.code is None:
        return RUNNING
    if entry.lost:
        return LOST
    if entry.code < 0:
        return CUT
    return FAILED if entry.code else ENDED


def _key(entry: Executed) -> str:
    if entry.looks:
        return f"looks\0{entry.node}\0{entry.code}"
    return f"{entry.at!r}\0{entry.node}\0{entry.command}"


def _values(now: float) -> dict[str, Callable[[Executed], float] | Callable[[Executed], str]]:
    return {
        "state": state,
        "age": lambda entry: now - entry.at,
        "node": lambda entry: entry.node,
        "command": lambda entry: entry.command,
        "code": lambda entry: float(entry.code) if entry.code is not None and entry.code >= 0 else math.nan,
        "took": lambda entry: math.nan if entry.code is None else entry.seconds,
    }


def _command(entry: Executed) -> str:
    """The command; of looks the last, and how many there were."""
    return entry.command if entry.looks < 2 else f"{entry.command} (the last of {entry.looks:,} looks)"


def _code(entry: Executed) -> str:
    return UNKNOWN if entry.code is None or entry.code < 0 else str(entry.code)


def _took(entry: Executed) -> str:
    return UNKNOWN if entry.code is None else duration(entry.seconds)


def _told(entry: Executed) -> str:
    """How it ended, in words."""
    if entry.code is None:
        return "runs"
    how = f"code {entry.code}" if entry.code >= 0 else "ended from here"
    return f"{entry.lost or f'{state(entry)}, {how}'}, took {_took(entry)}"


def _tone(entry: Executed, _: str) -> str:
    return _TONES[state(entry)]


_BESIDE: Final = 46
"""Cells that the other columns take."""

_COLUMNS: Final[Sequence[TableColumn[Executed]]] = (
    TableColumn("Time", 8, 1, lambda one: time.strftime("%H:%M:%S", time.localtime(one.at)), "age", left=True),
    TableColumn("State", 9, 3, lambda one: f"{_GLYPHS[state(one)]} {state(one)}", "state", left=True, tone=_tone),
    TableColumn("Node", 12, 2, lambda one: one.node, "node", left=True),
    TableColumn("Code", 4, 4, _code, "code", falling=True, tone=_tone),
    TableColumn("Took", 7, 5, _took, "took", falling=True),
    TableColumn("Command", 24, 0, _command, "command", left=True),
)


def _columns(width: int) -> Sequence[TableColumn[Executed]]:
    """The columns in `width` cells: of commands as much as there is room for."""
    *others, command = _COLUMNS
    return (*others, replace(command, width=max(command.width, width - _BESIDE)))


class ExecutedScreen(ListScreen):
    """A line for each command, the newest last; below it the whole command under the cursor."""

    NAME = "executed"
    SAYS = "Commands"

    def new_table(self) -> LineTable[Any]:
        """The table of commands."""
        return LineTable(_COLUMNS, FIELDS, noun="command")

    def title_words(self) -> Content:
        """How many there are, and how many failed."""
        entries = self.desk.snapshot.executed
        failed = sum(state(entry) == FAILED for entry in entries)
        names = {entry.node for entry in entries}
        nodes, here = len(names - {HERE}), HERE in names
        places = [counted(nodes, "node")] * bool(nodes) + ["this machine"] * here
        where = f"  {len(entries):,} on {' and '.join(places)}" if places else "  none"
        return Content.assemble(("Commands", "bold"), where, (f"  {failed} failed" if failed else "", "$error"))

    def show_lines(self) -> bool:
        """All commands. A cursor on the newest stays on the newest."""
        entries, table = self.desk.snapshot.executed, self.table
        follows = table.cursor >= table.counts[0] - 1
        lines = Listed(entries, _key, _values(self.desk.wall()), lambda one: float(state(one) == FAILED))
        table.show_lines(lines, _columns(self.size.width))
        if follows:
            table.action_move_to(-1)
        return bool(entries)

    def nothing(self) -> Content:
        """Nothing was run yet."""
        return Content.styled("nothing was run on any node yet: files of this machine are read in place", "$text-muted")

    @property
    def _entry(self) -> Executed | None:
        return next((one for one in self.desk.snapshot.executed if _key(one) == self.table.key), None)

    def detail(self) -> Content:
        """The command in full."""
        entry = self._entry
        if entry is None:
            return Content()
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at))
        return Content.assemble((f"{entry.node}  {when}  {_told(entry)}\n", "$text-muted"), _command(entry))

    def copied(self) -> str:
        """The command under the cursor, whole."""
        entry = self._entry
        return "" if entry is None else entry.command
