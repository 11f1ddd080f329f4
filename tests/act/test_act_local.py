"""Real torchrun jobs, with scripts that need no torch themselves."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ugro_tui.act import processes
from ugro_tui.act.local import JobEnd, LocalJob
from ugro_tui.act.manifest import LaunchRecord
from ugro_tui.core.errors import BadInput

if TYPE_CHECKING:
    from tests.act.conftest import StartProcess, Until, Workshop

TOLD = """
import json, lent
print(json.dumps({"argv": sys.argv[1:], "env": dict(os.environ), "stdin": sys.stdin.read(), "cwd": os.getcwd()}))
print("to stderr", file=sys.stderr)
"""
AWKWARD = ("-m", "--", "--nproc-per-node", "a b", "", "'q' \"qq\"", ";$(touch x)`y`", "two\nlines", "ä→", "*")

FAILS_ON_RANK_1 = "print('working'); sys.exit(3 if RANK == '1' else 0)"

# Rank 0 ends in order at SIGTERM and counts; rank 1 ignores it and has a child of its own in another session.
STUBBORN = """
import signal, subprocess
def tidy(number, frame):
    print("told", flush=True)
    sys.exit(0)
if RANK == "0":
    signal.signal(signal.SIGTERM, tidy)
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
print("ready", flush=True)
while True:
    signal.pause()
"""
WAITS = "import signal; print('ready', flush=True); signal.pause()"


def ready(workshop: Workshop, rank: int) -> bool:
    log = workshop.metrics_dir / "job" / "logs" / f"rank_{rank}.log"
    return log.exists() and "ready" in log.read_text()


def both_ready(workshop: Workshop) -> bool:
    return ready(workshop, 0) and ready(workshop, 1)


def last_line(log: str) -> str:
    return log.splitlines()[-1]


@pytest.mark.torchrun
def test_a_job_runs_to_its_end(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lent, temporary = workshop.folder / "lent", workshop.folder / "tmp"
    lent.mkdir()
    temporary.mkdir()
    (lent / "lent.py").touch()
    plan = workshop.plan(TOLD, args=AWKWARD, extra_pythonpath=(lent,), env={"TMPDIR": str(temporary), "MINE": "ü"})
    job = workshop.start(plan)

    manifest = workshop.manifest()
    assert (manifest.status, manifest.backend, manifest.attempt, manifest.world_size) == ("running", "local", 1, 2)
    assert (manifest.started, manifest.ended, manifest.exit_code) == (workshop.clock.time(), None, None)
    document = workshop.document()
    assert tuple(document["command"]) == plan.command
    found = processes.look_up(document["pid"])
    assert (document["pid_start"], document["boot_id"]) == (found and found.start, processes.boot_id())
    assert os.getsid(document["pid"]) == document["pid"]
    assert job.poll() is None

    assert job.wait(120) == JobEnd("finished", 0, None), workshop.log("torchrun")
    assert job.poll() == JobEnd("finished", 0, None)
    manifest = workshop.manifest()
    assert (manifest.status, manifest.exit_code, manifest.ended) == ("finished", 0, workshop.clock.time())
    for rank in "01":
        header, told, stderr = workshop.log(f"rank_{rank}").splitlines()
        assert header.startswith(f"== attempt 1: rank {rank} of 2 on ")
        assert stderr == "to stderr"
        seen = json.loads(told)
        assert tuple(seen["argv"]) == AWKWARD
        assert (seen["stdin"], seen["cwd"]) == ("", str(plan.workdir))
        assert {"RANK": rank, "MINE": "ü", "UGRO_LAUNCH_TOKEN": document["token"]}.items() <= seen["env"].items()
        error_file = plan.folder / "errors" / f"rank_{rank}.json"
        assert seen["env"]["TORCHELASTIC_ERROR_FILE"] == str(error_file)
    assert shlex.join(plan.command).splitlines()[0] in workshop.log("torchrun")
    assert list(temporary.iterdir()) == []
    assert job.processes() == ()
    job.stop()
    assert workshop.manifest().status == "finished"
    assert [record.message for record in caplog.records if record.name == "ugro_tui.act.local"] == [
        f"Started job job: attempt 1, 2 ranks, pid {document['pid']}",
        "Job job finished",
    ]


@pytest.mark.torchrun
def test_a_failing_rank_fails_the_job_and_the_next_attempt_goes_into_the_same_logs(workshop: Workshop) -> None:
    first = workshop.start(workshop.plan(FAILS_ON_RANK_1))
    assert first.wait(120) == JobEnd("failed", 1, None)
    assert workshop.manifest().status == "failed"
    assert "working" in workshop.log("rank_1")
    with pytest.raises(BadInput, match="exists already"):
        workshop.start(workshop.plan())

    stale = workshop.metrics_dir / "job" / "errors" / "rank_7.json"
    stale.write_text("{}")
    second = workshop.start(workshop.plan("print(os.environ['UGRO_ATTEMPT'])", attempt=2, nproc=1))
    assert workshop.manifest().status == "running"
    assert not stale.exists()
    assert second.wait(120) == JobEnd("finished", 0, None)
    manifest = workshop.manifest()
    assert (manifest.attempt, manifest.world_size, manifest.status) == (2, 1, "finished")
    _, working, header, attempt = workshop.log("rank_0").splitlines()
    assert (working, attempt) == ("working", "2")
    assert header.startswith("== attempt 2: rank 0 of 1 on ")


@pytest.mark.torchrun
def test_stop_ends_every_process_of_the_job_and_no_other(
    workshop: Workshop, until: Until, start_process: StartProcess
) -> None:
    innocent = start_process(WAITS, UGRO_JOB_ID="job", UGRO_LAUNCH_TOKEN="of another launch")
    job = workshop.start(workshop.plan(STUBBORN))
    until(lambda: both_ready(workshop))
    running = job.processes()
    assert len(running) == 4  # torchrun, two ranks, and rank 1's child

    stops = [threading.Thread(target=job.stop, kwargs={"grace": 2.0}) for _ in range(2)]
    for stop in stops:
        stop.start()
    for stop in stops:
        stop.join(60)
    assert [processes.look_up(process.pid) for process in running] == [None] * 4
    assert job.processes() == ()
    assert workshop.log("rank_0").count("told") == 1
    end = job.poll()
    assert end is not None
    assert end.status == "stopped"
    manifest = workshop.manifest()
    assert (manifest.status, manifest.ended) == ("stopped", workshop.clock.time())
    job.stop()
    assert workshop.manifest() == manifest
    assert innocent.poll() is None


@pytest.mark.torchrun
def test_ranks_that_outlive_their_agent_are_found_and_stopped(workshop: Workshop, until: Until) -> None:
    job = workshop.start(workshop.plan(WAITS))
    until(lambda: both_ready(workshop))
    os.kill(workshop.document()["pid"], signal.SIGKILL)
    assert job.wait(60) == JobEnd("failed", None, signal.SIGKILL)
    assert workshop.manifest().status == "failed"
    assert len(job.processes()) == 2
    with pytest.raises(BadInput, match=r"job job still runs on this machine \(pid \d+, \d+\): stop it first"):
        workshop.start(workshop.plan(attempt=2))

    job.stop()
    assert job.processes() == ()
    assert job.poll() == JobEnd("stopped", None, signal.SIGKILL)
    assert workshop.manifest().status == "stopped"


@pytest.mark.torchrun
def test_a_job_may_be_stopped_before_its_ranks_are_there(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    job = workshop.start(workshop.plan(WAITS))
    job.stop()
    assert job.processes() == ()
    assert workshop.manifest().status == "stopped"
    assert [record.message for record in caplog.records][1:] == ["Stopping job job", "Job job stopped"]  # never failed


def plain_job(workshop: Workshop) -> LocalJob:
    """A job whose agent is a sleeping program."""
    plan = workshop.plan()
    plan.folder.mkdir(parents=True)
    record = LaunchRecord("job", 1, 1, plan.command, str(plan.workdir), "h", "u", "token", workshop.clock.time())
    job = LocalJob(plan, record, subprocess.Popen(["sleep", "1000"]), workshop.clock)
    workshop.jobs.append(job)
    return job


@pytest.mark.usefixtures("no_proc")
def test_where_processes_cannot_be_searched_the_agent_is_stopped(workshop: Workshop) -> None:
    job = plain_job(workshop)
    assert workshop.document()["pid_start"] is None
    assert len(job.processes()) == 1
    job.stop()
    assert job.processes() == ()
    assert job.poll() == JobEnd("stopped", None, signal.SIGTERM)


def test_a_manifest_that_cannot_be_written_does_not_keep_a_job_from_being_stopped(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    job = plain_job(workshop)
    manifest = job.plan.folder / "job.json"
    manifest.unlink()
    manifest.mkdir()
    job.stop()
    assert job.record == replace(job.record, status="stopped", signal=signal.SIGTERM)
    assert "job.json of job does not say 'stopped'" in caplog.text
    assert [path.name for path in job.plan.folder.iterdir()] == ["job.json"]
