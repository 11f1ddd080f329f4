"""`launch --backend slurm`: its options, and what is said of them. The jobs themselves: tests/act/test_act_slurm.py."""

from __future__ import annotations

import pytest

from tests.cli.support import Call


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--backend", "pbs"], 2, "there is no 'pbs': choose ssh, local, slurm"),
        (["--backend", "slurm", "--local"], 2, "--local and --backend slurm cannot both be"),
        (["--slurm-nodes", "1"], 2, "are for --backend slurm: add it, or leave them out"),
        (["--local", "--partition", "gpu"], 2, "are for --backend slurm: add it, or leave them out"),
        (["--backend", "slurm", "--login", "nowhere"], 2, "--login: no node 'nowhere' is known"),
        (["--backend", "slurm", "--sbatch", "--array=1-9"], 2, "--array of sbatch is set by the launch itself"),
    ],
)
def test_what_slurm_cannot_be_asked_for_is_said(call: Call, words: list[str], code: int, said: str) -> None:
    found, out, err = call("launch", "--name", "job", *words, "--dry-run")
    assert (found, out) == (code, "")
    assert said in err


def test_the_script_is_shown_and_nothing_is_done(call: Call) -> None:
    words = ["--slurm-nodes", "2", "--gpus-per-node", "8", "--partition", "gpu", "--account", "lab", "--time", "2-0"]
    code, out, _ = call("launch", "--name", "job", "--backend", "slurm", *words, "--sbatch=--exclusive", "--dry-run")
    assert code == 0
    assert "job job, attempt 1: 16 ranks" in out
    for line in (*("nodes=2", "gpus-per-node=8", "partition=gpu", "account=lab", "time=2-0"), "exclusive"):
        assert f"\n#SBATCH --{line}\n" in out
