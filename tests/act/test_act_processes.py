"""Finding and ending processes by what is in their environment: real processes, no torchrun."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ugro_tui.act import processes
from ugro_tui.act.errors import StopError
from ugro_tui.act.processes import Process

if TYPE_CHECKING:
    from tests.act.conftest import StartProcess, Until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

WAIT = "import signal; print('ready', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"
# A child whose environment tells nothing, as that of a program that sets its own title.
PARENT = f"import subprocess, sys, signal; subprocess.Popen([sys.executable, '-c', {WAIT!r}], env={{}}); signal.pause()"
COUNTING = """
import signal
seen = []
def note(number, frame):
    seen.append(number)
    print('told', flush=True)
signal.signal(signal.SIGTERM, note)
print('ready', flush=True)
while True:
    signal.pause()
"""


def pids(token: str) -> set[int]:
    return {process.pid for process in processes.of_launch("job", token)}


def test_only_processes_with_both_marks_are_found(start_process: StartProcess) -> None:
    ours = start_process(WAIT, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t1", OTHER="x")
    start_process(WAIT, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t12")  # the same job, launched by somebody else
    start_process(WAIT, UGRO_JOB_ID="job-2", UGRO_LAUNCH_TOKEN="t1")
    start_process(WAIT, MY_UGRO_JOB_ID="job", X_UGRO_LAUNCH_TOKEN="t1")
    assert pids("t1") == {ours.pid}
    assert pids("t") == set()


def test_children_are_found_whatever_their_environment_says(start_process: StartProcess) -> None:
    parent = start_process(PARENT, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t")
    found = processes.of_launch("job", "t")
    assert {process.parent for process in found if process.pid != parent.pid} == {parent.pid}
    assert len(found) == 2
    processes.end_all(lambda: processes.of_launch("job", "t"), 0, 0, time)


def test_an_agent_is_known_by_pid_and_start_time_together(start_process: StartProcess) -> None:
    process = processes.look_up(start_process(WAIT).pid)
    assert process is not None
    assert process in processes.of_launch("job", "t", (process.pid, process.start))
    assert processes.of_launch("job", "t", (process.pid, process.start - 1)) == ()


def test_a_process_that_got_a_used_pid_is_spared(start_process: StartProcess) -> None:
    innocent = start_process(WAIT)
    process = processes.look_up(innocent.pid)
    assert process is not None
    assert not processes.send(replace(process, start=process.start - 1), signal.SIGKILL)
    assert innocent.poll() is None
    assert processes.send(process, signal.SIGKILL)
    assert innocent.wait(60) == -signal.SIGKILL
    assert not processes.send(process, signal.SIGKILL)


def test_a_dead_child_that_nobody_waited_for_is_not_living(start_process: StartProcess, until: Until) -> None:
    zombie = start_process("print('ready', flush=True)", UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t")
    until(lambda: processes.look_up(zombie.pid) is None)
    os.kill(zombie.pid, 0)  # its number is still taken
    assert pids("t") == set()


def test_who_ignores_sigterm_is_killed_after_the_grace(start_process: StartProcess) -> None:
    mild = start_process(WAIT, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t")
    stubborn = start_process(STUBBORN, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t")
    processes.end_all(lambda: processes.of_launch("job", "t"), 0, 0.3, time)
    assert mild.wait(60) == -signal.SIGTERM
    assert stubborn.wait(60) == -signal.SIGKILL


def test_while_the_agent_lives_it_alone_is_told_and_once(start_process: StartProcess) -> None:
    agent = start_process(COUNTING, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t")
    worker = start_process(COUNTING, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="t")
    assert agent.stdout is not None
    answer = agent.stdout
    looks = 0

    def until_told() -> tuple[Process, ...]:
        nonlocal looks
        looks += 1
        heard = select.select([answer], [], [], 0)[0]
        return () if heard and looks > 5 else processes.of_launch("job", "t")

    processes.end_all(until_told, agent.pid, 90, time)
    agent.kill()
    worker.kill()
    assert agent.communicate(timeout=60)[0] == b"told\n"
    assert worker.communicate(timeout=60)[0] == b""


def test_what_outlives_sigkill_is_named(monkeypatch: pytest.MonkeyPatch, start_process: StartProcess) -> None:
    monkeypatch.setattr(processes, "_KILL_SECONDS", 0.2)
    innocent = processes.look_up(start_process(WAIT).pid)
    assert innocent is not None
    out_of_reach = replace(innocent, start=1)  # as one that waits for a dead disk: signals change nothing
    with pytest.raises(StopError, match=rf"pid {innocent.pid};"):
        processes.end_all(lambda: [out_of_reach], 0, 0, time)
    assert processes.look_up(innocent.pid) == innocent


@pytest.mark.usefixtures("no_proc")
def test_without_proc_nothing_is_found_and_a_child_can_still_be_told(start_process: StartProcess) -> None:
    assert not processes.can_search()
    assert processes.boot_id() is None
    child = start_process(WAIT)
    assert processes.send(Process(child.pid, 0), signal.SIGTERM)
    assert child.wait(60) == -signal.SIGTERM


def test_a_missing_process_is_not_looked_up() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(60)
    assert processes.look_up(gone.pid) is None
