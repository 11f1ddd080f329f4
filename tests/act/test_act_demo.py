"""What the demo asks for, and real runs of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from tests.act.launching import living
from tests.writing import Clock, wait_until
from ugro_tui.act.demo import count_gpus, demo_request
from ugro_tui.act.errors import LaunchError
from ugro_tui.act.lent import find_bundled
from ugro_tui.agent import Agent
from ugro_tui.clock import SystemClock
from ugro_tui.config import Config
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import Backend, LaunchRequest

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = ("--steps=20", "--layers=1", "--heads=2", "--width=32", "--context=32", "--eval-batches=1")


@pytest.fixture
def list_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `nvidia-smi` that lists two GPUs as the real one does; the only program in PATH."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    listed = "GPU 0: NVIDIA H200 (UUID: GPU-1)\n  MIG 1g.18gb Device 0: (UUID: MIG-2)\nGPU 1: NVIDIA H200 (UUID: GPU-3)"
    program.write_text(f'#!/bin/sh\n[ "$*" = -L ] && echo "{listed}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def request(folder: Path, *options: str) -> LaunchRequest:
    return demo_request(folder / "jobs", options, SystemClock())


def test_users_options_come_last_and_the_job_is_named_after_the_time(tmp_path: Path) -> None:
    asked = demo_request(tmp_path, ("--inject", "nan@200"), Clock())
    assert asked.job_id == datetime.fromtimestamp(Clock().time()).strftime("demo-%Y%m%d-%H%M%S")
    assert not {"--job-id", "--metrics-dir"} & set(asked.args)  # another launch like it would write into this job
    assert asked.args[-2:] == ("--inject", "nan@200")
    assert asked.script == str(REPOSITORY / "train" / "train_production.py")
    assert (asked.backend, asked.python) == (Backend.LOCAL, sys.executable)
    (tmp_path / asked.job_id).mkdir()
    assert demo_request(tmp_path, (), Clock()).job_id == f"{asked.job_id}-2"


@pytest.mark.parametrize("option", ["--job-id", "--job-id=x", "--metrics-dir=/x"])
def test_the_demos_name_and_place_are_not_the_scripts_to_choose(tmp_path: Path, option: str) -> None:
    with pytest.raises(BadInput, match=f"leave {option} out"):
        request(tmp_path, option)


def test_an_installed_package_brings_its_own_script(tmp_path: Path) -> None:
    bundled = tmp_path / "site-packages" / "ugro_tui" / "bundled"
    (bundled / "ugro_emitter").mkdir(parents=True)
    with pytest.raises(LaunchError, match="install it again"):
        find_bundled(bundled.parent)
    (bundled / "train_production.py").touch()
    assert find_bundled(bundled.parent) == (bundled / "train_production.py", bundled)


@pytest.mark.usefixtures("list_gpus")
@pytest.mark.parametrize(("visible", "count"), [(None, 2), ("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("0,1,2,3", 2)])
def test_gpus_are_counted_as_a_job_would_see_them(visible: str | None, count: int) -> None:
    assert count_gpus({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == count


def test_one_rank_for_each_gpu_and_two_without(tmp_path: Path, list_gpus: Path) -> None:
    assert request(tmp_path).nproc == 2
    list_gpus.write_text("#!/bin/sh\nfor n in 0 1 2; do echo GPU $n: x; done\n")
    assert request(tmp_path).nproc == 3
    list_gpus.write_text("#!/bin/sh\necho GPU 0: x\nexit 9\n")  # no driver
    assert request(tmp_path).nproc == 2
    list_gpus.unlink()
    assert request(tmp_path).nproc == 2


def test_a_fault_that_is_none_is_answered_in_lines(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        request(tmp_path, "--inject", "foo@3")
    lines = str(refused.value).splitlines()
    assert lines[0] == "the training script: argument --inject: 'foo@3' is not a fault. A fault is one of:"
    assert lines[1].startswith("{nan|hang|crash|kill}[:rank=R]@STEP  ")
    assert lines[-1].startswith("(all options: ")


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """Starts jobs in a home of its own, and leaves none behind."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with Agent(Config(tmp_path / "jobs", refresh=0.2), notify=True) as made:
        yield made
    for pid in living(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, 9)


@pytest.mark.torchrun
def test_the_demo_trains_and_a_crash_is_told_with_its_cause(agent: Agent, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("bottles of milk on the wall, take one down. " * 500)
    run = agent.start_demo((*TINY, f"--data={text}", "--inject", "crash:rank=1@18"))
    run.wait_begun()
    folder = tmp_path / "jobs" / run.job_id
    assert json.loads((folder / "job.json").read_text())["backend"] == "local"
    wait_until(lambda: (now := run.standing()) is not None and now.over, 150)
    logs = {path.name: path.read_text() for path in (folder / "logs").iterdir()}
    document = json.loads((folder / "job.json").read_text())
    assert (document["status"], document["exit_code"]) == ("failed", 1), logs
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in records if record["kind"] == "step"]
    assert steps[:3] == [5, 10, 15], logs
    assert "injected crash on rank 1 at step 18" in logs["rank_1.log"]
    report = json.loads((folder / "errors" / "rank_1.json").read_text())
    assert "injected crash on rank 1 at step 18" in report["message"]["message"]
    run.stop()
    assert json.loads((folder / "job.json").read_text())["status"] == "failed"


@pytest.mark.torchrun
def test_a_demo_that_is_left_before_its_ranks_are_there_was_stopped(agent: Agent, tmp_path: Path) -> None:
    run = agent.start_demo(TINY)
    run.wait_begun()
    run.stop()
    assert list(living(tmp_path)) == []
    document = json.loads((tmp_path / "jobs" / run.job_id / "job.json").read_text())
    assert document["status"] == "stopped"


def test_a_demo_that_cannot_begin_says_why_and_leaves_nothing(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("a file in the way")
    run = agent.start_demo(())
    with pytest.raises(LaunchError, match="local: "):
        run.wait_begun()
    assert run.standing() is None
    run.stop()
    assert list(living(tmp_path)) == []
