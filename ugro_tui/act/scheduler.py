"""Slurm's commands, run on a login node: what is asked, what comes back, and what its errors mean.

slurmctld answers all users of a cluster, so it is asked seldom: one squeue tells of all jobs, and its answer is used
for a while; a single job is asked for when it is in no queue any more, which is once.
"""

from __future__ import annotations

import re
import threading

from ugro_tui.act.clerk import Clerk
from ugro_tui.act.errors import LaunchError
from ugro_tui.core.errors import UgroError
from ugro_tui.core.ports import Clock
from ugro_tui.core.slurm import (
    MARKED_FORMAT,
    QUEUE_FORMAT,
    SACCT_FORMAT,
    Queue,
    SlurmJob,
    from_sacct,
    from_scontrol,
    marked,
)
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Ran

SUBMIT_SECONDS = 60.0
"""A busy controller lets sbatch wait."""

QUEUE_SECONDS = 10.0
"""How long an answer of squeue is used, for all jobs."""

BUSY, SLOWEST = 10, 6.0
"""It is used at least so many times as long as squeue took (seconds), up to a minute: a busy slurmctld is asked a tenth
of the time at most."""

# The cluster's time tells whether a job starts on this day. What a user has set for squeue is not meant for us.
_SQUEUE = (
    "sh", "-c",
    "unset SQUEUE_ACCOUNT SQUEUE_PARTITION SQUEUE_QOS SQUEUE_STATES SQUEUE_USERS; export SLURM_TIME_FORMAT=standard; "
    'date +%FT%T; exec squeue -a -h -S -p,i -o "$1"',
    "squeue", QUEUE_FORMAT,
)  # fmt: skip

_NUMBER = re.compile(r"(\d{1,12})(;[\w.-]+)?\s*", re.ASCII)


class SlurmError(UgroError):
    """Slurm does not answer, or not what was asked for."""

    exit_code = 3


class Scheduler:
    """Slurm, by its commands on one login node. Any thread may call it. `pace`: as `QUEUE_SECONDS`."""

    def __init__(self, clerk: Clerk, clock: Clock, pace: float = QUEUE_SECONDS) -> None:
        """Nothing is run yet."""
        self._clerk = clerk
        self._clock = clock
        self._pace = pace
        self._asking = threading.Lock()
        self._queue, self._silent = Queue({}), ""
        self._asked, self._took = float("-inf"), 0.0

    def test(self, script: str) -> None:
        """Ask whether Slurm would take the script.

        Raises:
            LaunchError: it would not; says why, in its own words.
            NodeError: the login node does not answer.
        """
        self._sbatch("--test-only", script)

    def submit(self, script: str) -> str:
        """Submit the script; the number of the job.

        Raises:
            LaunchError: Slurm does not take it; says why, in its own words.
            NodeError: the login node does not answer; it may have been submitted.
        """
        ran = self._sbatch("--parsable", script)
        number = _NUMBER.fullmatch(ran.out.decode("utf-8", "replace").strip().rpartition("\n")[2])
        if number is None:
            raise SlurmError(f"{self._clerk.name}: sbatch gives no number: {_said(ran)}")
        return number.group(1)

    def _sbatch(self, option: str, script: str) -> Ran:
        ran = self._clerk.run(["sbatch", option], script.encode("utf-8", "surrogateescape"), SUBMIT_SECONDS)
        if ran.code == 127:
            raise LaunchError(f"{self._clerk.name}: there is no sbatch: is it the login node? Name it with --login")
        if ran.code != 0:
            raise LaunchError(f"{self._clerk.name}: Slurm does not take the job: {_said(ran)}")
        return ran

    def queue(self, age: float | None = None) -> Queue:
        """All jobs that wait or run, as they were at most `age` seconds ago (None: as the pace has it, 0: now).

        Raises:
            SlurmError: Slurm does not answer.
            NodeError: the login node does not.
        """
        with self._asking:
            wanted = max(self._pace if age is None else age, BUSY * self._took) if age != 0 else 0.0
            began = self._clock.monotonic()
            if began - self._asked >= wanted:
                ran = self._clerk.run(_SQUEUE)
                self._asked = self._clock.monotonic()
                self._took = min(self._asked - began, SLOWEST) if ran.code == 0 else 0.0
                self._queue = Queue.of(ran.out.decode("utf-8", "replace"))
                self._silent = "" if ran.code == 0 else str(self._unanswered("squeue", ran))
            if self._silent:
                raise SlurmError(self._silent)
            return self._queue

    def look(self, number: str, age: float | None = None) -> SlurmJob | None:
        """What Slurm knows of a job; None where it knows none of this number, by squeue, scontrol or sacct.

        Raises:
            SlurmError: it does not answer.
            NodeError: the login node does not.
        """
        if (listed := self.queue(age).job(number)) is not None and not listed.status.over:
            return listed
        ran = self._clerk.run(["scontrol", "show", "job", number])
        if ran.code == 0 and (job := from_scontrol(ran.out.decode("utf-8", "replace"))) is not None:
            return job
        if ran.code == 0 or b"Invalid job id" not in ran.err + ran.out:
            raise self._unanswered("scontrol", ran)
        kept = self._clerk.run(["sacct", "-n", "-P", "-X", "-j", number, "-o", SACCT_FORMAT])
        return from_sacct(kept.out.decode("utf-8", "replace"), number) if kept.code == 0 else None

    def place(self, job: SlurmJob) -> int | None:
        """Where a job that waits stood among those that may be seen, from 1; None where that is not known."""
        return self._queue.place(job)

    def find(self, name: str, mark: str) -> str | None:
        """The number of the job of this name whose comment is `mark`; None where there is none.

        Raises:
            SlurmError: Slurm does not answer.
            NodeError: the login node does not.
        """
        ran = self._clerk.run(["squeue", "-h", "-t", "all", f"--name={name}", "-o", MARKED_FORMAT])
        if ran.code != 0:
            raise self._unanswered("squeue", ran)
        return marked(ran.out.decode("utf-8", "replace").splitlines(), mark)

    def signal(self, step: str, signal: str) -> None:
        """Send a signal to the steps of a job, or to one step; what has ended meanwhile gets none."""
        self._clerk.run(["scancel", f"--signal={signal}", step])

    def cancel(self, number: str) -> None:
        """Cancel a job: it never starts, or gets SIGTERM, and SIGKILL when the cluster's KillWait is over."""
        self._clerk.run(["scancel", number])

    def _unanswered(self, command: str, ran: Ran) -> SlurmError:
        return SlurmError(f"{self._clerk.name}: {command} does not answer: {_said(ran)}; is slurmctld up?")


def _said(ran: Ran) -> str:
    """What a command of Slurm has said, in one line, without its own name."""
    lines = (ran.err or ran.out).decode("utf-8", "replace").split("\n")
    words = [re.sub(r"^\w+(: (error|fatal)| error): ", "", line.strip()) for line in lines if line.strip()]
    return visible("; ".join(words), 400) or f"exit code {ran.code}"
