"""`NodesScreen`: every node, how it can be read and how its machine is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import on
from textual.content import Content

from ugro_tui.core.commands import Health
from ugro_tui.core.health_words import gpu_line
from ugro_tui.core.numbers import gibibytes
from ugro_tui.core.snapshot import NodeView
from ugro_tui.ui.listing import ListScreen
from ugro_tui.ui.node_columns import FIELDS, columns, node_lines
from ugro_tui.ui.nodes import sentences, troubled
from ugro_tui.ui.table import LineTable

WATCH_SECONDS = 10.0
"""How often how nodes are is asked anew while somebody looks at it."""

MOST_LINES = 8
"""Lines that are said of the node under the cursor."""


class NodesScreen(ListScreen):
    """A line for each node; below it what is wrong with it, its disks and its GPUs."""

    NAME = "nodes"
    SAYS = "Nodes"
    HELP_WORDS: ClassVar[Mapping[str, str]] = {"Heard": "since the node's last answer"}

    def new_table(self) -> LineTable[Any]:
        """The table of nodes."""
        return LineTable(columns(0.0), FIELDS, noun="node")

    def on_mount(self) -> None:
        """Have how they are asked often while this screen is looked at."""
        self.set_interval(WATCH_SECONDS, self._watch)

    def on_screen_resume(self) -> None:
        """Ask at once."""
        self._watch()

    def _watch(self) -> None:
        if self.is_current:
            self.desk.feed.request(Health())

    def title_words(self) -> Content:
        """How many there are, and how many are in trouble."""
        nodes = self.desk.snapshot.nodes
        there, bad = len(nodes), len(troubled(nodes))
        said = f"{there - bad} of {there} answer well" if bad else f"all {there} answer well"
        return Content.assemble(("Nodes", "bold"), f"  {said if bad or there > 1 else f'{there} answers well'}")

    def show_lines(self) -> bool:
        """All nodes."""
        desk = self.desk
        self.table.show_lines(node_lines(desk.snapshot, desk.elapsed), columns(desk.elapsed))
        return bool(desk.snapshot.nodes)

    def nothing(self) -> Content:
        """No node is known yet."""
        return Content.styled("no node has been asked yet …", "$text-muted")

    @property
    def _node(self) -> NodeView | None:
        return next((node for node in self.desk.snapshot.nodes if node.name == self.table.key), None)

    def detail(self) -> Content:
        """What is wrong with the node under the cursor, its disks, its GPUs."""
        node, snapshot = self._node, self.desk.snapshot
        if node is None:
            return Content()
        health = next((one for one in snapshot.health if one.node == node.name), None)
        lines = list(sentences([node], (), self.desk.elapsed))
        if health is None:
            lines.append(Content.styled("how this node is has not been told yet", "$text-muted"))
        else:
            lines += [Content.assemble(("→ ", "$warning"), reason) for reason in health.reasons]
            lines += [
                Content(f"disk {disk.role}: {_bytes(disk.free)} of {_bytes(disk.total)} free at {disk.path}")
                for disk in health.disks
            ]
            lines += [Content(f"GPU {gpu.label}  {gpu_line(gpu)}") for gpu in health.gpus]
        more = len(lines) - MOST_LINES
        if more > 0:
            lines = [*lines[: MOST_LINES - 1], Content.styled(f"… and {more + 1} more lines", "$text-muted")]
        return Content("\n").join(lines)

    @on(LineTable.Opened)
    def _opened(self, event: LineTable.Opened) -> None:
        self.say(f"ugro-tui health {event.key} tells all of it")


def _bytes(size: int | None) -> str:
    return gibibytes(float("nan") if size is None else float(size))
