"""`TrainingMetricsCollector`: follows jobs on nodes and keeps what they say."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Sequence

from ugro_tui.collect.keeper import Keeper
from ugro_tui.collect.messages import Forget
from ugro_tui.collect.poller import Poller
from ugro_tui.collect.wanted import Wanted
from ugro_tui.core.commands import Command, OpenJob, Ticket
from ugro_tui.core.ports import Clock
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.nodes.base import Node

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0
"""How long `stop` waits for pollers: one that hangs in a dead network disk must not hold the user."""


class TrainingMetricsCollector:
    """Polls `nodes` every `interval` seconds and publishes snapshots; is the `Feed` of the front ends.

    With `only`, that job alone is read; otherwise every job that changed within a day, and those that are opened.
    """

    def __init__(self, nodes: Sequence[Node], clock: Clock, interval: float = 2.0, only: str | None = None) -> None:
        self._wanted = Wanted(only)
        self._keeper = Keeper(clock, self._wanted.epoch, [node.name for node in nodes])
        self._pollers = [Poller(node, interval, self._wanted, clock, self._keeper.post) for node in nodes]
        self._numbers = itertools.count(1)
        self._asking = threading.Lock()
        self._started = threading.Lock()
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called: nothing new will come."""
        return self._stopped.is_set()

    def start(self) -> None:
        """Begin to poll and to publish. Calling it again does nothing, and so does calling it after `stop`."""
        if self.stopped or not self._started.acquire(blocking=False):
            return
        self._keeper.start()
        for poller in self._pollers:
            poller.start()
        log.info("Started metrics collection")

    def stop(self) -> None:
        """End all threads; the last snapshot stays readable."""
        if self.stopped:
            return
        self._stopped.set()
        for poller in self._pollers:
            poller.halt()
        for poller in self._pollers:
            poller.join(STOP_SECONDS / len(self._pollers))
        self._keeper.stop()
        log.info("Stopped metrics collection")

    def start_collection(self, job_id: str) -> None:
        """Follow this job from now on, however old it is, before all others."""
        self._wanted.open(job_id)
        for poller in self._pollers:
            poller.wake()
        log.info("Started metrics collection of job %s", job_id)

    def stop_collection(self, job_id: str) -> None:
        """Follow this job no longer and forget what is known of it."""
        self._keeper.post(Forget(job_id, self._wanted.close(job_id)))
        log.info("Stopped metrics collection of job %s", job_id)

    def get_latest_metrics(self, job_id: str) -> JobView | None:
        """The newest picture of a job; None while nothing is known of it."""
        return None if self._wanted.epoch(job_id) is None else self.snapshot().job(job_id)

    def snapshot(self) -> Snapshot:
        """The newest picture of everything; never blocks."""
        return self._keeper.snapshot()

    def wait_newer(self, version: int, timeout: float) -> Snapshot:
        """The first snapshot newer than `version`, or the newest when `timeout` seconds have passed."""
        return self._keeper.wait_newer(version, timeout)

    def request(self, command: Command) -> Ticket:
        """Ask for something; the answer comes in a later snapshot. Never blocks."""
        if isinstance(command, OpenJob):
            self._wanted.open(command.job_id)
        with self._asking:  # in the order of their numbers, so that the newest answer tells of all before it
            ticket = Ticket(next(self._numbers), command)
            for poller in self._pollers:
                poller.ask(ticket)
        return ticket
