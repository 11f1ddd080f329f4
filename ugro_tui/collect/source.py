"""One node as it is watched: asked in turn, left alone while it fails, and what became of it told to the keeper."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import replace

from ugro_tui.collect.breaker import Breaker
from ugro_tui.collect.copying import Copying
from ugro_tui.collect.follower import Copy, Follower, Role, kinds_of
from ugro_tui.collect.health import AdaptiveHealthMonitor
from ugro_tui.collect.looked import Looked, as_noted
from ugro_tui.collect.messages import Cycle, Message
from ugro_tui.collect.node_notes import Note
from ugro_tui.collect.rsyncs import RsyncRuns
from ugro_tui.collect.syncs import SyncRun
from ugro_tui.core.commands import Answer, OpenJob, Refresh, Sync, Tell, Ticket
from ugro_tui.core.layout import POLLED, FileKind
from ugro_tui.core.ports import Clock
from ugro_tui.core.states import NodeState
from ugro_tui.nodes.base import Node, NodeError, NodeLost, Reaction, Reply
from ugro_tui.nodes.helper import OVERHEAD

log = logging.getLogger(__name__)

SLIGHT_BYTES, SLIGHT_REPLIES = 512, 8
"""A node whose replies bring less, so often in a row, is asked no more at once, whatever it says there is."""


class Source:
    """Watches one node. `look` is called by one thread at a time, the rest by any. `keep`: as in `Copying`."""

    def __init__(
        self,
        node: Node,
        follower: Follower,
        clock: Clock,
        post: Callable[[Message], None],
        breaker: Breaker,
        *,
        copy: Copy | None = None,
        keep: bool = False,
        rsync: RsyncRuns | None = None,
        health: AdaptiveHealthMonitor | None = None,
    ) -> None:
        self.name = node.name
        self.in_trouble = False
        """Whether it failed last time: it may hold a thread until its deadline."""
        self._node = node
        self._follower = follower
        self._clock = clock
        self._post = post
        self._breaker = breaker
        self._copying = Copying(follower, clock, copy, keep=keep)
        self._rsync = rsync
        self._health = health
        self._last = Cycle(node.name, math.nan, state=NodeState.CONNECTING)
        self._heard = 0.0
        self._slight = 0
        self._worked = False
        self._once_more = False
        self._lock = threading.Lock()
        self._asked: list[Ticket] = []
        self._tickets: list[Ticket] = []
        self._wanted_syncs: list[SyncRun] = []
        self._syncs: list[SyncRun] = []
        self._stopping = threading.Event()

    @property
    def not_before(self) -> float:
        """Monotonic seconds before which the node is left alone; minus infinity where it is not."""
        now = self._clock.monotonic()
        wait = self._breaker.retry_in(now)
        return now + wait if wait > 0 and self._copying.role is not Role.READS else -math.inf

    def ask(self, ticket: Ticket) -> None:
        """Have the next whole look answer this. For a person who asks, nothing is waited out."""
        with self._lock:
            self._asked.append(ticket)
            if isinstance(ticket.command, Refresh | Sync | Tell):
                self._breaker.reset()

    def sync(self, run: SyncRun) -> None:
        """Bring what `run` wants, from the next look on."""
        with self._lock:
            self._wanted_syncs.append(run)

    def halt(self) -> None:
        """Begin nothing more; a question under way fails at once."""
        self._stopping.set()
        self._node.close()

    def look(self) -> bool:
        """Ask the node once and tell the keeper. Whether there is more to ask at once."""
        now = self._clock.monotonic()
        with self._lock:
            anew = bool(self._asked or self._wanted_syncs)
            self._tickets += self._asked
            self._syncs += self._wanted_syncs
            self._asked, self._wanted_syncs = [], []
            allowed = self._breaker.allows(now)
        if self._stopping.is_set():
            return False
        if not allowed and self._copying.role is not Role.READS:
            self._put_off()
            return False
        self._once_more |= anew
        looked = self._try(anew=anew)
        self._worked = looked.reply is not None and self._copying.role is not Role.READS
        if looked.failure is not None:
            self._copying.remember()
        more = looked.reply is not None and self._has_more(looked.reply) and not self._stopping.is_set()
        if self._health is not None and looked.reached:
            self._health.look(self._node, more=more, reads=self._copying.role is Role.READS)
        self._tell(looked, more=more)
        return more

    def _has_more(self, reply: Reply) -> bool:
        """Whether there is more to ask at once: a node may say so for ever."""
        slight = sum(len(chunk.data) + OVERHEAD for chunk in reply.chunks) < SLIGHT_BYTES
        self._slight = self._slight + 1 if reply.more and slight else 0
        return reply.more and self._slight < SLIGHT_REPLIES

    def _put_off(self) -> None:
        """While the node is left alone: tell anew what is known of it, and answer whoever asks."""
        if self._health is not None:
            self._health.heard(self._last)
        if self._tickets or self._follower.behind:
            self._copying.remember()
        if self._tickets:
            looked = Looked(error=self._last.error)
            answers = tuple(self._answer(ticket, looked) for ticket in self._tickets)
            self._post(replace(self._last, answers=answers))
        self._end(Looked(error=self._last.error))

    def _try(self, *, anew: bool) -> Looked:
        began = self._clock.monotonic()
        try:
            reply = self._look(anew=anew)
            offset = reply.time - self._clock.time()
            return Looked(reply, took=self._clock.monotonic() - began, offset=offset)
        except NodeError as failure:
            return Looked(error=str(failure), failure=failure)
        except Exception as failure:  # a thread's outer edge: the next look may succeed
            log.exception("polling %s failed", self.name)
            return Looked(error=f"{self.name} cannot be polled: {failure!r}: an error in ugro-tui, see its log")

    def _look(self, *, anew: bool) -> Reply:
        role = self._copying.role
        self._follower.write(role is Role.WRITES)
        if self._copying.copy is not None and role is Role.READS:
            return self._follower.ask(self._copying.copy.shown, POLLED)
        if role is Role.WRITES:
            self._copying.prepare()
        kinds = self._copying.kinds(self._syncs) if role is Role.WRITES else POLLED
        reply = self._ask_node(self._asked_of_node(kinds), anew=anew)
        for run in self._syncs:
            run.brought(self.name, reply.chunks, kinds_of(reply), reply.denied)
        if FileKind.EVENTS in kinds and not reply.more:
            self._copying.brought_events()
            self._begin_rsync()
        return reply

    def _ask_node(self, kinds: frozenset[FileKind], *, anew: bool) -> Reply:
        """One question; once more where somebody waits and the connection, which worked, turns out to have ended."""
        try:
            return self._follower.ask(self._node, kinds, anew=anew)
        except NodeLost:
            if not (self._worked and self._once_more) or self._stopping.is_set():
                raise
            self._once_more = False
            return self._follower.ask(self._node, kinds, anew=anew)

    def _asked_of_node(self, kinds: frozenset[FileKind]) -> frozenset[FileKind]:
        return kinds if self._rsync is None else kinds - {FileKind.EVENTS}

    def _begin_rsync(self) -> None:
        """Where rsync brings the event files, it does so from now on; the syncs that want them end with it."""
        if self._rsync is not None and not self._rsync.busy:
            runs = [run for run in self._syncs if FileKind.EVENTS in run.kinds]
            self._rsync.begin(self._node, self._follower.jobs, runs)
            self._syncs = [run for run in self._syncs if run not in runs]

    def _tell(self, looked: Looked, *, more: bool) -> None:
        """Say what became of the look; of a whole one also to those who asked for it."""
        state, brief, retry = self._judged(looked)
        reads = self._copying.role is Role.READS
        self._last = Cycle(
            node=self.name,
            at=self._clock.monotonic(),
            error=looked.error,
            listed=self._follower.listed,
            complete=not more,
            state=state,
            brief=brief,
            rule="" if looked.failure is None else looked.failure.rule,
            retry_at=retry,
            sure=self._breaker.open,
            via="mirror" if reads else self._node.via,
            round_trip=math.nan if reads else looked.took,
            clock_offset=looked.offset,
            question=looked.question,
            troubles=self._copying.troubles,
            reading=self._copying.reading,
        )
        self._note(looked, reads=reads)
        if self._health is not None:
            self._health.heard(self._last)
        answers = () if more else tuple(self._answer(ticket, looked) for ticket in self._tickets)
        self._post(replace(self._last, answers=answers) if answers else self._last)
        if not more:
            self._end(looked)

    def _note(self, looked: Looked, *, reads: bool) -> None:
        """Tell those who only read the copies how the node is found; or take over what is told so."""
        notes = None if self._copying.copy is None else self._copying.copy.notes
        if notes is None:
            return
        if reads:
            self._last = as_noted(self._last, notes.read(), self._clock.time())
        elif self._copying.role is Role.WRITES:
            if looked.reply is not None:
                self._heard = self._clock.time()
                notes.examined(looked.reply.processes)
            last = self._last
            notes.write(Note(last.state.value, last.brief, last.error, last.rule, last.sure, self._heard))

    def _end(self, looked: Looked) -> None:
        self._tickets.clear()
        self._once_more = False
        waiting = [run for run in self._syncs if self._rsync and FileKind.EVENTS in run.kinds and not looked.error]
        for run in self._syncs:
            if run not in waiting:  # another rsync is still under way: theirs comes next
                run.ended(self.name, looked.error or self._copying.unable)
        self._syncs = waiting

    def _judged(self, looked: Looked) -> tuple[NodeState, str, float]:
        """The state of the node after a look, in words too, and when it is asked again."""
        now = self._clock.monotonic()
        with self._lock:
            if looked.failure is None:
                self._breaker.succeeded(now)
            else:
                self._breaker.failed(now, looked.failure.reaction)
            wait = self._breaker.retry_in(now)
        self.in_trouble = looked.failure is not None and looked.failure.reaction is not Reaction.WAIT
        return looked.judged(now, wait)

    def _answer(self, ticket: Ticket, looked: Looked) -> Answer:
        """This node's part of the answer to a command."""
        command = ticket.command
        if isinstance(command, OpenJob):
            if command.job_id in {*self._follower.jobs, *self._follower.listed}:
                return Answer(ticket.number, said=command.job_id)
            return Answer(ticket.number, looked.error or f"no job {command.job_id} here")
        return Answer(ticket.number, looked.error or (self._copying.unable if isinstance(command, Sync) else ""))
