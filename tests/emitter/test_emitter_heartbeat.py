"""The heartbeat: alive and stepping, alive and not stepping, gone."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ugro_emitter import MetricsEmitter
from ugro_emitter.cgroup import memory_cgroup, oom_kills
from ugro_emitter.process import boot_id, disk_space, memory_total, pid_namespace, pid_start, resident_bytes
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
        "v", "ts", "run_id", "pid", "pid_start", "boot_id", "pid_ns", "step", "step_age", "state", "phase", "gpu",
        "rss", "mem_total", "cgroup", "oom_kills", "disk_free", "disk_total", "dropped", "dropped_values", "errors",
        "stack_signal",
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
    assert os.readlink("/proc/self/ns/pid") == f"pid:[{pid_namespace()}]"
    rss, total = resident_bytes(), memory_total()
    assert rss is not None
    assert total is not None
    assert 5e6 < rss < total < 1e15
    told = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())
    assert told
    assert abs(total - 1024 * int(told.group(1))) < 0.01 * total


def test_facts_that_are_not_to_be_had_are_null(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ugro_emitter.process.read_text", lambda _path: "")
    assert (pid_start(), boot_id(), resident_bytes()) == (None, None, None)
    assert disk_space(tmp_path / "absent") == (None, None)
    monkeypatch.setattr("os.stat", mock.Mock(side_effect=FileNotFoundError))
    monkeypatch.setattr("os.sysconf", mock.Mock(side_effect=ValueError))
    assert (pid_namespace(), memory_total()) == (None, None)


def test_the_disk_is_told_in_one_breath(tmp_path: Path) -> None:
    free, total = disk_space(tmp_path)
    assert free is not None
    assert total is not None
    assert 0 < free < total
    assert abs(total - shutil.disk_usage(tmp_path).total) < 1


CGROUPS = {
    "v1": (
        {"/proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/slurm/job_1\n0::/user.slice",
         "/sys/fs/cgroup/memory/slurm/job_1/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3"},
        ("/slurm/job_1", 3),
    ),
    "v1 before Linux 4.13": (
        {"/proc/self/cgroup": "4:memory:/a", "/sys/fs/cgroup/memory/a/memory.oom_control": "under_oom 0"}, (None, None)
    ),
    "v2": (
        {"/proc/self/cgroup": "0::/user.slice/a:b.scope",
         "/sys/fs/cgroup/user.slice/a:b.scope/memory.events": "low 0\noom 1\noom_kill 12\noom_group_kill 7"},
        ("/user.slice/a:b.scope", 12),
    ),
    "v2 in a container": (
        {"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/memory.events": "oom_kill 0"}, ("/", 0)
    ),
    "a container that is called by its full path": (
        {"/proc/self/cgroup": "4:memory:/docker/f00", "/sys/fs/cgroup/memory/memory.oom_control": "oom_kill 1"},
        ("/", 1),
    ),
    "the root of v2, which does not count": ({"/proc/self/cgroup": "0::/"}, (None, None)),
    "no cgroups": ({}, (None, None)),
    "odd lines": ({"/proc/self/cgroup": "odd\n\n::"}, (None, None)),
}  # fmt: skip


@pytest.mark.parametrize("case", CGROUPS)
def test_the_memory_cgroup_and_its_oom_kills(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files, expected = CGROUPS[case]
    monkeypatch.setattr("ugro_emitter.cgroup.read_text", lambda path: files.get(path, ""))
    assert (memory_cgroup(), oom_kills(memory_cgroup())) == expected


def test_the_cgroup_of_this_process_is_one_of_its_own() -> None:
    found = memory_cgroup()
    if found is None:
        pytest.skip("this process is in no memory cgroup that counts OOM kills")
    assert found == "/" or f":{found}\n" in Path("/proc/self/cgroup").read_text()
    assert oom_kills(found) is not None


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
