"""The rank that somebody looks at: explained anew in each picture, and only while one is opened."""

from __future__ import annotations

from collections.abc import Sequence

from ugro_tui.core.commands import OpenRank
from ugro_tui.core.job import JobState
from ugro_tui.core.rank_facts import rank_view
from ugro_tui.core.rank_view import RankView
from ugro_tui.core.snapshot import JobView, NodeView


class OpenedRank:
    """Belongs to the keeper. `view` is what is known of the rank; None where none is opened, or it is not known."""

    def __init__(self) -> None:
        self.view: RankView | None = None
        self._opened: OpenRank | None = None

    @property
    def job_id(self) -> str:
        """The job that it is of; empty where none is opened."""
        return "" if self._opened is None else self._opened.job_id

    def open(self, command: OpenRank) -> None:
        """Explain this one from now on."""
        if command != self._opened:
            self._opened, self.view = command, None

    def look(self, state: JobState, picture: JobView | None, nodes: Sequence[NodeView], now: float) -> None:
        """Explain it at `now` (monotonic seconds), as far as its job has a picture."""
        if self._opened is not None and picture is not None:
            polls = {node.name: node.age for node in nodes}
            self.view = rank_view(state, self._opened.rank, now, picture.summary, polls)
