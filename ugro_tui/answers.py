"""What an `Agent` tells that follows from its other answers: metrics, and dictionaries as `--json` prints them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from ugro_tui.core.archive import Finding, Found, Inquiry, Lines, MetricLines, MetricNames
from ugro_tui.core.attempts import Attempts
from ugro_tui.core.errors import BadInput
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.rank_view import RankView
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.plain import health_dict, live_dict, status_dict, summary_dict


class Answers(ABC):
    """Answers made of those of the abstract methods, with the same errors. In dictionaries, None is not known."""

    @abstractmethod
    def look(self) -> Snapshot:
        """The first snapshot after everything was read once."""

    @abstractmethod
    def job(self, job_id: str) -> JobView:
        """The newest picture of a job."""

    @abstractmethod
    def rank(self, job_id: str, rank: int) -> RankView:
        """All that is known of one rank."""

    @abstractmethod
    def health(self, node: str | None = None) -> tuple[NodeHealth, ...]:
        """How a node is, or all of them."""

    @abstractmethod
    def archived(self, inquiry: Inquiry[Found]) -> Finding[Found]:
        """What the files of a job hold, waited for."""

    def metrics(self, job_id: str) -> tuple[str, ...]:
        """The names of all that a job's records and event files hold, for `metric`; raises as `archived`."""
        return self.archived(MetricNames(job_id)).content or ()

    def metric(self, job_id: str, name: str, rank: int | None = None) -> Lines:
        """One metric of a job over its steps, for each rank or for one, by a name of `metrics`.

        Raises:
            BadInput: as `lines`.
        """
        return self.lines(job_id, name, rank)[0]

    def lines(self, job_id: str, name: str, rank: int | None = None) -> tuple[Lines, str]:
        """The same, and what could not be read of it (empty: nothing).

        Raises:
            BadInput: no rank has told such a metric, or there is no such rank; else as `archived`.
        """
        found = self.archived(MetricLines(job_id, name, rank))
        if found.content is None or not found.content.lines:
            if rank is not None:
                self.rank(job_id, rank)
            raise BadInput(found.problem)
        return found.content, found.problem

    def begun(self, job_id: str) -> tuple[int, float]:
        """The newest attempt of a job, and when it began: Unix seconds by the node's clock, infinite: it has no record.

        It is not known of a job of one attempt (NaN), of which all points are.
        """
        newest = self.job(job_id).summary.attempt
        if newest == 1:
            return newest, math.nan
        told = self.archived(Attempts(job_id)).content or ()
        return newest, next((one.begun for one in told if one.number == newest), math.inf)

    def get_health(self, node: str | None = None) -> dict[str, Any]:
        """How a node is, or all of them, as `ugro-tui health --json` shows it.

        Raises:
            BadInput: as `health`.
        """
        return health_dict(self.health(node))

    def get_status(self) -> dict[str, Any]:
        """All jobs and nodes after everything was read once, as `ugro-tui status --json` shows them.

        Raises:
            NoSource: as `look`.
        """
        return status_dict(self.look())

    def get_job_summary(self, job_id: str) -> dict[str, Any]:
        """A job in numbers: the fields of `JobSummary`; `per_rank_stats` by rank.

        Ranks of nodes that do not answer are told as they were copied last, in the state `unreachable`.

        Raises:
            BadInput, Partial, NoSource: as `job`.
        """
        return summary_dict(self.job(job_id).summary)

    def get_live_metrics(self, job_id: str) -> dict[str, Any]:
        """The newest values of a job and of each of its ranks (`ranks`, by number).

        Raises:
            BadInput, Partial, NoSource: as `job`.
        """
        return live_dict(self.job(job_id))
