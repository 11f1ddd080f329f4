"""Real torchrun: a run that goes on from its checkpoint, ranks that are restarted, ranks without their agent."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.act.launching import living, stub_python
from tests.faults.lab import Lab
from tests.writing import wait_until
from ugro_tui import settling
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.attempts import Attempts
from ugro_tui.core.commands import Launch
from ugro_tui.core.launching import Backend, LaunchRequest, LaunchView, Stage
from ugro_tui.core.states import JobStatus
from ugro_tui.core.summary import JobSummary

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = """
import os, pathlib, sys, threading
from ugro_emitter import MetricsEmitter
rank, last, fails = int(os.environ["RANK"]), int(sys.argv[1]), int(sys.argv[2])
place = pathlib.Path(os.environ["UGRO_METRICS_DIR"])
saved = place / f"saved.{rank}"
again = "--resume" in sys.argv or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
done = int(saved.read_text()) if again and saved.exists() else 0
with MetricsEmitter(total_steps=last, emit_every=1) as emitter:
    for step in range(done + 1, last + 1):
        if step == fails and not again:
            while not (place / "now").exists():
                threading.Event().wait(0.02)
            raise RuntimeError("out of luck")
        emitter.emit_step(step, loss=100 / step)
        if step % 10 == 0:
            saved.write_text(str(step))
        threading.Event().wait(float(sys.argv[3]))
"""
"""`LAST FAILS PAUSE`: steps to LAST, an error at FAILS once there is a file `now`, and PAUSE seconds between steps."""


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """Watches and starts jobs on this machine, in a home of its own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "train.py").write_text(STEPS)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("SETTLE_SECONDS", "WAIT_SECONDS"):
        monkeypatch.setattr(settling, name, 1.0)
    with Agent(Config(tmp_path / "jobs", refresh=0.2), notify=True) as made:
        yield made
    for pid in living(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def request(folder: Path, *args: str, **changes: Any) -> LaunchRequest:
    wanted = LaunchRequest("job", str(folder / "train.py"), args, Backend.LOCAL, nproc=2)
    return replace(wanted, **changes)


def summary(agent: Agent) -> JobSummary | None:
    view = agent.feed.snapshot().job("job")
    return view.summary if view is not None else None


def attempts(agent: Agent) -> dict[int, tuple[JobStatus, float]]:
    """What is told of each attempt: how it ended, and its last step."""
    found: list[dict[int, tuple[JobStatus, float]]] = []

    def told() -> bool:
        answer = agent.archive.look(Attempts("job"))
        found[:] = [{one.number: (one.status, one.step) for one in answer.content or ()}]
        return not answer.loading

    wait_until(told)
    return found[0]


def seams(agent: Agent, last: int) -> list[float]:
    """Where attempts meet in the one curve from the first step to the last."""

    def whole() -> bool:
        view = agent.feed.snapshot().job("job")
        return view is not None and len(view.curve.steps) > 0 and view.curve.steps[-1] == last

    wait_until(whole)
    view = agent.feed.snapshot().job("job")
    assert view is not None
    assert view.curve.steps[0] == 1
    return list(view.curve.restarts)


@pytest.mark.torchrun
def test_a_relaunch_goes_on_from_the_checkpoint_as_a_new_attempt(agent: Agent, tmp_path: Path) -> None:
    agent.launch(request(tmp_path, "30", "25", "0"))
    (tmp_path / "jobs/now").touch()
    wait_until(lambda: agent.launches.standing("job").over)
    assert agent.launches.standing("job").status == "failed"
    agent.launch(agent.launches.relaunch("job", resume=True))
    wait_until(lambda: (now := summary(agent)) is not None and now.status is JobStatus.FINISHED)
    now = summary(agent)
    assert now is not None
    assert (now.attempt, now.restarts, now.step, now.ranks_seen) == (2, 0, 30, 2)
    assert attempts(agent) == {1: (JobStatus.FAILED, 24), 2: (JobStatus.FINISHED, 30)}
    lines = (tmp_path / "jobs/job/metrics.jsonl").read_text().splitlines()
    steps = [record["step"] for record in map(json.loads, lines) if record["kind"] == "step"]
    assert steps == [*range(1, 25), *range(21, 31)]
    assert seams(agent, 30) == [21]


@pytest.mark.torchrun
@pytest.mark.acceptance
def test_the_training_script_goes_on_from_its_own_checkpoint(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("bottles of milk on the wall, take one down. " * 2_000)
    options = f"--data={tmp_path / 'text.txt'} --steps=60 --emit-every=1 --checkpoint-every=10 --eval-every=0"
    tiny = "--layers=1 --heads=2 --width=32 --context=32 --batch-size=4 --warmup=5 --inject=slow-data:100ms@1"
    agent.launch(request(tmp_path, *options.split(), *tiny.split(), script=""))
    wait_until(lambda: (now := summary(agent)) is not None and now.step >= 25)
    os.kill(json.loads((tmp_path / "jobs/job/heartbeat.rank-1.json").read_text())["pid"], signal.SIGKILL)
    wait_until(lambda: agent.launches.standing("job").over)
    died = agent.launches.standing("job")
    assert (died.status, died.exits[1]) == ("failed", -9)
    agent.launch(agent.launches.relaunch("job", resume=True))
    wait_until(lambda: (now := summary(agent)) is not None and now.status is JobStatus.FINISHED)
    now = summary(agent)
    assert now is not None
    assert (now.attempt, now.step) == (2, 60)
    (seam,) = seams(agent, 60)
    assert seam % 10 == 1
    assert re.search(rf"resumed from .*/step-0*{seam - 1:.0f}\.pt", (tmp_path / "jobs/job/logs/rank_0.log").read_text())


def test_a_job_that_fails_without_a_record_is_settled_by_who_watches(agent: Agent, tmp_path: Path) -> None:
    flag = tmp_path / "go"
    waits = f"import os, threading\nwhile not os.path.exists({str(flag)!r}):\n    threading.Event().wait(0.02)\n1 / 0\n"
    (tmp_path / "train.py").write_text(waits)
    argv = [
        sys.executable,
        "-m",
        "ugro_tui",
        "--metrics-dir",
        str(tmp_path / "jobs"),
        "launch",
        "--local",
        "--nproc",
        "1",
    ]
    argv += ["--name", "job", "--python", str(stub_python(tmp_path)), "--", str(tmp_path / "train.py")]
    null, env = subprocess.DEVNULL, {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    launcher = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, env=env)
    wait_until((tmp_path / "jobs/job/logs/rank_0.log").exists)
    launcher.kill()
    launcher.wait()
    flag.touch()
    wait_until(lambda: (now := summary(agent)) is not None and now.status is JobStatus.FAILED)


def test_who_leaves_in_the_middle_of_a_launch_leaves_none_half_started(agent: Agent, tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(view: LaunchView) -> None:
        if view.stage is Stage.STARTING and not go_on.is_set():
            reached.set()
            go_on.wait(60)

    agent.launches.hear(hold)
    wanted = request(tmp_path, "100000", "0", "0.05", python=str(stub_python(tmp_path)))
    agent.feed.request(Launch(wanted))
    reached.wait(60)
    leaving = threading.Thread(target=agent.close)
    leaving.start()
    leaving.join(0.2)
    assert leaving.is_alive()
    go_on.set()
    leaving.join()
    assert (tmp_path / "jobs/job/launch/supervisor.0.json").exists()


@pytest.mark.torchrun
def test_ranks_without_their_agent_are_told_of_and_stopped(agent: Agent, tmp_path: Path) -> None:
    agent.launch(request(tmp_path, "100000", "0", "0.05"))
    document = tmp_path / "jobs/job/launch/supervisor.0.json"
    os.kill(json.loads(document.read_text())["agent"], signal.SIGKILL)

    def alerts() -> list[tuple[str, str, str]]:
        now = summary(agent)
        return [(one.rule, one.node, one.what) for one in now.alerts] if now is not None else []

    told = ("launcher_gone", "local", "torchrun has ended there (signal 9), and its ranks go on")
    wait_until(lambda: told in alerts())
    assert agent.launches.standing("job").status == "running"
    assert len(list(living(tmp_path))) == 2
    assert agent.stop("job").status == "stopped"
    assert list(living(tmp_path)) == []
    manifest = json.loads((tmp_path / "jobs/job/job.json").read_text())
    assert (manifest["status"], manifest["orphaned"]) == ("stopped", {})


@pytest.mark.torchrun
@pytest.mark.acceptance
def test_a_rank_that_is_killed_is_restarted_and_that_is_seen(agent: Agent, tmp_path: Path) -> None:
    agent.launch(request(tmp_path, "400", "0", "0.05", rendezvous="c10d", max_restarts=1))
    wait_until(lambda: (tmp_path / "jobs/saved.0").exists())
    beat = json.loads((tmp_path / "jobs/job/heartbeat.rank-1.json").read_text())
    os.kill(beat["pid"], signal.SIGKILL)
    wait_until(lambda: (now := summary(agent)) is not None and now.restarts == 1 and now.status is JobStatus.RUNNING)
    wait_until(lambda: (now := summary(agent)) is not None and now.status is JobStatus.FINISHED)
    now = summary(agent)
    assert now is not None
    assert (now.attempt, now.restarts, now.step) == (1, 1, 400)
    wait_until(lambda: agent.launches.standing("job").status == "finished")
    log = (tmp_path / "jobs/job/logs/rank_1.log").read_text()
    assert "== attempt 1: rank 1 of 2" in log
    assert "== attempt 1, restart 1: rank 1 of 2" in log


@pytest.fixture
def shared(lab: Lab) -> Path:
    """The directory that three nodes share: their data, and what is lent to them."""
    folder = lab.folder / "shared"
    (folder / "jobs").mkdir(parents=True)
    for _ in range(3):
        machine = lab.fleet.add()
        (machine.home / "ugro_data").symlink_to(folder)
        (machine.home / ".cache").symlink_to(folder)
    (lab.folder / "train.py").write_text(STEPS)
    return folder


@pytest.mark.torchrun
@pytest.mark.acceptance
def test_ranks_of_two_nodes_are_restarted_together(lab: Lab, shared: Path) -> None:
    wanted = request(lab.folder, "300", "0", "0.05", rendezvous="c10d", max_restarts=1)
    agent = lab.watch()
    agent.launch(replace(wanted, backend=Backend.SSH, nodes=("n1", "n2"), nproc=1, python=sys.executable))
    wait_until(lambda: (shared / "jobs/saved.0").exists())
    os.kill(json.loads((shared / "jobs/job/heartbeat.rank-1.json").read_text())["pid"], signal.SIGKILL)
    wait_until(lambda: (now := summary(agent)) is not None and now.restarts == 1 and now.status is JobStatus.RUNNING)
    wait_until(lambda: agent.launches.standing("job").over)
    assert agent.launches.standing("job").status == "finished"
    assert list(living(lab.fleet.folder)) == []


def test_on_a_filesystem_that_all_nodes_share_each_rank_counts_once(lab: Lab, shared: Path) -> None:
    agent = lab.watch()
    wanted = request(lab.folder, "40", "0", "0.02", python=str(stub_python(lab.folder)))
    plan = agent.launch(replace(wanted, backend=Backend.SSH))
    assert plan.world_size == 6
    wait_until(lambda: (now := summary(agent)) is not None and now.status is JobStatus.FINISHED)
    now = summary(agent)
    assert now is not None
    assert [(one.rank, one.step, one.records, one.lost) for one in now.per_rank_stats] == [
        (rank, 40, 40, 0) for rank in range(6)
    ]
    assert agent.launches.standing("job").status == "finished"
    assert len(list((shared / "jobs/job/launch").glob("exit.*.json"))) == 3
    assert not list(shared.rglob("*.tmp"))
    assert list(living(lab.fleet.folder)) == []
