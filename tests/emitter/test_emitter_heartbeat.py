"""The heartbeat: alive and stepping, alive and not stepping, gone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ugro_emitter import MetricsEmitter
from ugro_emitter.process import boot_id, disk_free, pid_start, resident_bytes
from ugro_emitter.replace import replace_file

from tests.emitter.support import SetClock, wait_until


class Beats:
    """The heartbeat file of a run, as a reader sees it."""

    def __init__(self, tmp_path: Path) -> None:
        self._file = tmp_path / "job" / "heartbeat.rank-0.json"

    def newest(self) -> dict[str, Any]:
        if not self._file.exists():
            return {}
        found = json.loads(self._file.read_bytes())  # never half a file: it is replaced by rename
        assert isinstance(found, dict)
        return found

    def wait_for(self, **fields: object) -> dict[str, Any]:
        wait_until(lambda: fields.items() <= self.newest().items(), f"a heartbeat with {fields}")
        return self.newest()


def test_fields_and_states_of_a_run(tmp_path: Path) -> None:
    clock, beats = SetClock(), Beats(tmp_path)
    emitter = MetricsEmitter("job", tmp_path, heartbeat_interval=0.02, clock=clock)
    clock.advance(7.0)
    first = beats.wait_for(state="starting", step_age=7.0)
    assert set(first) == {
        "v", "ts", "run_id", "pid", "pid_start", "boot_id", "step", "step_age", "state", "phase", "gpu", "rss",
        "disk_free", "dropped", "dropped_values", "errors", "stack_signal",
    }  # fmt: skip
    assert (first["v"], first["run_id"], first["step"], first["gpu"]) == (1, emitter.run_id, None, None)
    emitter.emit_step(41, loss=1.0, odd="text")
    clock.advance(3.5)
    running = beats.wait_for(state="running", step=41, step_age=3.5)
    assert (running["phase"], running["dropped"], running["dropped_values"]) == (None, 0, 1)
    with emitter.phase("eval"):
        beats.wait_for(state="eval", phase="eval")
        with emitter.phase("forward"):
            beats.wait_for(state="eval", phase="forward")
    with emitter.phase("backward"):
        beats.wait_for(state="running", phase="backward")
    emitter.close()
    assert beats.newest()["state"] == "ended"
    assert os.listdir(tmp_path / "job").count("heartbeat.rank-0.json") == 1
    assert not [name for name in os.listdir(tmp_path / "job") if name.endswith(".tmp")]


def test_a_step_between_two_records_counts_as_a_step(tmp_path: Path) -> None:
    beats = Beats(tmp_path)
    with MetricsEmitter("job", tmp_path, emit_every=100, heartbeat_interval=0.02) as emitter:
        emitter.emit_step(7)
        beats.wait_for(step=7)


def test_facts_of_this_process_agree_with_proc() -> None:
    assert pid_start() == int(Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19])
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    rss = resident_bytes()
    assert rss is not None
    assert 5e6 < rss < 1e11


def test_facts_that_are_not_to_be_had_are_null(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ugro_emitter.process._read", lambda _path: "")
    assert (pid_start(), boot_id(), resident_bytes(), disk_free(tmp_path / "absent")) == (None, None, None, None)


def test_a_heartbeat_that_cannot_be_written_is_counted_and_comes_back(tmp_path: Path) -> None:
    blocked = tmp_path / "job"
    blocked.write_bytes(b"a file where the folder should be")
    emitter = MetricsEmitter("job", tmp_path, heartbeat_interval=0.02)
    run = emitter._run
    assert run is not None
    wait_until(lambda: run.losses.errors > 2, "failures are counted")
    blocked.unlink()
    wait_until(lambda: Beats(tmp_path).newest().get("errors", 0) > 2, "the heartbeat tells of them")
    emitter.close()


def test_a_file_that_cannot_be_replaced_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="target"):
        replace_file(tmp_path / "target", b"{}")
    assert os.listdir(tmp_path) == ["target"]


def test_trouble_is_reported_once_in_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        for step in range(100):
            emitter.emit_step(step, loss="text")
    reports = [record.getMessage() for record in caplog.records if record.name == "ugro_emitter"]
    assert len(reports) == 1
    assert "value 'loss' is left out" in reports[0]
