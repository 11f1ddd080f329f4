"""The options: what is accepted, what is refused with which words, and that asking for help costs no torch."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from train.train_production import FAULT_GRAMMAR, Fault, Faults, parse_arguments, parse_fault


@pytest.mark.parametrize(
    ("text", "kind", "rank", "step", "delay"),
    [
        ("nan@500", "nan", None, 500, 0.0),
        ("nan:rank=2@5", "nan", 2, 5, 0.0),
        ("hang:rank=1@300", "hang", 1, 300, 0.0),
        ("crash@400", "crash", 0, 400, 0.0),
        ("kill:rank=12@1", "kill", 12, 1, 0.0),
        ("slow-data:rank=1:80ms@200", "slow-data", 1, 200, 0.08),
        ("slow-forward:7.5ms@3", "slow-forward", 0, 3, 0.0075),
        ("slow-backward:rank=0:1000ms@9", "slow-backward", 0, 9, 1.0),
    ],
)
def test_a_fault_is_read(text: str, kind: str, rank: int | None, step: int, delay: float) -> None:
    assert parse_fault(text) == Fault(text, kind, rank, step, delay)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nan",
        "nan@0",
        "nan@-1",
        "nan@x",
        "nan@5 ",
        "NaN@5",
        "explode@5",
        "crash:80ms@5",
        "crash:rank=@5",
        "crash:rank=-1@5",
        "crash:rank=1:rank=2@5",
        "slow-data@5",
        "slow-data:rank=1@5",
        "slow-data:80@5",
        "slow-data:80ms:rank=1@5",
        "slow-optimizer:80ms@5",
        "nan@5,crash@6",
        "nan@٥",
        "nan@5\n",
    ],
)
def test_anything_else_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refusal:
        parse_fault(text)
    assert str(refusal.value) == f"{text!r} is not a fault. A fault is one of:\n{FAULT_GRAMMAR}"


def refusal(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What the parser says to a wrong command line."""
    with pytest.raises(SystemExit) as stop:
        parse_arguments(argv)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_wrong_options_are_refused_by_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "--job-id" in refusal(capsys)
    assert "'../up' cannot name a job" in refusal(capsys, "--job-id", "../up")
    assert "cannot name a job" in refusal(capsys, "--job-id", "a" * 65)
    assert "--inject" in refusal(capsys, "--job-id", "a", "--inject", "nan")
    assert "missing.txt does not exist" in refusal(capsys, "--job-id", "a", "--data", str(tmp_path / "missing.txt"))
    assert "below 1" in refusal(capsys, "--job-id", "a", "--steps", "0")
    assert "--width 100 cannot be split into --heads 3" in refusal(
        capsys, "--job-id", "a", "--width", "100", "--heads", "3"
    )


def test_defaults_that_follow_from_other_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UGRO_METRICS_DIR", raising=False)
    args = parse_arguments(["--job-id", "a", "--metrics-dir", str(tmp_path)])
    assert (args.steps, args.epochs, args.emit_every, args.enable_metrics) == (None, 1, 10, True)
    assert args.checkpoint_dir == tmp_path / "a" / "checkpoints"
    args = parse_arguments(["--job-id", "a", "--steps", "7", "--no-enable-metrics"])
    assert (args.steps, args.epochs, args.enable_metrics) == (7, None, False)
    assert args.metrics_dir == Path.home() / "ugro_data" / "jobs"
    monkeypatch.setenv("UGRO_METRICS_DIR", str(tmp_path))
    assert parse_arguments(["--job-id", "a"]).metrics_dir == tmp_path


def test_a_fault_that_could_never_happen_is_an_error() -> None:
    with pytest.raises(ValueError, match="crash:rank=2@4: there is no rank 2, the ranks are 0 to 1"):
        Faults([parse_fault("crash:rank=2@4")], rank=0, world_size=2, total_steps=10)
    with pytest.raises(ValueError, match="nan@11: there is no step 11, the last one is 10"):
        Faults([parse_fault("nan@11")], rank=0, world_size=2, total_steps=10)


def test_help_is_answered_without_torch(script: Path) -> None:
    program = (
        "import runpy, sys\n"
        f"sys.argv = [{str(script)!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(script)!r}, run_name='__main__')\n"
        "finally:\n"
        "    print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "slow-backward:rank=1:80ms@200" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
