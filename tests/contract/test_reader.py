"""What the emitter wrote, as golden files, read by the watching side: neither shares code with the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ugro_tui.core.columns import Column
from ugro_tui.core.decode import decode
from ugro_tui.core.documents import parse_error, parse_heartbeat
from ugro_tui.core.framing import LineFramer
from ugro_tui.core.job import JobState
from ugro_tui.core.layout import FileKind, classify
from ugro_tui.core.records import Batch, End, PhaseMark, Start, Steps, Tally
from ugro_tui.core.series import Rewind
from ugro_tui.core.snapshot import curve_of, view
from ugro_tui.core.states import JobStatus, RankState

GOLDEN = Path(__file__).parent / "golden" / "golden-job"


def read(state: JobState, path: str, at: float = 0.0) -> None:
    """Give a golden file to `state`, by what its path means, in pieces of 100 bytes."""
    file = classify(path)
    assert file is not None
    content = (GOLDEN / path).read_bytes()
    if file.kind is FileKind.METRICS:
        framer = LineFramer()
        for first in range(0, len(content), 100):
            state.apply(file.rank, decode(framer.feed(content[first : first + 100])), at, "local")
        assert framer.pending == 0
    elif file.kind is FileKind.HEARTBEAT:
        beat = parse_heartbeat(content)
        assert beat is not None
        state.apply_heartbeat(file.rank, beat, at, "local")
    else:
        error = parse_error(content)
        assert error is not None
        state.apply_error(file.rank, error, "local")


@pytest.fixture
def state() -> JobState:
    """A job that all golden files were given to."""
    job = JobState("golden-job")
    for path in sorted(path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.json*")):
        read(job, path)
    return job


def rank_0() -> Batch:
    """Rank 0's records."""
    return decode((GOLDEN / "metrics.jsonl").read_bytes())


def test_every_golden_file_means_something() -> None:
    paths = [path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*") if path.is_file()]
    assert len(paths) >= 5
    assert [path for path in paths if classify(path) is None] == []


def test_the_line_that_a_kill_cut_off_is_the_only_one_skipped() -> None:
    batch = rank_0()
    lines = (GOLDEN / "metrics.jsonl").read_text().splitlines()
    assert batch.tally == Tally(lines=len(lines), skipped=1)


def test_records_come_in_order() -> None:
    kinds = [type(item) for item in rank_0().items]
    assert kinds[:4] == [Start, Steps, Start, Steps]
    assert kinds.count(PhaseMark) == 4
    assert kinds[-1] is End


def test_the_starts_say_who_writes() -> None:
    first, second = (item for item in rank_0().items if isinstance(item, Start))
    assert (first.run_id, second.run_id) == ("0" * 31 + "1", "0" * 31 + "2")
    assert (first.attempt, second.attempt, second.world_size, second.host) == (1, 2, 2, "node-1")
    assert (first.gpu_name, second.gpu_name) == ("", "NVIDIA H100")
    assert (second.total_steps, second.emit_every, second.pid, second.seq) == (100, 10, 4242, 0)


def test_the_steps_keep_their_numbers() -> None:
    first = next(item for item in rank_0().items if isinstance(item, Steps))
    assert first.metrics == {"accuracy": 0.5}
    assert first.rows[:, Column.STEP].tolist() == [0, 10, 20]
    row = first.rows[1]
    assert row[[Column.LOSS, Column.LR, Column.GRAD_NORM]].tolist() == [2.5, 0.001, 1.25]
    assert row[[Column.THROUGHPUT, Column.STEP_TIME, Column.TOKENS]].tolist() == [16_384, 0.25, 45_056]
    assert row[[Column.DATA, Column.FORWARD, Column.BACKWARD, Column.OPTIMIZER]].tolist() == [
        0.03125,
        0.0625,
        0.125,
        0.03125,
    ]
    assert np.isnan(row[[Column.SYNC_WAIT, Column.GPU_UTIL]]).all()
    assert np.isnan(first.rows[0, Column.STEP_TIME])


def test_a_loss_that_is_not_a_number_survives(state: JobState) -> None:
    rows = state.table.by_rank[0].series.rows
    bad = rows[rows[:, Column.BAD] > 0]
    assert bad[:, Column.STEP].tolist() == [33, 50]
    np.testing.assert_equal(bad[:, Column.LOSS].tolist(), [np.nan, np.inf])
    assert bad[1, Column.GRAD_NORM] == -np.inf
    assert curve_of(state).bad == ((0, 33.0), (0, 50.0))


def test_the_second_attempt_rewinds_to_its_first_step(state: JobState) -> None:
    rank = state.table.by_rank[0]
    assert rank.series.rewinds == [Rewind(20.0, 1)]
    assert rank.series.column(Column.LOSS)[:3].tolist() == [3.0, 2.5, 1.5]
    assert rank.lost == 0


def test_the_gpu_is_read(state: JobState) -> None:
    latest = state.table.latest[state.table.by_rank[0].row]
    values = latest[[Column.GPU_UTIL, Column.GPU_MEM_USED, Column.GPU_MEM_TOTAL, Column.GPU_TEMP, Column.GPU_POWER]]
    assert values.tolist() == [97, 64_000_000_000, 85_899_345_920, 61, 650.5]


def test_the_heartbeats_are_read() -> None:
    beat = parse_heartbeat((GOLDEN / "heartbeat.rank-0.json").read_bytes())
    assert beat is not None
    assert (beat.step, beat.step_age, beat.state, beat.phase, beat.dropped) == (50, 0.0, "ended", "", 0)
    assert (beat.rss, beat.disk_free, beat.gpu["temp"]) == (2e9, 5e11, 61)


def test_the_rank_that_failed_is_known_by_its_record_and_by_its_error_file(state: JobState) -> None:
    rank = state.table.by_rank[1]
    assert rank.end is not None
    assert rank.error is not None
    assert rank.end.error_message == "CUDA error: ␛[31mdevice-side assert␛[0m [red]ä[/red]"
    assert rank.error.message == f"RuntimeError: {rank.end.error_message}"
    assert rank.error.ts == 1_700_000_003
    assert rank.error.traceback.startswith("Traceback (most recent call last):\n")


def test_the_job_ends_with_its_second_attempt(state: JobState) -> None:
    picture = view(state, 100.0, curve_of(state))
    assert (state.attempt, picture.summary.status) == (2, JobStatus.FINISHED)
    assert [RankState(int(code)) for code in picture.ranks.state] == [RankState.FINISHED, RankState.UNKNOWN]
    assert picture.phase == ""
