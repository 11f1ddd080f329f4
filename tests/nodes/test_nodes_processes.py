"""Finding and ending the processes of a launch: real processes, no torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.writing import wait_until
from ugro_tui.nodes import helper_proc, helper_processes
from ugro_tui.nodes.helper_proc import state_of
from ugro_tui.nodes.helper_processes import end_all, of_launch, send

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")

Begin: TypeAlias = Callable[..., "subprocess.Popen[bytes]"]
WAIT = "import signal; print('ready', flush=True); signal.pause()"
# A child whose environment tells nothing, as that of a program that sets its own title.
PARENT = f"import subprocess, sys, signal; subprocess.Popen([sys.executable, '-c', {WAIT!r}], env={{}}); signal.pause()"
# Counts what it is told, and ends its child by itself.
AGENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, '-c', sys.argv[1]])
def note(number, frame):
    print('told', flush=True)
    child.kill()
    child.wait()
    sys.exit()
signal.signal(signal.SIGTERM, note)
while True:
    signal.pause()
"""
MILD = """
import signal
signal.signal(signal.SIGTERM, lambda *_: open(sys.argv[1], 'w').close())
print('ready', flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start Python with some code in an environment of its own, and wait until it has printed a line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str, *words: str, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", code, *words], env=env, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_only_processes_with_both_marks_are_found(begin: Begin) -> None:
    ours = begin(WAIT, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t1", OTHER="x")
    begin(WAIT, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t12")  # the same job, launched by somebody else
    begin(WAIT, UGRO_JOB_ID="job-2", UGRO_LAUNCH_TOKEN="t1")
    begin(WAIT, MY_UGRO_JOB_ID="job", X_UGRO_LAUNCH_TOKEN="t1")
    assert set(of_launch("job", "t1", ())) == {ours.pid}
    assert of_launch("job", "t", ()) == {}


def test_another_node_that_is_this_machine_has_processes_of_its_own(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    marks = {"UGRO_JOB_ID": "job", "UGRO_LAUNCH_TOKEN": "t"}
    ours = begin(WAIT, UGRO_METRICS_DIR=str(tmp_path), **marks)
    begin(WAIT, UGRO_METRICS_DIR=str(tmp_path / "other"), **marks)
    silent = begin(WAIT, **marks)
    assert set(of_launch("job", "t", (), str(tmp_path / "link"))) == {ours.pid, silent.pid}


def test_children_are_found_whatever_their_environment_says(begin: Begin) -> None:
    parent = begin(PARENT, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t")
    found = of_launch("job", "t", ())
    assert [above for pid, (_, above) in found.items() if pid != parent.pid] == [parent.pid]
    assert end_all(lambda: of_launch("job", "t", ()), 0) == (2, [])


def test_a_process_is_known_by_its_number_and_start_together(begin: Begin) -> None:
    process = begin(WAIT)
    start = state_of(process.pid)[1]
    assert set(of_launch("job", "", [(process.pid, start)])) == {process.pid}
    assert of_launch("job", "", [(process.pid, start - 1)]) == {}
    send(process.pid, start - 1, signal.SIGKILL)  # the number was used before
    assert process.poll() is None
    send(process.pid, start, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    send(process.pid, start, signal.SIGKILL)


def test_a_dead_child_that_nobody_waited_for_is_not_living(begin: Begin) -> None:
    zombie = begin("print('ready', flush=True)", UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t")
    wait_until(lambda: state_of(zombie.pid)[1] == 0)
    os.kill(zombie.pid, 0)  # its number is still taken
    assert of_launch("job", "t", ()) == {}


def test_while_the_agent_lives_it_alone_is_told(begin: Begin, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    agent = begin(AGENT, f"import sys\n{MILD}".replace("sys.argv[1]", repr(str(heard))), UGRO_JOB_ID="job",
                  UGRO_LAUNCH_TOKEN="t")  # fmt: skip
    assert end_all(lambda: of_launch("job", "t", ()), 60)[1] == []
    assert agent.communicate(timeout=60)[0] == b"told\n"
    assert not heard.exists()


def test_what_outlives_sigkill_is_named(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper_processes, "KILL_SECONDS", 0.1)
    innocent = begin(WAIT)
    out_of_reach = {innocent.pid: (1, 0)}  # as one that waits for a dead disk: signals change nothing
    assert end_all(lambda: out_of_reach, 0) == (1, [innocent.pid])
    assert innocent.poll() is None


def test_without_proc_processes_are_told_by_ps(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (helper_proc, helper_processes):
        monkeypatch.setattr(module, "PROC", "/nowhere")
    parent = begin(PARENT)
    start = state_of(parent.pid)[1]
    assert 0 <= time.time() - start < 100
    assert of_launch("job", "", [(parent.pid, start - 1)]) == {}
    found = of_launch("job", "", [(parent.pid, start)])
    assert [above for pid, (_, above) in found.items() if pid != parent.pid] == [parent.pid]
    known = [(pid, begun) for pid, (begun, _) in found.items()]
    assert end_all(lambda: of_launch("job", "", known), 5) == (2, [])
    parent.wait(60)
    assert state_of(parent.pid) == ("", 0)
