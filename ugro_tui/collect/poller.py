"""The thread that looks at one node again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ugro_tui.collect.messages import Cycle, Message
from ugro_tui.collect.reader import Delivery, JobReader
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
        self._readers: dict[str, JobReader] = {}
        self._left: set[str] = set()
        self._tickets: list[Ticket] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"poll-{node.name}", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def halt(self) -> None:
        """Poll no more; a cycle under way ends at its next file."""
        self._stopping.set()
        self._wake.set()

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the end of the thread."""
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
            self.cycle()
            self._wake.wait(self._interval)

    def cycle(self) -> None:
        """Look once at every job that is followed, and tell the keeper. Whatever happens, tickets are answered."""
        with self._lock:
            tickets, self._tickets = self._tickets, []
        entries: tuple[JobEntry, ...] = ()
        listed: tuple[str, ...] = ()
        error = ""
        try:
            entries = self._node.jobs()
            listed = self._look(entries)
        except NodeError as failure:
            error = str(failure)
        except Exception as failure:  # a thread's outer edge: the next cycle may succeed
            log.exception("polling %s failed", self._node.name)
            error = f"{self._node.name} cannot be polled: {failure!r}: an error in ugro-tui, see its log"
        answers = tuple(Answer(ticket.number, error or _problem(ticket, entries)) for ticket in tickets)
        self._post(Cycle(self._node.name, self._clock.monotonic(), error, listed, answers))

    def _look(self, entries: tuple[JobEntry, ...]) -> tuple[str, ...]:
        """Read what is followed; the ids of the other jobs."""
        followed, listed = self._wanted.split(entries)
        self._leave({entry.job_id for entry in followed}, {entry.job_id for entry in entries})
        for entry in followed:
            if not self._stopping.is_set():
                self._read(entry.job_id)
        return listed

    def _leave(self, followed: set[str], there: set[str]) -> None:
        """Let go of the readers of jobs that are not followed any more, and say so of those that are gone."""
        for job_id in self._readers.keys() - followed:
            reader = self._let_go(job_id)
            if job_id not in there and reader.found_files:
                gone = "its directory is gone: what is shown is what was last known"
                self._post(Delivery(self._node.name, job_id, reader.epoch, denied=(gone,)))

    def _let_go(self, job_id: str) -> JobReader:
        self._left.add(job_id)
        return self._readers.pop(job_id)

    def _read(self, job_id: str) -> None:
        reader = self._reader(job_id)
        if reader is None:
            return
        try:
            for _ in range(MAX_ROUNDS):
                delivery, news = reader.read(self._clock.monotonic())
                if news:
                    self._post(delivery)
                if not delivery.more or self._stopping.is_set():
                    return
        except NodeError:
            raise
        except Exception as error:  # one job's data must not keep the others from being read
            log.exception("reading job %s on %s failed", job_id, self._node.name)
            self._let_go(job_id)
            problem = f"cannot be read: {error!r}: an error in ugro-tui, see its log"
            self._post(Delivery(self._node.name, job_id, reader.epoch, denied=(problem,)))

    def _reader(self, job_id: str) -> JobReader | None:
        """The job's reader: a new one where the old one has lost its place; None if the job was just closed."""
        epoch = self._wanted.epoch(job_id)
        reader = self._readers.get(job_id)
        if reader is not None and reader.epoch == epoch:
            return reader
        if job_id in self._left:  # read before, and let go: what is read now is no news but the same again
            self._left.remove(job_id)
            epoch = self._wanted.renew(job_id)
        if epoch is None:
            return None
        self._readers[job_id] = JobReader(self._node, job_id, epoch)
        return self._readers[job_id]


def _problem(ticket: Ticket, entries: tuple[JobEntry, ...]) -> str:
    """What is wrong with a command whose cycle went well; empty for nothing."""
    command = ticket.command
    missing = isinstance(command, OpenJob) and all(entry.job_id != command.job_id for entry in entries)
    return f"no job {command.job_id} here" if isinstance(command, OpenJob) and missing else ""
