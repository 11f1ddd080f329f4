"""`NodesScreen`: every node, how it can be read and how its machine is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from textual import on
from textual.content import Content

from ugro_tui.core import health_words as words
from ugro_tui.core.commands import Health
from ugro_tui.core.health import CENTRAL
from ugro_tui.core.snapshot import NodeView
from ugro_tui.core.states import RankState
from ugro_tui.ui.listing import ListScreen
from ugro_tui.ui.node_columns import FIELDS, UNWELL_BELOW, columns, node_lines, ranks_there
from ugro_tui.ui.node_detail import machine_lines
from ugro_tui.ui.nodes import sentences, troubled
from ugro_tui.ui.screen import GoTo
from ugro_tui.ui.table import LineTable
from ugro_tui.ui.wording import cut

WATCH_SECONDS = 10.0
"""How often how nodes are is asked anew while somebody looks at it."""


class NodesScreen(ListScreen):
    """A line for each node; below it what is wrong with it, its machine, its GPUs and its disks."""

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
        health = self.desk.snapshot.health
        unwell = sum(one.score < UNWELL_BELOW for one in health if one.state.reached and one.node != CENTRAL)
        central = next((words.reason(one) for one in health if one.node == CENTRAL and one.score < UNWELL_BELOW), "")
        answer = f"all {there} answer" if there > 1 else f"{there} answers"
        answer = f"{there - bad} of {there} answer" if bad else answer
        return Content.assemble(
            ("Nodes", "bold"),
            f"  {answer}{'' if unwell else ' well'}",
            (f"  {unwell} unwell" if unwell else "", "$error"),
            (f"  ✖ {central}" if central else "", "$error"),
        )

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
        """All that is known of the node under the cursor, as far as there is room."""
        node, snapshot = self._node, self.desk.snapshot
        if node is None:
            return Content()
        health = next((one for one in snapshot.health if one.node == node.name), None)
        lines = list(sentences([node], (), self.desk.elapsed))
        if lines and health is not None and not node.state.reached:
            health = replace(health, reasons=())  # they say the same
        if health is None:
            lines.append(Content.styled("how this node is has not been told yet", "$text-muted"))
        else:
            jobs = dict.fromkeys(snapshot.listed, False)
            jobs |= {job.job_id: job.summary.status.over for job in snapshot.jobs}
            lines += machine_lines(health, self.size.width, jobs)
        rest = f"ugro-tui health {node.name} tells all"
        return cut(Content("\n").join(lines), self.size.width - 2, self.detail_room, rest)

    @on(LineTable.Opened)
    def _opened(self, event: LineTable.Opened) -> None:
        """To its first rank that is not simply running, else to its first."""
        there = ranks_there(self.desk.snapshot).get(str(event.key), [])
        if not there:
            self.say(f"no rank of a running job is there; ugro-tui health {event.key} tells all of the node", once=True)
            return
        rank = next((one for one in there if one.state is not RankState.RUNNING), there[0])
        self.desk.take_job(rank.job_id)
        self.post_message(GoTo("job", line=rank.rank, back=True))
