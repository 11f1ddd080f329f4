"""The thread that looks at one node again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ugro_tui.collect.messages import Cycle, Message
from ugro_tui.collect.reader import JobReader
from ugro_tui.collect.wanted import Wanted
from ugro_tui.core.commands import Answer, OpenJob, Ticket
from ugro_tui.core.ports import Clock
from ugro_tui.nodes.base import JobEntry, Node, NodeError

log = logging.getLogger(__name__)

MAX_ROUNDS = 4_096
"""Fetches of one job in one cycle: 4 GiB a file at 1 MiB each, far beyond any metrics file, yet not endless."""


class Poller:
    """Polls one node every `interval` seconds, at once when woken. Tells the keeper through `post`."""

    def __init__(
        self, node: Node, interval: float, wanted: Wanted, clock: Clock, post: Callable[[Message], None]
    ) -> None:
        self._node = node
        self._interval = interval
        self._wanted = wanted
        self._clock = clock
        self._post = post
        self._readers: dict[str, tuple[int, JobReader]] = {}
        self._tickets: list[Ticket] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"poll-{node.name}", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Poll no more; waits at most `timeout` seconds for a cycle under way."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def ask(self, ticket: Ticket) -> None:
        """Poll at once; the cycle's end answers the ticket."""
        with self._lock:
            self._tickets.append(ticket)
        self._wake.set()

    def wake(self) -> None:
        """Poll at once."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self.cycle()
            except Exception as error:
                log.exception("polling %s failed", self._node.name)
                self._post(Cycle(self._node.name, self._clock.monotonic(), f"internal error: {error!r}"))
            self._wake.wait(self._interval)

    def cycle(self) -> None:
        """Look once at every job that is followed, and tell the keeper."""
        with self._lock:
            tickets, self._tickets = self._tickets, []
        try:
            entries = self._node.jobs()
        except NodeError as error:
            answers = tuple(Answer(ticket.number, str(error)) for ticket in tickets)
            self._post(Cycle(self._node.name, self._clock.monotonic(), str(error), (), answers))
            return
        followed, listed = self._wanted.split(entries)
        for gone in self._readers.keys() - {entry.job_id for entry in followed}:
            del self._readers[gone]
        for entry in followed:
            self._read(entry.job_id)
        answers = tuple(_answer(ticket, entries) for ticket in tickets)
        self._post(Cycle(self._node.name, self._clock.monotonic(), "", listed, answers))

    def _read(self, job_id: str) -> None:
        epoch = self._wanted.closings(job_id)
        known, reader = self._readers.get(job_id, (-1, None))
        if reader is None or known != epoch:
            reader = JobReader(self._node, job_id)
            self._readers[job_id] = (epoch, reader)
        for _ in range(MAX_ROUNDS):
            delivery, more = reader.read(self._clock.monotonic())
            if delivery.pieces or delivery.denied:
                self._post(delivery)
            if not more or self._stopping.is_set():
                return


def _answer(ticket: Ticket, entries: tuple[JobEntry, ...]) -> Answer:
    command = ticket.command
    if isinstance(command, OpenJob) and all(entry.job_id != command.job_id for entry in entries):
        return Answer(ticket.number, f"no job {command.job_id} here")
    return Answer(ticket.number)
