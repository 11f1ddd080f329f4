"""What is wrong, and with whom: real torchrun jobs on three sshd nodes, faults in them, watched at default settings.

One run of each kind, several in one job, as torch takes longest to start; `make acceptance` repeats them one by one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.cgroups import memory_group
from tests.detecting import Ground
from tests.faults.lab import Lab
from tests.sshd import Fleet, shared_fleet
from tests.writing import wait_until

__all__ = ["shared_fleet"]

pytestmark = [pytest.mark.torchrun, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def ground(shared_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Three machines under watch, for all tests of this file."""
    lab = Lab(shared_fleet, tmp_path_factory.mktemp("watched"))
    made = Ground(lab)
    yield made
    made.close()
    lab.release()


def test_one_that_is_held_and_crashes_and_one_that_hangs_and_is_killed(ground: Ground) -> None:
    with ExitStack() as jobs:
        held = jobs.enter_context(ground.job("held", "--emit-every=5 --inject=crash:rank=1@401"))
        hangs = jobs.enter_context(ground.job("hangs", "--emit-every=5 --inject=hang:rank=2@101"))
        held.trains(20)
        os.kill(held.pid(0), signal.SIGSTOP)
        since = time.time()
        hangs.names(2, "job_hang", "rank 2 on n3 never entered the backward pass", hangs.last_at(2))
        held.names(0, "job_hang", "rank 0 on n1 is held by a signal (SIGSTOP) or a debugger", since)
        os.kill(held.pid(0), signal.SIGCONT)

        os.kill(hangs.pid(1), signal.SIGKILL)
        since = time.time()
        hangs.names(1, "died_silently", "killed: its process is gone, without an end record or an error file", since)
        held.trains(400)
        held.names(1, "rank_error", "RuntimeError: injected crash on rank 1 at step 401", held.last_at(1))


def test_a_rank_that_the_kernel_kills_for_want_of_memory(ground: Ground) -> None:
    with memory_group() as group, ground.job("starved", "--emit-every=5", groups={1: group}) as job:
        job.trains(20)
        since = time.time()
        job.starve(1)
        job.names(1, "died_silently", "killed: out of memory", since)


def test_a_healthy_run_that_becomes_slower_and_slower_and_learns_no_more(ground: Ground) -> None:
    """First nobody is slow, then one rank in each phase: each time a slower one, for which the others wait."""
    faults = (
        "--inject=slow-data:rank=2:80ms@151 --inject=slow-forward:rank=0:240ms@251 "
        "--inject=slow-backward:rank=1:600ms@301 --inject=nan:rank=0@321"
    )
    with ground.job("slow", f"--emit-every=5 {faults}") as job:
        job.trains(150)
        assert job.blamed("straggler") == set()
        job.names_slow(2, "data", 151)
        job.names_slow(0, "forward", 251)
        job.names_slow(1, "backward", 301)
        job.names_bad(0, 321)
        wait_until(lambda: job.seen[-1].bad_records(0) == 1)
