"""What one may ask of the logs of a job, and what is found."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ugro_tui.core.archive import Inquiry
from ugro_tui.core.log_lines import LogLine
from ugro_tui.core.peers import only_lost_a_peer

NO_LOGS = (
    "no logs: write stdout and stderr of each rank N to logs/rank_N.log in the job's directory; jobs that ugro-tui "
    "launches do so"
)
"""What is said of a job that has none."""


@dataclass(frozen=True, slots=True)
class LogPlace:
    """A byte of the log of one rank; `node` is empty where the log is read in place."""

    rank: int
    node: str
    offset: int


@dataclass(frozen=True, slots=True)
class LogError:
    """The first error of a rank's newest attempt that has one: where it begins, what it says at last.

    `time`: Unix seconds as `LogLine.time`, of the last line before it that tells one; NaN where none does. `attempt`: 0
    where the log does not tell attempts apart.
    """

    place: LogPlace
    what: str
    time: float
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class LogErrors:
    """The first error of the whole logs; None where there is none in the `searched` bytes, which are all."""

    first: LogError | None
    searched: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """The newest part of the logs, one line a thing that was said; or the part that was asked for.

    `begins`: of each log where that part begins, by rank. `dropped` lines were let go since the first page, as new
    ones came. `at`: the index of the line that was asked for; -1 where none was.
    """

    lines: tuple[LogLine, ...]
    begins: tuple[LogPlace, ...]
    dropped: int = 0
    at: int = -1

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks that have a log, ascending."""
        return tuple(sorted({begin.rank for begin in self.begins}))

    def untimed(self) -> tuple[int, ...]:
        """The ranks of which no line tells a time, ascending: what they said stands in the order that it came in."""
        left = set(self.ranks)
        for line in self.lines:
            if line.time == line.time and not left.isdisjoint(line.ranks):
                left.difference_update(line.ranks)
                if not left:
                    break
        return tuple(sorted(left))

    @property
    def skipped(self) -> int:
        """Bytes of the logs that lie before."""
        return sum(begin.offset for begin in self.begins)

    def holds(self, place: LogPlace) -> bool:
        """Whether the line that begins there is in this part."""
        same = [begin for begin in self.begins if (begin.rank, begin.node) == (place.rank, place.node)]
        return not self.dropped and any(begin.offset <= place.offset for begin in same)


@dataclass(frozen=True, slots=True)
class LogText(Inquiry[LogPage]):
    """The logs of a job: of all ranks as one, or of one rank; its part around a place where `around` is given."""

    rank: int | None = None
    around: LogPlace | None = None


@dataclass(frozen=True, slots=True)
class LogFirstError(Inquiry[LogErrors]):
    """The first error of a job, or of one rank, in all that its logs hold, of the newest attempt that has one."""

    rank: int | None = None


def earliest(found: Iterable[LogError]) -> LogError | None:
    """The error that came first in the newest attempt that has any: one that does not only say that another rank has
    gone; then by time where all tell it, else that of the lowest rank."""
    every = list(found)
    newest = max((error.attempt for error in every), default=0)
    every = [error for error in every if error.attempt == newest]
    ranked = [error for error in every if not only_lost_a_peer(error.what)] or every
    ranked.sort(key=lambda error: error.place.rank)
    if any(math.isnan(error.time) for error in ranked):
        return ranked[0]
    return min(ranked, key=lambda error: error.time, default=None)
