"""The phases of ranks against what is usual for them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ui.alert_scenes import SLOW, straggler
from tests.ui.scenes import Run, job, snapshot
from ugro_tui.core.columns import PHASE_FIELDS, Column
from ugro_tui.core.numbers import phase_time
from ugro_tui.core.phase_heat import phase_heat


def test_a_slow_rank_is_named_with_its_phase_and_the_usual_time() -> None:
    heat = phase_heat(straggler().jobs[0].ranks, 40)
    assert heat.phases == PHASE_FIELDS
    assert heat.groups == tuple((rank, rank) for rank in range(16))
    assert heat.worst == "rank 11 data 412 ms, median 4 ms"
    assert heat.times.argmax() == SLOW * len(PHASE_FIELDS)
    waiting = heat.times[:, PHASE_FIELDS.index("sync_wait")]
    assert waiting[SLOW] == pytest.approx(0.018 / 0.424)
    assert set(np.delete(waiting, SLOW)) == {1.0}


def test_who_waits_longest_is_held_up_by_others_and_does_not_glow() -> None:
    ranks = snapshot(job(Run(ranks=4))).jobs[0].ranks
    ranks.latest[:, Column.SYNC_WAIT] = [0.02, 0.02, 0.09, 0.001]
    heat = phase_heat(ranks, 10)
    waiting = heat.times[:, PHASE_FIELDS.index("sync_wait")]
    assert waiting.tolist() == pytest.approx([1.0, 1.0, 1.0, 0.05])
    assert heat.worst == "no phase of a rank stands out"


@pytest.mark.parametrize(("lines", "groups"), [(5, ((0, 3), (4, 7), (8, 11), (12, 15))), (1, ((0, 15),))])
def test_many_ranks_share_lines_and_each_line_shows_its_slowest(
    lines: int, groups: tuple[tuple[int, int], ...]
) -> None:
    heat = phase_heat(straggler().jobs[0].ranks, lines)
    assert heat.groups == groups
    assert heat.seconds[:, 0].max() == pytest.approx(0.412)
    assert heat.worst == "rank 11 data 412 ms, median 4 ms"


def test_a_short_phase_does_not_glow_with_its_noise() -> None:
    ranks = snapshot(job(Run(ranks=4))).jobs[0].ranks
    ranks.latest[:, Column.DATA] = [1e-5, 2e-5, 1e-5, 9e-5]
    heat = phase_heat(ranks, 10)
    assert heat.times[:, 0].max() < 0.1


def test_less_than_a_millisecond_is_not_told_as_nothing() -> None:
    ranks = snapshot(job(Run(ranks=4))).jobs[0].ranks
    ranks.latest[:, Column.DATA : Column.OPTIMIZER + 1] = 0.0001
    ranks.latest[2, Column.DATA] = 0.00035
    assert phase_heat(ranks, 10).worst == "rank 2 data 0.35 ms, median 0.10 ms"


def test_of_few_ranks_the_median_is_that_of_the_others_as_in_a_verdict() -> None:
    ranks = snapshot(job(Run(ranks=2))).jobs[0].ranks
    ranks.latest[:, Column.DATA] = [0.0002, 0.081]
    assert phase_heat(ranks, 10).worst == "rank 1 data 81 ms, median 0.20 ms"
    ranks.latest[0, Column.DATA] = np.nan
    assert phase_heat(ranks, 10).times[1, 0] == 1.0, "nobody else tells it"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.3, "12.3 s"), (0.412, "412 ms"), (0.00019, "0.19 ms"), (2e-6, "<10 µs"), (0, "0 ms"), (np.nan, "–")],
)
def test_a_phase_that_takes_a_while_is_not_told_as_nothing(seconds: float, text: str) -> None:
    assert phase_time(seconds) == text


def test_what_is_not_known_is_left_out() -> None:
    ranks = snapshot(job(Run(ranks=3))).jobs[0].ranks
    ranks.latest[:, Column.FORWARD] = np.nan
    ranks.latest[1, Column.DATA] = np.inf
    heat = phase_heat(ranks, 10)
    assert heat.phases == ("data", "backward", "sync_wait", "optimizer")
    assert np.isnan(heat.seconds[1, 0])
    ranks.latest[:] = np.nan
    assert phase_heat(ranks, 10).phases == ()
    assert phase_heat(snapshot(job(Run(ranks=0))).jobs[0].ranks, 10).groups == ()
