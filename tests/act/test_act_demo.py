"""The demo's plan, and one real run of it."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ugro_tui.act.demo import count_gpus, demo_plan, find_bundled
from ugro_tui.act.errors import LaunchError
from ugro_tui.core.errors import BadInput

if TYPE_CHECKING:
    from tests.act.conftest import Workshop

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


def test_users_options_come_last_and_the_job_is_named_after_the_time(workshop: Workshop) -> None:
    plan = demo_plan(workshop.metrics_dir, ("--inject", "nan@200"), workshop.clock)
    local_time = datetime.fromtimestamp(workshop.clock.time())
    assert plan.job_id == local_time.strftime("demo-%Y%m%d-%H%M%S")
    assert plan.args[:4] == ("--job-id", plan.job_id, "--metrics-dir", str(workshop.metrics_dir))
    assert plan.args[-2:] == ("--inject", "nan@200")
    assert plan.script == REPOSITORY / "train" / "train_production.py"
    assert plan.extra_pythonpath == (REPOSITORY / "emitter",)
    assert plan.attempt == 1


@pytest.mark.parametrize("option", ["--job-id", "--job-id=x", "--metrics-dir=/x"])
def test_the_demos_name_and_place_are_not_the_scripts_to_choose(workshop: Workshop, option: str) -> None:
    with pytest.raises(BadInput, match=f"leave {option} out"):
        demo_plan(workshop.metrics_dir, (option,), workshop.clock)


def test_an_installed_package_brings_its_own_script(tmp_path: Path) -> None:
    bundled = tmp_path / "site-packages" / "ugro_tui" / "bundled"
    (bundled / "ugro_emitter").mkdir(parents=True)
    with pytest.raises(LaunchError, match="install ugro-tui again"):
        find_bundled(bundled.parent)
    (bundled / "train_production.py").touch()
    assert find_bundled(bundled.parent) == (bundled / "train_production.py", bundled)


@pytest.mark.usefixtures("list_gpus")
@pytest.mark.parametrize(("visible", "count"), [(None, 2), ("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("0,1,2,3", 2)])
def test_gpus_are_counted_as_a_job_would_see_them(visible: str | None, count: int) -> None:
    assert count_gpus({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == count


def test_one_rank_for_each_gpu_and_two_without(workshop: Workshop, list_gpus: Path) -> None:
    assert demo_plan(workshop.metrics_dir, (), workshop.clock).nproc == 2
    list_gpus.write_text("#!/bin/sh\nfor n in 0 1 2; do echo GPU $n: x; done\n")
    assert demo_plan(workshop.metrics_dir, (), workshop.clock).nproc == 3
    list_gpus.write_text("#!/bin/sh\necho GPU 0: x\nexit 9\n")  # no driver
    assert demo_plan(workshop.metrics_dir, (), workshop.clock).nproc == 2
    list_gpus.unlink()
    assert demo_plan(workshop.metrics_dir, (), workshop.clock).nproc == 2


def test_a_fault_that_is_none_is_answered_in_lines(workshop: Workshop) -> None:
    with pytest.raises(BadInput) as refused:
        demo_plan(workshop.metrics_dir, ("--inject", "foo@3"), workshop.clock)
    lines = str(refused.value).splitlines()
    assert lines[0] == "the training script: argument --inject: 'foo@3' is not a fault. A fault is one of:"
    assert lines[1].startswith("{nan|hang|crash|kill}[:rank=R]@STEP  ")
    assert lines[-1].startswith("(all options: ")


@pytest.mark.torchrun
def test_the_demo_trains_and_a_crash_is_told_with_its_cause(workshop: Workshop) -> None:
    text = workshop.folder / "text.txt"
    text.write_text("bottles of milk on the wall, take one down. " * 500)
    options = (*TINY, f"--data={text}", "--inject", "crash:rank=1@18")
    plan = demo_plan(workshop.metrics_dir, options, workshop.clock)
    assert plan.python == sys.executable
    end = workshop.start(plan).wait(150)
    logs = {path.name: path.read_text() for path in (plan.folder / "logs").iterdir()}
    assert end is not None, logs
    assert (end.status, end.exit_code) == ("failed", 1), logs
    records = [json.loads(line) for line in (plan.folder / "metrics.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in records if record["kind"] == "step"]
    assert steps[:3] == [5, 10, 15], logs
    assert "injected crash on rank 1 at step 18" in logs["rank_1.log"]
    report = json.loads((plan.folder / "errors" / "rank_1.json").read_text())
    assert "injected crash on rank 1 at step 18" in report["message"]["message"]
