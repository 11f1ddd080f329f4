"""What lies in the files of jobs and is read only when someone looks at it: questions, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from operator import is_
from typing import Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

Found = TypeVar("Found", covariant=True)


@dataclass(frozen=True, slots=True)
class Inquiry(Generic[Found]):
    """A question about the files of a job. Who wants to know asks it again and again: it is kept up to date so long."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Finding(Generic[Found]):
    """What is known by now. Neither `content` nor `problem`: it is being read. An unchanged content is the same object.

    `problem` says what could not be read, why, and what to do; there may be content beside it.
    """

    content: Found | None = None
    problem: str = ""

    @property
    def loading(self) -> bool:
        """Whether nothing is known yet."""
        return self.content is None and not self.problem


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of one rank over its newest attempt, in the order of steps; all arrays have shape `[points]`.

    `step` ascends strictly. `time` is Unix seconds by the node's clock and `tokens` those seen so far, NaN where not
    told. `value` may be anything, NaN and infinities included. `rank` is -1 where a file does not tell.
    """

    rank: int
    step: Floats
    time: Floats
    tokens: Floats
    value: Floats

    def until(self, step: float) -> Line:
        """What of it was told up to this step; itself where that is all."""
        end = int(np.searchsorted(self.step, step, side="right"))
        if end == len(self.step):
            return self
        return Line(self.rank, self.step[:end], self.time[:end], self.tokens[:end], self.value[:end])


@dataclass(frozen=True, slots=True)
class Lines:
    """One metric over ranks: all, or where there are many, some that are evenly spread. `ranks`: how many have it."""

    metric: str
    lines: tuple[Line, ...]
    ranks: int

    def until(self, step: float) -> Lines:
        """What of them was told up to this step; they themselves where that is all."""
        lines = tuple(line.until(step) for line in self.lines)
        return self if all(map(is_, lines, self.lines)) else Lines(self.metric, lines, self.ranks)


@dataclass(frozen=True, slots=True)
class MetricNames(Inquiry[tuple[str, ...]]):
    """The names of all that can be drawn of a job: of its records (`lr`), its own (`metrics.acc`), its event files."""


@dataclass(frozen=True, slots=True)
class MetricLines(Inquiry[Lines]):
    """One metric of a job over its ranks, by a name of `MetricNames`; of one rank alone where `rank` is given.

    With `attempt`, as it was when that attempt ended: without what later ones have told. Event files do not tell
    attempts apart.
    """

    metric: str
    rank: int | None = None
    attempt: int | None = None


class NoArchive:
    """Where no files can be read."""

    def look(self, inquiry: Inquiry[Found]) -> Finding[Found]:
        """Nothing can be known."""
        return Finding(problem=f"the files of {inquiry.job_id} are not read here")
