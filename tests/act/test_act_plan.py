"""Plans: the command and environment that are shown, and what is refused before anything happens."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ugro_tui.act.errors import LaunchError
from ugro_tui.act.plan import ENTRY, LocalPlan, free_port, usable_cores
from ugro_tui.core.errors import BadInput, UgroError

if TYPE_CHECKING:
    from tests.act.conftest import Workshop


def test_the_command_is_a_static_torchrun_of_the_script_through_the_entry(workshop: Workshop) -> None:
    plan = workshop.plan(args=("--steps", "5"), nproc=3, port=4321)
    assert plan.command == (
        sys.executable,
        *("-m", "torch.distributed.run", "--nproc-per-node", "3", "--log-dir", "/dev/null"),
        *("--master-addr", "127.0.0.1", "--master-port", "4321"),
        str(ENTRY),
        str(workshop.folder / "a script.py"),
        "--steps",
        "5",
    )


def test_relative_paths_count_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    plan = LocalPlan("job", Path("train.py"), Path("~/jobs"), python="venv/bin/python", workdir=tmp_path)
    assert plan.script_path == tmp_path / "train.py"
    assert plan.folder == Path("/home/someone/jobs/job")
    assert plan.interpreter == str(tmp_path / "venv/bin/python")
    assert LocalPlan("job", Path("train.py"), tmp_path, python="python3").interpreter == "python3"


def test_a_free_port_is_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_the_environment_is_ours_on_top_of_the_plans_on_top_of_the_inherited_one(workshop: Workshop) -> None:
    plan = workshop.plan(nproc=1, attempt=2, env={"MINE": "1", "UGRO_ATTEMPT": "9"}, extra_pythonpath=(Path("/lent"),))
    inherited = {"HOME": "/h", "MINE": "0", "PYTHONPATH": "/a:/b", "TORCHELASTIC_ERROR_FILE": "/x", "PET_NNODES": "4"}
    assert plan.environment(inherited, "t0ken") == {
        "HOME": "/h",
        "MINE": "1",
        "PYTHONPATH": "/a:/b:/lent",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(usable_cores()),
        "UGRO_JOB_ID": "job",
        "UGRO_METRICS_DIR": str(workshop.metrics_dir),
        "UGRO_ATTEMPT": "2",
        "UGRO_LAUNCH_TOKEN": "t0ken",
    }


@pytest.mark.parametrize(
    ("nproc", "inherited", "threads"),
    [(1, {}, str(usable_cores())), (100_000, {}, "1"), (1, {"OMP_NUM_THREADS": "7"}, "7")],
)
def test_cores_are_shared_out_unless_the_user_says_otherwise(
    workshop: Workshop, nproc: int, inherited: dict[str, str], threads: str
) -> None:
    assert workshop.plan(nproc=nproc).environment(inherited, "t")["OMP_NUM_THREADS"] == threads


def test_an_empty_search_path_stays_empty(workshop: Workshop) -> None:
    """An empty entry would mean the working directory."""
    assert workshop.plan().environment({"PYTHONPATH": ""}, "t")["PYTHONPATH"] == ""
    assert workshop.plan(extra_pythonpath=(Path("/lent"),)).environment({}, "t")["PYTHONPATH"] == "/lent"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"job_id": "../up"}, "is not a job id"),
        ({"nproc": 0}, "the number of ranks of job job cannot be 0"),
        ({"attempt": 0}, "the attempt of job job cannot be 0"),
        ({"script": Path("nowhere.py")}, "there is no training script .*nowhere.py"),
        ({"python": "/nowhere/python3"}, "there is no Python /nowhere/python3"),
        ({"args": ("a\0b",)}, "'a␀b' holds a zero byte"),
        ({"args": ("a\ud800",)}, "'a�' holds a character that cannot be given"),
        ({"env": {"NAME": "a\0b"}}, "holds a zero byte"),
        ({"env": {"A=B": "c"}}, "'A=B' cannot name an environment variable"),
        ({"workdir": Path("/nowhere")}, "there is no folder /nowhere"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_by_name(workshop: Workshop, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        workshop.start(workshop.plan(**changes))
    assert not workshop.metrics_dir.exists()


def test_a_python_without_torch_is_refused_with_the_remedy(workshop: Workshop) -> None:
    bare = workshop.folder / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True, timeout=90)
    with pytest.raises(LaunchError, match=r"torch is not installed for .*/bare/bin/python.* -m pip install torch"):
        workshop.start(workshop.plan(python=str(bare / "bin" / "python"), env={"PYTHONPATH": ""}))
    assert not workshop.metrics_dir.exists()


def test_a_python_that_does_not_run_is_refused_with_its_own_words(workshop: Workshop) -> None:
    broken = workshop.folder / "python"
    broken.write_text("#!/bin/sh\necho library missing >&2\nexit 4\n")
    broken.chmod(0o755)
    with pytest.raises(LaunchError, match="python does not run: library missing; repair it"):
        workshop.start(workshop.plan(python=str(broken)))
    broken.write_text("neither a script nor a program")
    with pytest.raises(LaunchError, match=r"python does not run: .*Exec format error"):
        workshop.start(workshop.plan(python=str(broken)))


def test_a_job_id_that_is_taken_is_refused(workshop: Workshop) -> None:
    (workshop.metrics_dir / "job").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"job job exists already in .*jobs: choose another name"):
        workshop.start(workshop.plan())
    assert list((workshop.metrics_dir / "job").iterdir()) == []


def test_a_metrics_directory_that_cannot_be_made_is_refused(workshop: Workshop) -> None:
    workshop.metrics_dir.write_text("a file in the way")
    with pytest.raises(LaunchError, match=r"cannot make the job's folder: .*choose another metrics directory"):
        workshop.start(workshop.plan())


def test_a_disk_that_takes_no_manifest_leaves_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LaunchError, match=r"cannot write job\.json in .*No space left on device"):
        workshop.start(workshop.plan())
    assert list(workshop.metrics_dir.iterdir()) == []


def test_a_start_that_fails_at_the_last_moment_is_recorded_as_failed(workshop: Workshop) -> None:
    folder = workshop.metrics_dir / "job"
    folder.mkdir(parents=True)
    (folder / "logs").write_text("a file in the way")
    with pytest.raises(UgroError, match="job job could not be started: "):
        workshop.start(workshop.plan(attempt=2))
    assert workshop.manifest().status == "failed"
    shutil.rmtree(folder)
