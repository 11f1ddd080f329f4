"""Ranks as the keeper explains them, with what the archive knows of their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.ui.log_scenes import TRACE, page, steps
from tests.ui.scenes import BEGUN, CRASH, NOW, FakeArchive, FakeFeed, Run, app_of, job, snapshot
from ugro_tui.core.archive import Finding, Line, Lines, MetricLines
from ugro_tui.core.columns import Column
from ugro_tui.core.commands import Command, OpenRank, Ticket
from ugro_tui.core.job import JobState
from ugro_tui.core.log_inquiry import LogText
from ugro_tui.core.rank_facts import rank_view
from ugro_tui.core.records import ErrorReport
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.ui.app import UgroApp


@dataclass
class RankFeed(FakeFeed):
    """Explains the rank that was opened, as the keeper does, in the picture after that."""

    state: JobState | None = None

    def request(self, command: Command) -> Ticket:
        """Keep the command; a rank is explained."""
        if isinstance(command, OpenRank) and self.state is not None:
            self.current = replace(explained(self.current, self.state, command.rank), version=self.current.version + 1)
        return super().request(command)


def explained(picture: Snapshot, state: JobState, rank: int) -> Snapshot:
    """The picture with this rank in it."""
    polls = {node.name: node.age for node in picture.nodes}
    return replace(picture, rank=rank_view(state, rank, NOW, picture.jobs[0].summary, polls))


def crashed() -> JobState:
    """Four ranks of which one died of a lack of memory and left a traceback."""
    state = job(Run(ranks=4, ends={1: CRASH}, ages=dict.fromkeys((0, 2, 3), 70.0)))
    state.apply_error(1, ErrorReport(TRACE[-1], "\n".join(TRACE), BEGUN + 80.0), "local")
    return state


def files(state: JobState) -> FakeArchive:
    """What the files of this job hold, as the archive reads them."""
    return FakeArchive(dict(_findings(state)))  # type: ignore[arg-type]


def _findings(state: JobState) -> Iterator[tuple[object, Finding[object]]]:
    for rank in state.ranks:
        rows = rank.series.rows
        columns = (rows[:, column] for column in (Column.STEP, Column.TS, Column.TOKENS, Column.LOSS))
        yield MetricLines(state.job_id, "loss", rank.rank), Finding(Lines("loss", (Line(rank.rank, *columns),), 1))
        printed = [*steps(290, 300, rank.rank), *(TRACE if rank.error else [])]
        yield LogText(state.job_id, rank.rank), Finding(page({rank.rank: printed}))


def rank_app(state: JobState, picture: Snapshot | None = None) -> tuple[UgroApp, RankFeed]:
    """The application on this job with its files, and its feed."""
    feed = RankFeed(picture or snapshot(state), state=state)
    return app_of(feed, state.job_id, archive=files(state)), feed
