"""`AdaptiveHealthMonitor`: how the nodes are, asked over the connections that their metrics come by."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ugro_tui.collect.messages import Cycle
from ugro_tui.core.health import CENTRAL, GpuHealth, NodeHealth, remembered
from ugro_tui.core.health_facts import told
from ugro_tui.core.health_score import LATE_SECONDS, is_well, judged
from ugro_tui.core.ports import Clock
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.states import NodeState
from ugro_tui.nodes import helper_health
from ugro_tui.nodes.base import Node, NodeError, NodeMissing, Reaction
from ugro_tui.nodes.health_pace import HEALTH_FRESH_SECONDS, HEALTH_WAIT_SECONDS

log = logging.getLogger(__name__)

FIRST_SECONDS = 5.0
"""When a node is asked first, unless somebody watches: a command that looks once and ends does not pay for it."""

FAST_SECONDS = 10.0
"""How often a node is asked that is unwell, or that somebody watches."""

NORMAL_SECONDS = 30.0
"""How often while a job runs: disks and temperatures take minutes, and node_exporter is scraped as often."""

QUIET_SECONDS = 120.0
"""How often while no job runs and nobody watches."""

WATCHED_SECONDS = 30.0
"""How long somebody watches who has asked once."""

AGE_SECONDS = 1.0
"""How often ages are counted anew: snapshots come more often, and there may be hundreds of nodes."""


@dataclass(slots=True)
class _Record:
    """What is known of one node. `due`: monotonic seconds; `answered`: the newest request that was answered."""

    health: NodeHealth
    due: float
    told_at: float = math.nan
    retry_at: float = math.nan
    sure: bool = False
    answered: int = 0
    gpus: tuple[GpuHealth, ...] = ()
    error: str = ""
    """Why its health is not known, though the node answers."""


class AdaptiveHealthMonitor:
    """Asks each node how it is when its turn has come, right after a look at its metrics; and says how all nodes are.

    A node is asked often while it is unwell or somebody watches, rarely while no job `lives`, and not at all while it
    is left alone, as it is then asked nothing: the look that tries whether it is back asks for its health too. What was
    known of a node that does not answer stays, with its age. Where another application writes the `central` directory,
    and its copies are all that is read, nodes are asked for their health only while somebody watches.

    Any thread may call all of it; each node is looked at by one at a time. `thresholds`: the numbers in force.
    """

    def __init__(
        self,
        nodes: Iterable[str],
        clock: Clock,
        lives: Callable[[], bool],
        central: Path | None,
        thresholds: Callable[[], Thresholds] = lambda: DEFAULTS,
    ) -> None:
        names, first = sorted(nodes), clock.monotonic() + FIRST_SECONDS
        self._clock = clock
        self._lives = lives
        self._thresholds = thresholds
        self._judged_by = thresholds()
        self._lock = threading.Lock()
        apart = FAST_SECONDS / max(1, len(names))  # hundreds of nodes are not asked all at once, now and ever after
        self._records = {
            name: _Record(judged(NodeHealth(name)), first + place * apart) for place, name in enumerate(names)
        }
        self._watched_at = -math.inf
        self._requests = 0
        self._viewed: tuple[float, tuple[NodeHealth, ...]] | None = None
        self._central = {} if central is None else {"central": helper_health.disk_at(str(central))}
        self._central_record = _Record(judged(NodeHealth(CENTRAL)), first)
        self._at_central = threading.Lock()

    def watch(self) -> int:
        """Somebody looks: each node is asked at its next look, and often for a while. The number of this request."""
        with self._lock:
            self._watched_at = self._clock.monotonic()
            self._requests += 1
            for record in (*self._records.values(), self._central_record):
                record.due = -math.inf
            return self._requests

    def awaited(self, request: int, nodes: Iterable[str]) -> list[str]:
        """Those of the nodes that have neither told their health since this request, nor failed, nor are left alone."""
        with self._lock:
            return [name for name in nodes if self._records[name].answered < request]

    def look(self, node: Node, *, more: bool = False, reads: bool = False) -> None:
        """Ask a node that has just answered, if its turn has come.

        While there is `more` to read at once of it, and where this application only `reads` what another one copies,
        that is only so when somebody watches.
        """
        now = self._clock.monotonic()
        self._look_at_central(now)
        record = self._records[node.name]
        if now < record.due or ((more or reads) and not self._watched(now)):
            return
        request = self._requests
        try:
            self._told(record, node.health(), request)
        except NodeError as error:
            self._failed(record, error, request, reads=reads)
        except Exception as error:  # the metrics must not suffer from it
            log.exception("the health of %s", node.name)
            failure = NodeError(f"{node.name}: its health is not known: {error!r}: an error in ugro-tui, see its log")
            self._failed(record, failure, request, reads=False)

    def heard(self, cycle: Cycle) -> None:
        """What became of a look at the metrics, or that the node is left alone for now."""
        if cycle.via == "mirror":
            return  # it tells of another application's copy, not of the node
        record = self._records[cycle.node]
        with self._lock:
            record.retry_at, record.sure = cycle.retry_at, cycle.sure
            if not cycle.state.reached:
                record.answered = self._requests
            brief, error = cycle.brief, cycle.error
            if brief == NodeMissing.brief:  # no job was ever there, and nothing is wrong with that
                brief = error = ""
            error = error or (record.error if cycle.state.reached else "")
            self._set(record, replace(record.health, state=cycle.state, brief=brief, error=error))

    def view(self, now: float) -> tuple[NodeHealth, ...]:
        """How all nodes are, by name; behind them the disk of the central directory, where there is one."""
        with self._lock:
            if self._judged_by is not self._thresholds():
                self._judge_anew()
            if self._viewed is None or not 0.0 <= now - self._viewed[0] < AGE_SECONDS:
                records = (*self._records.values(), *([self._central_record] if self._central else []))
                self._viewed = now, tuple(_aged(record, now) for record in records)
            return self._viewed[1]

    def _watched(self, now: float) -> bool:
        return now - self._watched_at < WATCHED_SECONDS

    def _told(self, record: _Record, health: NodeHealth, request: int) -> None:
        with self._lock:
            if health.gpus_known:
                record.gpus = remembered(record.gpus, health.gpus)
                health = replace(health, gpus=record.gpus)
            record.told_at = self._clock.monotonic()
            record.answered, record.error = request, ""
            self._set(record, health)
            self._plan(record, request, self._pause(record.health, record.told_at))

    def _failed(self, record: _Record, error: NodeError, request: int, *, reads: bool) -> None:
        with self._lock:
            record.answered, record.error = request, str(error)
            self._plan(record, request, FAST_SECONDS)
            health = replace(record.health, error=record.error)
            if reads:  # nothing else tells how the node answers
                state = NodeState.PERSON if error.reaction is Reaction.PERSON else NodeState.SILENT
                health = replace(health, state=state, brief=error.brief)
            self._set(record, health)

    def _plan(self, record: _Record, request: int, pause: float) -> None:
        """When the node's turn comes again: at once where somebody has asked meanwhile."""
        record.due = self._clock.monotonic() + pause if request == self._requests else -math.inf

    def _set(self, record: _Record, health: NodeHealth) -> None:
        if health != record.health:
            record.health, self._viewed = judged(health, self._judged_by), None

    def _judge_anew(self) -> None:
        """By the numbers that users have set meanwhile."""
        self._judged_by, self._viewed = self._thresholds(), None
        for record in (*self._records.values(), self._central_record):
            record.health = judged(record.health, self._judged_by)

    def _pause(self, health: NodeHealth, now: float) -> float:
        """Seconds until the node is asked again."""
        if any(one.seconds < LATE_SECONDS for one in health.late):
            return 0.0
        if not is_well(health) or self._watched(now):
            return FAST_SECONDS
        return NORMAL_SECONDS if self._lives() else QUIET_SECONDS

    def _look_at_central(self, now: float) -> None:
        """Look at the disk of the central directory, in one of the threads that look at nodes."""
        if not self._central or now < self._central_record.due or not self._at_central.acquire(blocking=False):
            return
        try:
            words = helper_health.tell(self._central, HEALTH_WAIT_SECONDS, HEALTH_FRESH_SECONDS)
            self._told(self._central_record, told(CENTRAL, words), self._requests)
        finally:
            self._at_central.release()


def _aged(record: _Record, now: float) -> NodeHealth:
    retry = max(0.0, record.retry_at - now) if math.isfinite(record.retry_at) else math.nan
    breaker = "closed" if not record.sure else "half-open" if retry <= 0.0 else "open"
    return replace(record.health, age=now - record.told_at, breaker=breaker, retry=retry)
