"""Whose stacks are taken, and that nobody else is ever signalled: on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.act.diagnosing import alive, beat_of, hanging
from ugro_tui.core.stacks import main_thread, parse_stacks
from ugro_tui.nodes.helper_files import Folders
from ugro_tui.nodes.helper_proc import boot_id, state_of
from ugro_tui.nodes.helper_stacks import Process, Refused, by_pyspy, by_signal, stacks

# Opens a file (or none), and handles SIGUSR2 (or not): what an innocent process may look like.
INNOCENT = """
import signal, sys, time
file = open(sys.argv[1], "ab") if sys.argv[1] else None
if sys.argv[2] == "handles":
    signal.signal(signal.SIGUSR2, lambda *_: None)
print("ready", flush=True)
time.sleep(600)
"""


@contextmanager
def innocent(file: Path | str = "", handles: str = "") -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", INNOCENT, str(file), handles], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def beat(pid: int, **changed: Any) -> dict[str, Any]:
    found = {"pid": pid, "pid_start": state_of(pid)[1], "boot_id": boot_id(), "stack_signal": int(signal.SIGUSR2)}
    return {**found, **changed}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The stacks file of rank 0."""
    path = tmp_path / "job" / "stacks" / "rank_0.txt"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_a_rank_that_hangs_in_c_tells_its_stacks(tmp_path: Path) -> None:
    with hanging(tmp_path) as pid:
        process = Process(beat_of(tmp_path))
        for _ in range(2):  # each time what is new
            text = by_signal(process, Folders(str(tmp_path)), "job", 0)
            main = main_thread(parse_stacks(text))
            assert main is not None
            assert [frame.function for frame in main.frames] == ["all_reduce", "<module>"]
        assert alive(pid)


def test_a_number_that_is_used_again_is_not_the_rank() -> None:
    with innocent() as pid:
        with pytest.raises(Refused, match=r"no process \d+ that began when the rank did"):
            Process(beat(pid, pid_start=state_of(pid)[1] - 1))
        with pytest.raises(Refused, match="not on this machine"):
            Process(beat(pid, boot_id="another"))
        for lacking in ({"pid": None}, {"pid": -1}, {"pid": True}, {"pid_start": None}, {"boot_id": None}):
            with pytest.raises(Refused, match="does not tell which"):
                Process({**beat(pid), **lacking})
        assert alive(pid)


def test_who_does_not_hold_the_ranks_file_is_not_signalled(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "job" / "stacks" / "rank_1.txt"
    with innocent(other, "handles") as pid:
        with pytest.raises(Refused, match="does not hold the rank's stacks file open"):
            by_signal(Process(beat(pid)), Folders(str(tmp_path)), "job", 0)
        assert file.exists()
        assert alive(pid)


def test_who_would_be_ended_by_the_signal_is_not_signalled(tmp_path: Path, file: Path) -> None:
    with innocent(file) as pid:
        with pytest.raises(Refused, match="does not handle signal"):
            by_signal(Process(beat(pid)), Folders(str(tmp_path)), "job", 0)
        assert alive(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, 0, -1, True, "12", 12.0])
def test_no_other_signal_is_sent_whatever_the_heartbeat_says(number: Any, tmp_path: Path, file: Path) -> None:
    with innocent(file, "handles") as pid:
        with pytest.raises(Refused, match="is not a signal that is sent"):
            by_signal(Process(beat(pid, stack_signal=number)), Folders(str(tmp_path)), "job", 0)
        assert alive(pid)
        assert state_of(pid)[0] in "SR"  # not stopped


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path, file: Path) -> None:
    real = tmp_path / "elsewhere"
    file.unlink()
    file.symlink_to(real)
    with innocent(real, "handles") as pid:
        with pytest.raises(Refused, match="cannot be read"):
            by_signal(Process(beat(pid)), Folders(str(tmp_path)), "job", 0)
        assert alive(pid)


def test_who_ends_meanwhile_gets_no_signal_and_neither_does_who_is_stopped(tmp_path: Path, file: Path) -> None:
    with innocent(file, "handles") as pid:
        process = Process(beat(pid))
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        with pytest.raises(Refused, match="stopped"):
            by_signal(process, Folders(str(tmp_path)), "job", 0)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(Refused):
            by_signal(process, Folders(str(tmp_path)), "job", 0)
        with pytest.raises(Refused, match=r"ended|not installed"):
            by_pyspy(process)


def test_a_handler_that_writes_nothing_is_not_waited_for_too_long(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ugro_tui.nodes.helper_stacks.SIGNAL_SECONDS", 0.3)
    with innocent(file, "handles") as pid:
        with pytest.raises(Refused, match="sent, and nothing was written"):
            by_signal(Process(beat(pid)), Folders(str(tmp_path)), "job", 0)
        assert alive(pid)


def test_py_spy_is_found_beside_the_ranks_python_and_its_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "py-spy"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\necho 'Error: Permission Denied: try running again with elevated permissions' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(Process, "bin_folder", lambda _: str(fake.parent))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with hanging(tmp_path, signal=True):
        told = stacks(Process(beat_of(tmp_path)), Folders(str(tmp_path)), "job", 0)
        assert told["how"] == "signal"
        assert told["tried"] == ["py-spy: Error: Permission Denied: try running again with elevated permissions"]
    with hanging(tmp_path, signal=False):
        told = stacks(Process(beat_of(tmp_path)), Folders(str(tmp_path)), "job", 0)
        assert (told["how"], told["text"]) == ("", "")
        assert "stack_signal=True" in told["tried"][1]
        fake.write_text('#!/bin/sh\necho "Thread 1 (idle): \\"MainThread\\""\necho "    all_reduce (/x/train.py:7)"\n')
        told = stacks(Process(beat_of(tmp_path)), Folders(str(tmp_path)), "job", 0)
        assert told["how"] == "py-spy"
        assert parse_stacks(told["text"])[0].place == "all_reduce (train.py:7)"
