"""A signal that has a rank write its stacks: in real processes, stuck where Python cannot answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ugro_emitter import MetricsEmitter

from tests.emitter.support import run_script, script_environment, wait_until

SIGNAL = signal.SIGUSR2

# Stays in a call in C: with `PyDLL` in one that keeps the lock of the interpreter while it waits, so
# that no thread of Python's gets a turn.
STUCK = """
import ctypes, json, os, pathlib, socket, sys, time
from ugro_emitter import MetricsEmitter

def all_reduce():
    if sys.argv[2] == "recv":
        ends[0].recv(1)
    elif sys.argv[2] == "sleep":
        time.sleep(600)
    else:
        ctypes.PyDLL(None).read(ends[0].fileno(), ctypes.create_string_buffer(1), 1)

ends = socket.socketpair()
emitter = MetricsEmitter("job", sys.argv[1], stack_signal=True, heartbeat_interval=1.0)
beat = emitter.job_dir / "heartbeat.rank-0.json"
while not beat.exists(): time.sleep(0.01)
first = beat.read_text()
while beat.read_text() == first: time.sleep(0.01)
print("there", flush=True)
all_reduce()
"""
FORKED = """
import os, signal, sys, time
from ugro_emitter import MetricsEmitter
emitter = MetricsEmitter("job", sys.argv[1], stack_signal=True, heartbeat_interval=1.0)
beat = emitter.job_dir / "heartbeat.rank-0.json"
while not beat.exists(): time.sleep(0.01)
there, here = os.pipe()
child = os.fork()
if child == 0:
    os.write(here, b"x")
    time.sleep(600)
os.read(there, 1)
os.kill(child, signal.SIGUSR2)
print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)
time.sleep(600)
"""


def beat(tmp_path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((tmp_path / "job" / "heartbeat.rank-0.json").read_bytes())
    except FileNotFoundError:
        return {}
    return found


def asleep(pid: int) -> bool:
    """Whether the main thread of a process waits in the kernel."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def settled(tmp_path: Path) -> None:
    """Wait for a second heartbeat: the interpreter cannot dump the stack of a thread that is just running code.

    While the emitter's own threads start, importing, a dump of all threads can end the process (faulthandler walks
    frames that change under it); a rank that is stuck has no such threads.
    """
    wait_until(lambda: beat(tmp_path).get("stack_signal") == SIGNAL, "the heartbeat tells the signal")
    first = beat(tmp_path)["ts"]
    wait_until(lambda: beat(tmp_path).get("ts", first) != first, "a second heartbeat")


def dump(tmp_path: Path) -> str:
    path = tmp_path / "job" / "stacks" / "rank_0.txt"
    return path.read_text() if path.exists() else ""


@contextmanager
def running(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(argv, env=script_environment({}), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("where", ["recv", "sleep", "without the lock"])
def test_a_rank_that_is_stuck_in_c_writes_its_stacks_and_goes_on(where: str, tmp_path: Path) -> None:
    with running(STUCK, tmp_path, where) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"  # and calm: see `settled`
        wait_until(lambda: asleep(process.pid), "the call that it is stuck in")
        assert beat(tmp_path)["stack_signal"] == SIGNAL
        assert dump(tmp_path) == ""
        for times in (1, 2):
            os.kill(process.pid, SIGNAL)
            wait_until(lambda: dump(tmp_path).count("in all_reduce") == times, "the call it is stuck in")  # noqa: B023
        assert "most recent call first" in dump(tmp_path)
        assert "Thread 0x" in dump(tmp_path)  # the others too
        assert process.poll() is None


def test_a_forked_child_is_as_it_was_and_the_parent_still_answers(tmp_path: Path) -> None:
    with running(FORKED, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{int(SIGNAL)}\n"  # ended by it, as without us
        assert dump(tmp_path) == ""
        settled(tmp_path)
        os.kill(process.pid, SIGNAL)
        wait_until(lambda: "File" in dump(tmp_path), "the parent's stacks")
        assert process.poll() is None


def test_nothing_is_handled_unless_it_is_asked_for(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from ugro_emitter import MetricsEmitter
with MetricsEmitter("job", sys.argv[1]): pass
print(int(next(line for line in open("/proc/self/status") if line.startswith("SigCgt")).split()[1], 16) >> 11 & 1)
os.kill(os.getpid(), signal.SIGUSR2)
"""
    done = run_script(code, tmp_path)
    assert (done.stdout, done.returncode) == ("0\n", -SIGNAL)
    assert beat(tmp_path)["stack_signal"] is None
    assert not (tmp_path / "job" / "stacks").exists()


def test_after_closing_the_signal_ends_nobody(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from ugro_emitter import MetricsEmitter
with MetricsEmitter("job", sys.argv[1], stack_signal="SIGUSR1"): pass
os.kill(os.getpid(), signal.SIGUSR1)
"""
    assert run_script(code, tmp_path).returncode == 0
    assert (beat(tmp_path)["stack_signal"], beat(tmp_path)["state"]) == (signal.SIGUSR1, "ended")
    assert "File" in dump(tmp_path)


def test_a_signal_that_the_script_handles_is_left_to_it(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from ugro_emitter import MetricsEmitter
signal.signal(signal.SIGUSR2, lambda *_: print("mine", flush=True))
with MetricsEmitter("job", sys.argv[1], stack_signal=True): pass
os.kill(os.getpid(), signal.SIGUSR2)
"""
    done = run_script(code, tmp_path)
    assert (done.stdout, done.returncode) == ("mine\n", 0)
    assert beat(tmp_path)["stack_signal"] is None
    assert "signal 12 is handled by the script" in done.stderr or SIGNAL != 12


def test_where_no_file_can_be_made_nothing_is_handled_and_nothing_raised(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "stacks").write_text("in the way")
    code = """
import sys
from ugro_emitter import MetricsEmitter
with MetricsEmitter("job", sys.argv[1], stack_signal=True) as emitter: emitter.emit_step(1, loss=1.0)
"""
    done = run_script(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert beat(tmp_path)["stack_signal"] is None
    assert beat(tmp_path)["errors"] >= 1


@pytest.mark.parametrize("wanted", ["SIGTERM", "SIGKILL", signal.SIGINT, 0, 999, "nonsense", 1.5])
def test_a_signal_that_means_something_else_is_refused(wanted: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stack_signal must be"):
        MetricsEmitter("job", tmp_path, stack_signal=wanted)
