"""What is known of one rank: who it is, why it is in its state, and how it stands beside the others."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from tests.core.record_lines import START_TS, end, heartbeat, job, manifest, more, start, step, steps
from ugro_tui.core.beside import outstanding
from ugro_tui.core.columns import Column
from ugro_tui.core.curve import EMPTY
from ugro_tui.core.documents import parse_error
from ugro_tui.core.job import Away, JobState
from ugro_tui.core.phase_heat import phase_heat
from ugro_tui.core.rank_facts import rank_view
from ugro_tui.core.rank_fields import rank_values
from ugro_tui.core.rank_view import RankView
from ugro_tui.core.rank_words import facts, number_rows, phase_rows, starts_lines
from ugro_tui.core.snapshot import view as snapshot_view
from ugro_tui.core.summary import summarise
from ugro_tui.plain import live_dict

PHASES = {"data": 0.004, "forward": 0.1, "backward": 0.2, "sync_wait": 0.05, "optimizer": 0.01}
SLOW = PHASES | {"data": 0.412, "sync_wait": 0.001}
GPU = {"index": 3, "uuid": "GPU-abc", "name": "H100", "memory_total": 1}


def told(state: JobState, number: int, now: float = 1.0) -> RankView:
    found = rank_view(state, number, now, summarise(state, now), {"local": 0.5})
    assert found is not None
    return found


def four(**odd: Any) -> JobState:
    """Four ranks of which rank 2 loads its data slowly."""
    ranks = [
        start(world_size=4, pid=70 + rank, local_rank=rank, gpu=GPU, run_id=f"r{rank}")
        + steps(1, 20, loss=float(rank), step_time=0.4, phases=SLOW if rank == 2 else PHASES, **odd)
        for rank in range(4)
    ]
    return job(*ranks)


def test_a_rank_that_runs() -> None:
    state = four(metrics={"acc": 0.5})
    state.apply_heartbeat(2, heartbeat(pid=72, phase="data", rss=2 << 30, mem_total=4 << 30), 0.6, "local")
    view = told(state, 2)
    assert (view.state, view.why, view.seen) == ("running", "its last step was 0.4s ago", True)
    who = view.identity
    assert (who.node, who.pid, who.run_id, who.attempt, who.local_rank) == ("node-a", 72, "r2", 1, 2)
    assert (who.gpu_name, who.gpu_index, who.gpu_uuid) == ("H100", 3, "GPU-abc")
    assert [view.ages.step, view.ages.write, view.ages.poll] == pytest.approx([0.4, 0.4, 0.5])
    assert (view.counts.records, view.counts.lost, view.metrics) == (20, 0, {"acc": 0.5})
    assert dict(facts(view))["freshness"] == "step 0.4s, write 0.4s, node heard 0.5s ago"
    assert dict(facts(view))["memory"] == "2.0G of 4.0G"
    assert "disk" not in dict(facts(view))  # its heartbeat does not tell


def test_its_phases_stand_beside_those_of_the_others() -> None:
    view = told(four(), 2)
    assert view.stands_out == "data 412 ms, others 4.00 ms: 103 times as long"
    rows = {row.title: row for row in phase_rows(view)}
    assert rows["data"][1:] == ("412 ms", "4.00 ms", "4.00 ms (rank 0)")
    assert rows["sync_wait"][1:] == ("1.00 ms", "50.0 ms", "1.00 ms (rank 2)")
    assert rows["rest of the step"].median == "36.0 ms"  # 400 less 4, 100, 200, 50 and 10
    assert {row.title: row[1:3] for row in number_rows(view)}["loss"] == ("2.000", "1.000")  # of 0, 1 and 3
    assert told(four(), 1).stands_out == ""  # it waits as the others do


def test_the_phases_of_a_rank_are_the_same_on_every_screen_and_for_every_command() -> None:
    """One record is noise: the mean of those that stragglers are judged by is told everywhere."""
    waits = [0.1, 0.2, 0.3, 0.4, 0.5, 0.9]
    own = b"".join(
        steps(at, at, step_time=1 + wait, phases={"sync_wait": wait}) for at, wait in enumerate(waits, start=1)
    )
    state = job(start(world_size=2) + own, start(world_size=2) + steps(1, 6))
    mean = sum(waits[1:]) / 5
    beside = {one.name: one.own for one in told(state, 0).phases}
    assert (beside["sync_wait"], beside["step"]) == pytest.approx((mean, 1 + mean))
    picture = snapshot_view(state, 1.0, EMPTY)
    for column in (Column.SYNC_WAIT, Column.STEP_TIME):
        assert math.isnan(picture.ranks.column(column)[1]), "a rank that times nothing is not known"
    assert rank_values(picture.ranks, "wait")[0] == pytest.approx(mean)
    assert rank_values(picture.ranks, "time")[0] == pytest.approx(1 + mean)
    assert phase_heat(picture.ranks, 9).seconds[0].tolist() == pytest.approx([mean])
    assert live_dict(picture)["ranks"]["0"]["sync_wait"] == pytest.approx(mean)


def test_what_costs_next_to_nothing_does_not_stand_out() -> None:
    data, *others = told(four(), 2).phases
    assert outstanding((replace(data, own=0.02, median=0.001), *others)) is None  # 20 times, but 5 % of nothing
    assert outstanding((data, *others)) == data


def test_alone_there_is_no_median() -> None:
    view = told(job(start() + steps(1, 9, phases=PHASES, step_time=0.4)), 0)
    assert {row.median for row in phase_rows(view)} == {"–"}
    assert view.stands_out == ""


def test_a_loss_that_is_no_number_is_told_and_not_left_out() -> None:
    view = told(job(start() + steps(1, 9) + step(10, loss="NaN")), 0)
    assert [row[:3] for row in number_rows(view) if row.title == "loss"] == [("loss", "NaN", "–")]


def test_a_rank_that_has_written_nothing_yet() -> None:
    view = told(job(start(world_size=8) + steps(1, 3)), 7)
    assert (view.state, view.seen) == ("unknown", False)
    assert view.why == "it has written nothing yet; it is expected, because the world size is 8"
    assert math.isnan(view.ages.step)


@pytest.mark.parametrize("number", [-1, 8, 10**9])
def test_there_is_no_such_rank(number: int) -> None:
    state = job(start(world_size=8) + steps(1, 3))
    assert rank_view(state, number, 1.0, summarise(state, 1.0), {}) is None


def test_a_rank_that_died_says_of_what() -> None:
    state = four()
    more(state, 1, end("failed", error={"type": "OutOfMemoryError", "message": "2.5 GiB"}, dropped=3), 0.5)
    document = {"message": {"message": "boom", "extraInfo": {"py_callstack": "a\nb", "timestamp": str(int(START_TS))}}}
    error = parse_error(json.dumps(document).encode())
    assert error is not None
    state.apply_error(1, error, "local")
    view = told(state, 1)
    assert (view.state, view.why) == ("dead", "OutOfMemoryError: 2.5 GiB")
    assert view.error is not None
    assert (view.error.message, view.error.traceback) == ("boom", "a\nb")
    assert [alert.rank for alert in view.alerts] == [1]
    assert view.counts.dropped == 3
    assert starts_lines(view)[0].endswith(": failed: OutOfMemoryError")
    assert [alert.rank for alert in told(state, 0).alerts] == []


def test_each_start_says_how_its_process_ended() -> None:
    state = job(start() + steps(1, 9) + end("failed", error={"type": "Boom", "message": ""}))
    more(state, 0, start(START_TS + 100, attempt=2, run_id="s") + steps(5, 20), 1.0)
    more(state, 0, start(START_TS + 200, attempt=3, run_id="t") + steps(15, 30), 2.0)
    view = told(state, 0, 2.0)
    assert [(begun.step, begun.ended) for begun in view.starts[1:]] == [(9.0, "without a word"), (20.0, "")]
    assert math.isnan(view.starts[0].step)
    assert view.starts[0].ended == "failed: Boom"
    assert starts_lines(view)[0] == "1970-01-12 13:50:00 UTC after step 20: goes on"


def test_only_so_many_starts_are_remembered() -> None:
    state = job()
    for attempt in range(1, 40):
        more(state, 0, start(START_TS + attempt, attempt=attempt, run_id=str(attempt)), 1.0)
    assert len(told(state, 0).starts) == 16


def test_why_a_rank_is_in_its_state() -> None:
    state = four()
    more(state, 0, end(), 0.5)
    assert told(state, 0).why == "it said that it has completed"
    assert told(state, 3, now=40.0).state == "stalled"
    assert told(state, 3, now=40.0).why.startswith("no step for 40s (limit 15s)")
    state.away = {"local": Away(5.0, "node gpu1: connection refused", sure=True, next_step="")}
    assert told(state, 3).state == "unreachable"
    assert told(state, 3).why == "node gpu1: connection refused; what is shown is what it told before"
    state.away = {}
    more(state, 3, start(START_TS + 50, attempt=2, run_id="again", world_size=4), 1.0)
    assert told(state, 2).why == "it has not joined attempt 2: what is shown is of attempt 1"
    assert told(state, 3).why == "started 0.0s ago, no step yet"
    manifest(state, "finished", attempt=2)
    assert told(state, 3).why == "its launcher says that the job is over"
