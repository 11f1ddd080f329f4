"""A run told again from its records: what fired, when by the run's own clock, and when it was over."""

from __future__ import annotations

import math
import random

import pytest

from tests.core.record_lines import START_TS, end, line, start, step
from ugro_tui.core.decode import decode
from ugro_tui.core.records import Batch
from ugro_tui.core.replay import Told, replay
from ugro_tui.core.rules.catalogue import DEFAULTS

RANKS, LAST = 4, 400
SLOW, SLOW_STEPS = 1, range(100, 200)
BAD_STEPS = range(250, 253)
HANG = 300


def lines(rank: int, *, ts: bool = True) -> bytes:
    """A rank of a run that has a straggler, a NaN and a pause of a minute, and that fails at its end."""
    found, now = [start(world_size=RANKS, run_id=f"r{rank}")], START_TS
    for number in range(1, LAST + 1):
        now += 60.0 if number == HANG else 1.0
        slow = number in SLOW_STEPS
        waits = 0.39 if slow and rank != SLOW else 0.01
        phases = {"data": 0.4 if slow and rank == SLOW else 0.01, "forward": 0.05, "backward": 0.05, "sync_wait": waits}
        fields = {"loss": "NaN" if number in BAD_STEPS else 2.0, "step_time": 0.52 if slow else 0.15, "phases": phases}
        found.append(step(number, ts=now if ts else math.nan, seq=number, **fields))
    error = {"type": "RuntimeError", "message": "boom"} if rank == 2 else None
    found.append(end("failed" if error else "completed", ts=now + 1, seq=LAST + 1, error=error))
    return b"".join(found)


def told(*ranks: bytes) -> list[Told]:
    """As the files of these ranks are read."""
    return [Told(number, "node-a", [decode(content)]) for number, content in enumerate(ranks)]


def test_the_history_of_a_run_in_its_own_time() -> None:
    past = replay(told(*map(lines, range(RANKS))))
    rules = [(one.alert.rule, one.alert.rank) for one in past]
    assert rules == [
        ("straggler", SLOW),
        ("non_finite_loss", 0),
        ("loss_recovered", 0),
        ("job_hang", None),
        ("rank_error", 2),
    ]
    straggler, bad, hang, error = past[0], past[1], past[3], past[4]
    assert SLOW_STEPS[0] <= straggler.fired - START_TS <= SLOW_STEPS[0] + 10
    assert SLOW_STEPS[-1] <= straggler.resolved - START_TS <= SLOW_STEPS[-1] + 10
    assert straggler.alert.what.startswith("data 400 ms against a median of 10 ms")
    assert BAD_STEPS[0] <= bad.fired - START_TS <= BAD_STEPS[0] + 5
    assert bad.resolved - START_TS == pytest.approx(BAD_STEPS[-1] + 10, abs=5)
    assert hang.fired - START_TS == pytest.approx(HANG - 1, abs=1)
    assert hang.resolved - START_TS == pytest.approx(HANG + 60, abs=5)
    assert (error.alert.what, math.isnan(error.resolved)) == ("RuntimeError: boom", True)


def test_a_nan_just_before_a_good_end_is_over_in_the_history_as_on_the_screen() -> None:
    fields = [2.0] * 20 + ["NaN"] + [2.0] * 3
    rows = [step(number, START_TS + number, loss=loss) for number, loss in enumerate(fields, 1)]
    bad, recovered = replay(told(b"".join([start(world_size=1), *rows, end(ts=START_TS + 25)])))
    assert (bad.alert.rule, bad.resolved - START_TS) == ("non_finite_loss", 25)
    assert (recovered.alert.rule, math.isnan(recovered.resolved)) == ("loss_recovered", True)


def test_a_history_does_not_depend_on_how_its_records_were_cut_and_read() -> None:
    whole = told(*map(lines, range(RANKS)))
    cut = [Told(one.rank, one.node, _pieces(lines(one.rank))) for one in reversed(whole)]
    assert [(one.alert.subject, one.fired) for one in replay(cut)] == [
        (one.alert.subject, one.fired) for one in replay(whole)
    ]


def _pieces(content: bytes) -> list[Batch]:
    every = content.splitlines(keepends=True)
    return [decode(b"".join(every[first : first + 37])) for first in range(0, len(every), 37)]


def test_records_without_times_are_judged_by_what_needs_none() -> None:
    rules = {one.alert.rule for one in replay(told(*(lines(rank, ts=False) for rank in range(RANKS))))}
    assert rules == {"straggler", "non_finite_loss", "loss_recovered", "rank_error"}


def test_one_spike_of_a_noisy_run_is_one_alert() -> None:
    noise = random.Random(7)
    losses = [2.3 + noise.gauss(0, 0.04) for _ in range(1_000)]
    losses[600:612] = [2.9, 3.6, 4.4, 4.1, 3.7, 3.3, 3.0, 2.8, 2.6, 2.5, 2.4, 2.35]
    content = start() + b"".join(step(number, seq=number, loss=loss) for number, loss in enumerate(losses, 1))
    (spike,) = replay(told(content))
    assert spike.alert.rule == "loss_spike"
    assert 600 <= spike.fired - START_TS <= 603
    assert spike.resolved - START_TS == pytest.approx(635, abs=10)


def test_numbers_that_were_set_hold_for_the_history_too() -> None:
    past = replay(told(*map(lines, range(RANKS))), DEFAULTS.having("straggler.enabled", 0))
    assert "straggler" not in {one.alert.rule for one in past}


def test_long_runs_are_told_in_larger_pieces_and_lose_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ugro_tui.core.replay.MOST_PIECES", 16)
    rules = {one.alert.rule for one in replay(told(*map(lines, range(RANKS))))}
    assert {"non_finite_loss", "rank_error"} <= rules


def test_nothing_is_told_of_nothing_and_of_damage() -> None:
    assert replay([]) == ()
    assert replay(told(b"")) == ()
    (lost,) = replay(told(start() + b"{half\n" + line("odd") + step(1)))
    assert lost.alert.rule == "lines_skipped"
