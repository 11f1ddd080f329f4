"""What all screens share: the newest picture, the job in hand, commands on their way, and what is said to the user."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ugro_tui.core.attempts import Attempts
from ugro_tui.core.commands import Answer, Command, Diagnose, Launch, OpenJob, OpenTensorBoard, Stop, Sync
from ugro_tui.core.compared import FEWEST, MOST, RunName
from ugro_tui.core.kept import Kept
from ugro_tui.core.ports import Archive, Feed, Memory
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.ui.job_order import JOBS, all_jobs, shown_jobs
from ugro_tui.ui.message import SILENT, Message, always, of_attempt, of_living
from ugro_tui.ui.question import Questions
from ugro_tui.ui.requests import Requests, about
from ugro_tui.ui.strip import Errands, port

T = TypeVar("T")

_USUAL: Mapping[str, object] = {"sort": ["", False], "filter": "", "wide": False}
"""Of a table that nobody arranged: lines as they came (no field, not falling), all of them, the columns that fit."""

_LAST_JOB = "job"
"""What the id of the job in hand is kept under."""

PATIENCE = 2.0
"""Seconds after which jobs are shown although a node has not answered yet: it may be switched off."""


class Desk:
    """Belongs to the application; every screen reads and changes it. `job` is the id of the job in hand.

    `keep` and `kept` are for what a person arranged: by a name, as `table.jobs.sort`, found again at the next start.
    """

    def __init__(
        self,
        feed: Feed,
        archive: Archive,
        place: str,
        job: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        memory: Memory | None = None,
    ) -> None:
        self.feed = feed
        self.archive = archive
        self.place = place
        self.job = job
        self.clock = clock
        self.wall = wall
        """Unix seconds, as the book of alerts has them."""
        self._kept = Kept(memory)
        if job is not None:
            self.keep(_LAST_JOB, job)
        self.questions = Questions(feed)
        self.rank: int | None = None
        """The rank in hand, of the job in hand; None before one was opened."""
        self.logs_of: int | None = None
        """The rank whose logs are wanted when the logs are shown next; None: those that were shown last."""
        self.again = ""
        """The job that is to be launched again, when the form is shown next."""
        self.snapshot = Snapshot()
        self.marked: tuple[str, ...] = ()
        """The jobs that are marked to be compared."""
        self.message = SILENT
        self.url = ""
        """Where TensorBoard answers, once it does."""
        self._requests = Requests(feed)
        self._previous: str | None = None
        self._begun = self._taken = clock()

    def take(self, snapshot: Snapshot) -> None:
        """This is the newest picture from now on."""
        if snapshot.version != self.snapshot.version:
            self._taken = self.clock()
        before, self.snapshot = self.view, snapshot
        if before is not None and self.view is None and self.job not in snapshot.listed:
            self.say(f"{self.job} is gone: it was taken away before it had recorded anything")
            self.job = None
        if not self.message.holds(snapshot):
            self.say("")
        for command, answer in self._requests.answered(snapshot.answers):
            self._hear(command, answer)
        self.settle()

    def settle(self) -> None:
        """Take a job in hand where none is, once all was looked at: the one of the last time, else the worst."""
        if self.job is None and self.snapshot.jobs and self.ready:
            last, order = self.kept(_LAST_JOB, ""), self.order
            self.job = last if last in order else order[0]

    @property
    def view(self) -> JobView | None:
        """The job in hand, if anything is known of it."""
        return self.snapshot.job(self.job) if self.job else None

    @property
    def order(self) -> list[str]:
        """All jobs that are read, in the order of their list."""
        return all_jobs(self.snapshot, self.arranged(JOBS))

    @property
    def shown(self) -> list[str]:
        """The jobs that their list shows, in its order; before them the job in hand, where its filter hides that."""
        shown = shown_jobs(self.snapshot, self.arranged(JOBS))
        return shown if self.job in shown or self.view is None else [self.view.job_id, *shown]

    def arranged(self, table: str) -> dict[str, object]:
        """How the table of that name was left, as `Arrangement.restore` takes it."""
        return {what: self.kept(f"table.{table}.{what}", usual) for what, usual in _USUAL.items()}

    def keep_arranged(self, table: str, now: Mapping[str, object]) -> None:
        """Write down what was changed here, each by itself: another application may have changed the rest."""
        before = self.arranged(table)
        for what in now:
            if now[what] != before[what]:
                self.keep(f"table.{table}.{what}", now[what])

    def views(self, names: Iterable[str]) -> list[JobView]:
        """The jobs of these names, as far as they are known."""
        known = {job.job_id: job for job in self.snapshot.jobs}
        return [known[name] for name in names if name in known]

    @property
    def compared(self) -> tuple[RunName, ...]:
        """What is compared: the marked jobs; where only one is marked, or none, its attempts, or it and another one.

        Nothing where there is no second run.
        """
        if len(self.marked) >= FEWEST:
            return tuple(map(RunName, self.marked[:MOST]))
        first = self.marked[0] if self.marked else self.job
        view = self.snapshot.job(first) if first is not None else None
        other = self.job if self.marked else self._previous
        if first is None or (other is not None and other != first and not (self.marked and _restarted(view))):
            return () if first is None or other is None else (RunName(other), RunName(first))
        return self._attempts(view) if view is not None and _restarted(view) else ()

    def _attempts(self, view: JobView) -> tuple[RunName, ...]:
        """The newest attempts of a job that have records, as far as that is known by now; nothing of fewer than two."""
        told = self.archive.look(Attempts(view.job_id)).content
        numbers = range(1, view.summary.attempt + 1) if told is None else [attempt.number for attempt in told]
        runs = [RunName(view.job_id, number) for number in numbers[-MOST:]]
        return tuple(runs) if len(runs) >= FEWEST else ()

    @property
    def elapsed(self) -> float:
        """Seconds since the picture was taken."""
        return self.clock() - self._taken

    @property
    def ready(self) -> bool:
        """Whether what there is has been looked at, so that the first job is the worst one."""
        away = any(not node.state.reached for node in self.snapshot.nodes)
        return bool(self.snapshot.cycles) or (away and self.clock() - self._begun >= PATIENCE)

    @property
    def errands(self) -> Errands:
        """What was asked for and is not answered."""
        waits = self.waits_for
        board = "starting …" if waits(OpenTensorBoard) else port(self.url) if self.url else ""
        return Errands(waits(Sync), board, waits(Diagnose))

    def waits_for(self, kind: type[Command]) -> bool:
        """Whether a command of this kind was asked for and is not answered yet."""
        return self._requests.waits_for(kind)

    def ask(self, command: Command) -> None:
        """Ask for this, and say what became of it when that is known."""
        self._requests.ask(command)

    def say(
        self, text: str, *, problem: bool = False, holds: Callable[[Snapshot], bool] = always, once: bool = False
    ) -> None:
        """Show a message for a while, a problem until it is taken away, while it `holds`; `once`: until the next key.

        Empty: take it away.
        """
        self.message = Message(text, self.clock(), problem, holds, once)

    def _hear(self, command: Command, answer: Answer) -> None:
        """Say what became of a command; a sync that went well shows in the strip."""
        what = about(command)
        holds = self._holds(command)
        if answer.problem:
            self.say(f"✖ {what}: {answer.problem}", problem=True, holds=holds)
        elif isinstance(command, OpenTensorBoard):
            self.url = answer.said
            self.say(f"TensorBoard: {answer.said}")
        elif answer.said:
            self.say(f"{what}: {answer.said}", holds=holds)

    def _holds(self, command: Command) -> Callable[[Snapshot], bool]:
        """Until when what became of a command is news."""
        match command:
            case Stop(job_id):
                return of_attempt(job_id, self.snapshot)
            case Launch(request):
                return of_living(request.job_id, self.snapshot)
        return always

    def flip(self, direction: int) -> None:
        """Take the next or the previous job in hand, of those that their list shows."""
        shown = self.shown
        if len(shown) > 1 and self.job in shown:
            self.take_job(shown[(shown.index(self.job) + direction) % len(shown)])

    def go_back(self) -> None:
        """Take the job in hand that was it before this one."""
        if self._previous is not None and self.snapshot.job(self._previous) is not None:
            self.take_job(self._previous)

    def may_act(self) -> bool:
        """Whether jobs may be started and stopped from here; where not, it is said why."""
        if self.snapshot.read_only:
            why = "read-only: nothing is started or stopped from here; start ugro-tui without --read-only"
            self.say(why, once=True)
        return not self.snapshot.read_only

    def take_job(self, job: str) -> None:
        """Take this job in hand, however old it is."""
        if job != self.job:
            self._previous, self.job = self.job, job
        self.keep(_LAST_JOB, job)
        self.feed.request(OpenJob(job))

    def keep(self, key: str, value: object) -> None:
        """Find this again under `key`, also at the next start; a value that JSON can hold, lists for tuples."""
        self._kept.keep(key, value)

    def kept(self, key: str, default: T) -> T:
        """What was kept under `key`; `default` where nothing was, or what is of another type: anyone can edit files."""
        return self._kept.get(key, default)

    def save(self) -> None:
        """Write down what is to be found at the next start."""
        self._kept.save()


def _restarted(view: JobView | None) -> bool:
    """Whether a job has more than one attempt."""
    return view is not None and view.summary.attempt > 1
