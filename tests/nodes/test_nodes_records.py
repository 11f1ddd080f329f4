"""What the directory of a job tells of its records: whether there are any, and whether a checkpoint is known of."""

from __future__ import annotations

from pathlib import Path

import pytest

from ugro_tui.nodes import helper_records
from ugro_tui.nodes.helper_records import records_in, saved_in

STEP = b'{"v":1,"kind":"step","step":1,"loss":2.0}\n'
MARK = b'{"v":1,"kind":"phase","seq":9,"rank":1,"name":"checkpoint","state":"end"}\n'


def test_a_checkpoint_is_known_of_by_a_mark_or_a_file(tmp_path: Path) -> None:
    assert (records_in(str(tmp_path / "job")), saved_in(str(tmp_path / "job"))) == ([], False)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "metrics.jsonl").write_bytes(STEP * 3)
    assert saved_in(str(tmp_path)) is False
    (tmp_path / "metrics.rank-1.jsonl").write_bytes(STEP + MARK)
    assert len(records_in(str(tmp_path))) == 2
    assert saved_in(str(tmp_path)) is True
    (tmp_path / "metrics.rank-1.jsonl").unlink()
    (tmp_path / "checkpoints" / "step-1.pt").touch()
    assert saved_in(str(tmp_path)) is True


def test_a_mark_is_found_wherever_pieces_are_cut_and_not_looked_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper_records, "PIECE", 32)
    for shift in range(40):
        (tmp_path / "metrics.jsonl").write_bytes(b" " * shift + STEP + MARK)
        assert saved_in(str(tmp_path)) is True
    monkeypatch.setattr(helper_records, "MOST_SEARCHED", 64)
    (tmp_path / "metrics.jsonl").write_bytes(STEP * 9 + MARK)
    assert saved_in(str(tmp_path)) is None
