"""How often slurmctld is asked, whatever the number of jobs and nodes; what is made of its silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.writing import Clock
from ugro_tui.act import slurm_standing
from ugro_tui.act.clerk import Manifest
from ugro_tui.act.scheduler import BUSY, QUEUE_SECONDS, Scheduler, SlurmError
from ugro_tui.core.slurm import SlurmJob
from ugro_tui.core.states import JobStatus
from ugro_tui.nodes.base import Ran

QUEUE = "2026-11-26T05:23:15\n" + "".join(f"{n}|PENDING|Priority|gpu||N/A\n" for n in range(1, 101))
SHOWN = b"JobId=7 JobName=x\n   JobState=FAILED Reason=NonZeroExitCode\n   ExitCode=3:0\n"


class Login:
    """Stands for a login node: `took` seconds for each squeue, which says `queue`; None: slurmctld is away."""

    name = "login"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[str] = []
        self.queue: str | None = QUEUE
        self.took = 0.0

    def run(self, argv: Sequence[str], *_: Any) -> Ran:
        if argv[0] != "sh":
            self.asked.append(argv[0])
            return Ran(0, SHOWN, b"")
        self.asked.append("squeue")
        self.clock.now += self.took
        if self.queue is None:
            return Ran(1, b"", b"slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n")
        return Ran(0, self.queue.encode(), b"")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def login(clock: Clock) -> Login:
    return Login(clock)


def test_one_squeue_tells_of_all_jobs_for_a_while(login: Login, clock: Clock) -> None:
    scheduler = Scheduler(login, clock)  # type: ignore[arg-type]
    for _ in range(3):
        for number in range(1, 101):
            job = scheduler.look(str(number))
            assert job is not None
            assert (job.status, scheduler.place(job)) == (JobStatus.PENDING, number)
    assert login.asked == ["squeue"]
    clock.now += QUEUE_SECONDS
    scheduler.look("1")
    scheduler.look("1", 0.0)  # what is stopped is asked for now
    assert login.asked == ["squeue"] * 3


def test_a_busy_slurmctld_is_asked_less_often(login: Login, clock: Clock) -> None:
    scheduler, login.took = Scheduler(login, clock), 3.0  # type: ignore[arg-type]
    for _ in range(1000):
        scheduler.look("1")
        clock.now += 0.3
    assert len(login.asked) == pytest.approx(300 / (BUSY * 3), abs=1)


def test_a_job_that_is_in_no_queue_is_asked_for_by_itself(login: Login, clock: Clock) -> None:
    login.queue = "2026-11-26T05:23:15\n"
    job = Scheduler(login, clock).look("7")  # type: ignore[arg-type]
    assert job is not None
    assert (job.state, job.exit_code, login.asked) == ("FAILED", 3, ["squeue", "scontrol"])


def test_the_silence_of_slurmctld_is_no_answer_and_is_not_asked_for_in_a_row(login: Login, clock: Clock) -> None:
    scheduler, login.took = Scheduler(login, clock), 9.0  # type: ignore[arg-type]
    scheduler.look("1")
    login.queue = None
    clock.now += 100
    for _ in range(50):
        with pytest.raises(SlurmError, match=r"^login: squeue does not answer: Unable .* slurmctld up"):
            scheduler.look("1")
    assert login.asked == ["squeue"] * 2
    login.queue = QUEUE
    clock.now += QUEUE_SECONDS
    assert scheduler.look("1") is not None


def test_all_nodes_of_a_large_job_are_told() -> None:
    job = SlurmJob("7", "FAILED", nodes="rack[01-04]n[001-127],login[1-4]", exit_code=3)
    nodes = slurm_standing.told(Manifest(), job, None).nodes
    assert (len(nodes), nodes[0].node, nodes[-1].node) == (512, "rack01n001", "login4")
    assert [node.exit_code for node in nodes] == [3] + [None] * 511
