"""Who is slow, in which phase: named in all of many real runs; and nobody in as many healthy ones.

`UGRO_TUI_RUNS` says how many of each kind (20).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.detecting import RANKS, Ground
from tests.faults.lab import Lab
from tests.sshd import Fleet, shared_fleet

__all__ = ["shared_fleet"]

pytestmark = [pytest.mark.torchrun, pytest.mark.acceptance, pytest.mark.timeout(400)]

RUNS = range(int(os.environ.get("UGRO_TUI_RUNS", "20")))
SLOW_AT, HEALTHY_STEPS = 101, 600


@pytest.fixture(scope="module")
def ground(shared_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Three machines under watch, for all tests of this file."""
    lab = Lab(shared_fleet, tmp_path_factory.mktemp("watched"))
    made = Ground(lab)
    yield made
    made.close()
    lab.release()


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("phase", ["data", "forward", "backward"])
def test_the_slow_rank_is_named_with_its_phase_and_no_other_one(ground: Ground, phase: str, run: int) -> None:
    chance = random.Random(f"{phase}-{run}")
    rank, delay = chance.randrange(RANKS), chance.randint(60, 400)
    with ground.job(f"{phase}-{run}", f"--inject=slow-{phase}:rank={rank}:{delay}ms@{SLOW_AT}") as job:
        job.trains(SLOW_AT - 1)
        job.names_slow(rank, phase, SLOW_AT)
        assert job.blamed("straggler") == {rank}


@pytest.mark.parametrize("run", RUNS)
def test_nobody_is_named_in_a_healthy_run(ground: Ground, run: int) -> None:
    with ground.job(f"healthy-{run}", "") as job:
        job.trains(HEALTHY_STEPS)
        job.said(lambda seen: seen.summary.step >= HEALTHY_STEPS)
        assert job.blamed("straggler") == set(), job.told()
