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

from tests import cgroups
from tests.cgroups import memory_group
from tests.detecting import Ground
from tests.faults.lab import Lab
from tests.sshd import Fleet, shared_fleet

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


def test_one_that_is_held_and_killed_and_one_that_hangs_and_is_starved(ground: Ground) -> None:
    with ExitStack() as open_:
        group = open_.enter_context(memory_group())
        held = open_.enter_context(ground.job("held", "--emit-every=5"))
        hangs = open_.enter_context(ground.job("hangs", "--emit-every=5 --inject=hang:rank=2@101", groups={1: group}))
        held.trains(20)
        since = time.time()
        os.kill(held.pid(0), signal.SIGSTOP)
        hangs.trains(100)
        hangs.names(2, "job_hang", "rank 2 on n3 never entered the backward pass", hangs.last_at(2))
        held.names(0, "job_hang", "rank 0 on n1 is held by a signal (SIGSTOP) or a debugger", since)

        since = time.time()
        os.kill(held.pid(0), signal.SIGKILL)
        if group is not None:
            hangs.starve(1)
        held.names(0, "died_silently", "killed: its process is gone, without an end record or an error file", since)
        if group is None:
            pytest.skip(f"all but the OOM kill was tested: {cgroups.NONE}")
        hangs.names(1, "died_silently", "killed: out of memory", since)


def test_a_healthy_run_that_becomes_slower_and_slower_learns_no_more_and_crashes(ground: Ground) -> None:
    """First nobody is slow, then one rank in each phase: each time a slower one, for which the others wait."""
    faults = ("slow-data:rank=2:80ms@101", "slow-forward:rank=0:240ms@221", "slow-backward:rank=1:450ms@276",
              "nan:rank=0@311", "crash:rank=2@323")  # fmt: skip
    with ground.job("slow", f"--emit-every=5 {' '.join(f'--inject={fault}' for fault in faults)}") as job:
        job.trains(100)
        job.names_slow(2, "data", 101)
        assert not [one for one in job.seen if one.alert("straggler") and one.at < job.made_at(101)]
        job.names_slow(0, "forward", 221)
        job.names_slow(1, "backward", 276)
        job.names_bad(0, 311)
        job.trains(320)
        job.names(2, "rank_error", "RuntimeError: injected crash on rank 2 at step 323", job.last_at(2))
