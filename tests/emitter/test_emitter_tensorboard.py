"""The TensorBoard writer: real event files, or one warning and a writer that does nothing."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from ugro_emitter import MetricsEmitter

from tests.emitter.support import read_records, run_script


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_scalars_of_a_rank_lie_in_its_own_folder(tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path, 1) as emitter:
        board = emitter.get_tensorboard_writer()
        assert emitter.get_tensorboard_writer() is board
        for step in range(3):
            board.add_scalar("loss", step / 2, step)
    assert scalars(tmp_path / "job" / "tensorboard" / "rank_1", "loss") == [(0, 0.0), (1, 0.5), (2, 1.0)]


def test_a_script_that_never_closes_keeps_its_events(tmp_path: Path) -> None:
    code = """
import sys
from ugro_emitter import MetricsEmitter
emitter = MetricsEmitter("job", sys.argv[1])
emitter.get_tensorboard_writer().add_scalar("loss", 0.5, 1)
"""
    done = run_script(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert scalars(tmp_path / "job" / "tensorboard" / "rank_0", "loss") == [(1, 0.5)]


def test_without_tensorboard_there_is_one_warning_and_a_writer_that_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if it were not installed
    with MetricsEmitter("job", tmp_path) as emitter:
        with pytest.warns(RuntimeWarning, match="no TensorBoard events are written") as caught:
            boards = [emitter.get_tensorboard_writer() for _ in range(3)]
        assert len(caught) == 1
        with boards[0] as board:
            board.add_scalar("loss", 1.0, global_step=1)
            assert board.anything_at_all(1, two=3) is None
            board.close()
    assert not (tmp_path / "job" / "tensorboard").exists()
    assert read_records(tmp_path / "job")[-1]["status"] == "completed"


def test_a_warning_that_is_an_error_does_not_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with MetricsEmitter("job", tmp_path) as emitter, warnings.catch_warnings():
        warnings.simplefilter("error")
        board: Any = emitter.get_tensorboard_writer()
        board.add_scalar("loss", 1.0)


def test_a_folder_that_cannot_be_made_does_not_end_the_training(tmp_path: Path) -> None:
    (tmp_path / "job").write_bytes(b"a file where the folder should be")
    with MetricsEmitter("job", tmp_path) as emitter, pytest.warns(RuntimeWarning, match="no TensorBoard events"):
        emitter.get_tensorboard_writer().add_scalar("loss", 1.0)
