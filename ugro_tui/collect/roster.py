"""The nodes as the keeper knows them: what the last look at each came to, and what follows for their jobs."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ugro_tui.collect.messages import Cycle
from ugro_tui.core.job import Away
from ugro_tui.core.rank import LOCAL
from ugro_tui.core.snapshot import NodeView
from ugro_tui.core.states import NodeState


@dataclass(slots=True)
class _News:
    last: Cycle
    good_at: float = math.nan
    whole_at: float = math.nan
    """When all that there was had been read."""
    cycles: int = 0


class Roster:
    """Owned by the keeper's thread. Times are monotonic seconds."""

    def __init__(self, names: Iterable[str]) -> None:
        unknown = {name: Cycle(name, math.nan, complete=False, state=NodeState.CONNECTING) for name in names}
        self._nodes = {name: _News(cycle) for name, cycle in sorted(unknown.items())}

    def __len__(self) -> int:
        return len(self._nodes)

    def take(self, cycle: Cycle) -> None:
        """Take in what a look came to."""
        news = self._nodes[cycle.node]
        news.cycles += cycle.complete
        news.last = cycle
        if cycle.complete or math.isnan(news.whole_at):
            news.whole_at = cycle.at
        if cycle.state.reached and not cycle.error:
            news.good_at = cycle.at
        elif math.isfinite(cycle.heard_at):
            news.good_at = cycle.heard_at

    @property
    def cycles(self) -> int:
        """Whole looks at the node that was looked at least often."""
        return min((news.cycles for news in self._nodes.values()), default=0)

    @property
    def last(self) -> list[Cycle]:
        """What the last look at each node came to, in the order of their names."""
        return [news.last for news in self._nodes.values()]

    def troubles(self) -> Iterator[str]:
        """What keeps this application from writing its copies, once each."""
        yield from dict.fromkeys(trouble for cycle in self.last for trouble in cycle.troubles)

    def views(self, now: float) -> tuple[NodeView, ...]:
        """The nodes as readers see them."""
        return tuple(_view(news, now) for news in self._nodes.values())

    def away(self, now: float) -> dict[str, Away]:
        """The nodes that do not answer."""
        return {name: _away(news, now) for name, news in self._nodes.items() if not news.last.state.reached}


def _away(news: _News, now: float) -> Away:
    last = news.last
    person = last.state is NodeState.PERSON
    next_step = "`ugro-tui doctor` says what to do; then press r" if person else "look at its network and its sshd"
    brief = last.brief or last.state.value
    return Away(now - news.good_at, brief, last.sure, next_step, last.rule or "node_unreachable")


def _view(news: _News, now: float) -> NodeView:
    last = news.last
    return NodeView(
        name=last.node,
        age=now - news.good_at,
        error=last.error,
        state=last.state,
        brief=last.brief,
        retry=max(0.0, last.retry_at - now) if math.isfinite(last.retry_at) else math.nan,
        via=last.via,
        round_trip=last.round_trip,
        clock_offset=last.clock_offset,
        rule=last.rule if last.sure and not last.state.reached else "",
        behind=math.nan if last.complete else now - news.whole_at,
        looked=now - last.at,
        host=socket.gethostname() if last.node == LOCAL else "",
    )
