"""The looks that somebody waits for: every node read once, a job opened, what a person answers handed on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from ugro_tui.collect.collector import TrainingMetricsCollector
from ugro_tui.core.commands import OpenJob, OpenRank, Tell
from ugro_tui.core.errors import BadInput, NoSource, Partial, UgroError
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.health_score import LATE_SECONDS
from ugro_tui.core.ports import Clock
from ugro_tui.core.rank import LOCAL
from ugro_tui.core.rank_view import RankView
from ugro_tui.core.snapshot import Question, Snapshot
from ugro_tui.core.text import visible
from ugro_tui.exits import unread

FIRST_LOOK_SECONDS = 60.0
"""How long the first look at all sources may take before a headless command gives up."""

HEALTH_SECONDS = 30.0
"""How long nodes may take to say how they are, or to be found not to answer; the others are told meanwhile."""

HEALTH_AGAIN_SECONDS = 0.5
"""How often a node is asked again for what it was still looking at."""


class Looks:
    """Waits for what `collector` reads. `place` is where that looks, for people; `remote`: on nodes over SSH.

    `ask` answers what only a person can, once for each question; None where nobody is there.
    """

    def __init__(
        self,
        collector: TrainingMetricsCollector,
        clock: Clock,
        ask: Callable[[Question], str] | None,
        place: str,
        *,
        remote: bool,
    ) -> None:
        self._collector = collector
        self._clock = clock
        self._ask = ask
        self._asked: set[str] = set()
        self._place = place
        self._remote = remote

    def look(self) -> Snapshot:
        """The first snapshot after everything was read once; see `Agent.look`."""
        snapshot = self._read_once()
        if told := self._tell(snapshot):
            snapshot, _ = self._answered(told)
        return self._with_source(snapshot)

    def open(self, job_id: str) -> Snapshot:
        """The snapshot after every node was asked for the job; see `Agent.open`."""
        if self._collector.stopped:
            snapshot = self._collector.snapshot()
            problem = "" if snapshot.job(job_id) else "not watched any more"
        else:
            opened = self._collector.request(OpenJob(job_id)).number
            if self.told():
                opened = self._collector.request(OpenJob(job_id)).number
            snapshot, problem = self._answered(opened)
            self._with_source(snapshot)
        if problem:
            raise self._absent(job_id, snapshot)
        return snapshot

    def rank(self, job_id: str, rank: int) -> RankView:
        """What is known of a rank, read now; see `Agent.rank`."""
        if self.open(job_id).job(job_id) is None:
            raise BadInput(self.unknown(job_id, [job_id]))
        snapshot, _ = self._answered(self._collector.request(OpenRank(job_id, rank)).number)
        if snapshot.rank is None:
            view = snapshot.job(job_id)
            size = 0 if view is None else view.summary.world_size
            raise BadInput(f"job {job_id} has no rank {rank}: its world size is {size}, so they are 0 to {size - 1}")
        return snapshot.rank

    def health(self, names: Sequence[str], node: str | None) -> tuple[NodeHealth, ...]:
        """How a node is, or all of them are; see `Agent.health`."""
        node = LOCAL if node == socket.gethostname() and node not in names and LOCAL in names else node
        if node is not None and node not in names:
            raise BadInput(f"no node {visible(node)!r} is watched: {', '.join(map(visible, names))}")
        wanted = names if node is None else [node]
        self._asked_how(wanted)
        if self._tell(self._collector.snapshot()):
            self._asked_how(wanted)
        # What hangs is waited for until that can be said of it.
        self._wait_while(lambda: self._is_looking(node), LATE_SECONDS + 2 * HEALTH_AGAIN_SECONDS, wake=True)
        return self._told_how(node)

    def _asked_how(self, names: Sequence[str]) -> None:
        """Ask the nodes how they are, and wait until they have said so, or not answered."""
        request = self._collector.watch_health()
        self._wait_while(lambda: bool(self._collector.health.awaited(request, names)), HEALTH_SECONDS)

    def _is_looking(self, node: str | None) -> bool:
        """Whether nodes still look at what they were asked for, and it does not hang yet."""
        return any(late.seconds < LATE_SECONDS for one in self._told_how(node) for late in one.late)

    def _told_how(self, node: str | None) -> tuple[NodeHealth, ...]:
        told = self._collector.health.view(self._clock.monotonic())
        return tuple(one for one in told if node in (None, one.node))

    def _wait_while(self, holds: Callable[[], bool], seconds: float, *, wake: bool = False) -> None:
        """Wait at most so long while it holds; with `wake` nodes whose turn has come are looked at meanwhile."""
        deadline = self._clock.monotonic() + seconds
        snapshot = self._collector.snapshot()
        while holds() and not self._collector.stopped and (left := deadline - self._clock.monotonic()) > 0:
            newest = self._collector.wait_newer(snapshot.version, min(left, HEALTH_AGAIN_SECONDS))
            if wake and newest.version == snapshot.version:
                self._collector.wake()
            snapshot = newest

    def told(self) -> bool:
        """Whether a person had to be asked after everything was read once, and has answered."""
        return bool(self._tell(self._read_once()))

    def _read_once(self) -> Snapshot:
        deadline = self._clock.monotonic() + FIRST_LOOK_SECONDS
        snapshot = self._collector.snapshot()
        while snapshot.cycles < 1 and self._clock.monotonic() < deadline and not self._collector.stopped:
            snapshot = self._collector.wait_newer(snapshot.version, deadline - self._clock.monotonic())
        if snapshot.cycles < 1:
            raise self._too_slow()
        return snapshot

    def _answered(self, number: int) -> tuple[Snapshot, str]:
        """The snapshot after every node has answered a command, and the problem with it; empty where there is none."""
        deadline = self._clock.monotonic() + FIRST_LOOK_SECONDS
        snapshot = self._collector.snapshot()
        while (answer := next((one for one in snapshot.answers if one.number == number), None)) is None:
            if self._clock.monotonic() >= deadline or self._collector.stopped:
                raise self._too_slow()
            snapshot = self._collector.wait_newer(snapshot.version, deadline - self._clock.monotonic())
        return snapshot, answer.problem

    def _tell(self, snapshot: Snapshot) -> int:
        """Ask what only a person can answer; the number of the last command with an answer, 0 where there is none."""
        told = [Tell(question.key, text) for question in snapshot.questions if (text := self.answer(question))]
        return max([self._collector.request(command).number for command in told], default=0)

    def answer(self, question: Question) -> str:
        """What a person says to a question; empty where nobody can be asked, or was asked before."""
        if self._ask is None or question.key in self._asked:
            return ""
        self._asked.add(question.key)
        return self._ask(question)

    def _with_source(self, snapshot: Snapshot) -> Snapshot:
        """The same. Raises NoSource: no node was reached, and no copy tells of a job."""
        errors = [node.error for node in unread(snapshot)]
        if not errors or len(errors) < len(snapshot.nodes) or snapshot.jobs or snapshot.listed:
            return snapshot
        if len(errors) == 1:
            raise NoSource(errors[0])
        raise NoSource("\n  ".join([f"none of the {len(errors)} nodes could be read:", *errors]))

    def _absent(self, job_id: str, snapshot: Snapshot) -> UgroError:
        known = [job.job_id for job in snapshot.jobs] + list(snapshot.listed)
        if not (away := unread(snapshot)):
            no_place = [node.error for node in snapshot.nodes if node.error and not known]
            return BadInput("\n  ".join([self.unknown(job_id, known), *no_place]))
        errors = [node.error for node in away]
        if len(away) == len(snapshot.nodes):
            return NoSource("\n  ".join([f"no copy of job {job_id} here, and no node could be read:", *errors]))
        where = f"the {len(snapshot.nodes) - len(away)} of {len(snapshot.nodes)} nodes that could be read"
        first = f"no job {job_id} on {where}{_there(known)}; the others:"
        return Partial("\n  ".join([first, *errors]))

    def _too_slow(self) -> NoSource:
        remedy = "look at its disk" if not self._remote else "see `ugro-tui doctor`"
        return NoSource(
            f"{self._place} was not read within {FIRST_LOOK_SECONDS:.0f} s: {remedy}, or name another directory "
            "with --metrics-dir"
        )

    def unknown(self, job_id: str, known: Sequence[str]) -> str:
        """Why there is nothing to show of a job, where these are known."""
        place = visible(self._place)
        if job_id in known:
            return f"job {job_id} in {place} has no records yet: see what its training script prints, or wait"
        remedy = (
            "choose one of them, or another directory with --metrics-dir"
            if known
            else "name another directory with --metrics-dir"
        )
        return f"no job {job_id} in {place}{_there(known)}: {remedy}"


def _there(known: Sequence[str]) -> str:
    listed = f"jobs there: {', '.join(known[:8])}{', …' if len(known) > 8 else ''}"
    return f" ({listed if known else 'it holds no jobs'})"
