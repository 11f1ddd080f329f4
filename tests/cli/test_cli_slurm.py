"""`launch --backend slurm`: its options, what is said of them, and jobs of a real Slurm by its login node."""

from __future__ import annotations

import json
import os

import pytest

from tests.act.slurm_shop import Shop, shop
from tests.cli.support import Call
from tests.slurm_cluster import cluster
from tests.sshd import Fleet, fleet
from tests.writing import wait_until
from ugro_tui import waiting

__all__ = ["cluster", "fleet", "shop"]


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
    assert "\n2 nodes of Slurm, each: 8 ranks\n" in out
    for line in (*("nodes=2", "gpus-per-node=8", "partition=gpu", "account=lab", "time=2-0"), "exclusive"):
        assert f"\n#SBATCH --{line}\n" in out


def test_jobs_are_launched_stopped_cancelled_and_started_again_by_a_login_node(
    shop: Shop, fleet: Fleet, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.2)
    login = fleet.add(env={"SLURM_CONF": str(shop.cluster.conf), "PATH": os.environ["PATH"]})
    on = ["--nodes", login.name, "--ssh-config", str(fleet.ssh_config)]

    def launch(name: str, mode: str, *words: str) -> tuple[int, str, str]:
        asked = ["--backend", "slurm", "--python", str(shop.python), "--nproc", "2", *words, *on]
        return call("launch", "--name", name, *asked, "--", str(shop.script), mode)

    code, out, err = launch("dies", "dies", "--wait")
    assert (code, out.splitlines()[-1]) == (1, "job dies: failed: rank 1 ended by signal 9")
    assert "n1: verifying: submitted: job " in err
    code, out, _ = call("relaunch", "dies", "--resume", "--wait", *on)
    assert (code, out.splitlines()[-1]) == (0, "job dies: finished")
    assert "2 ranks on 1 node, submitted by n1, attempt 2" in out

    assert launch("held", "waits", "--sbatch=--hold")[0] == 0
    code, out, _ = launch("runs", "waits")
    assert (code, out.splitlines()[0]) == (0, "job runs waits for Slurm: 2 ranks on 1 node, submitted by n1")
    logs = [login.metrics / "runs" / "logs" / f"rank_{rank}.log" for rank in range(2)]
    wait_until(lambda: all(log.exists() and "ready" in log.read_text() for log in logs))
    found = {job["job_id"]: job["status"] for job in json.loads(call("status", "--json", *on)[1])["jobs"]}
    assert found == {"dies": "finished", "held": "pending", "runs": "running"}
    for command, name in (("cancel", "held"), ("stop", "runs")):
        code, out, _ = call(command, name, "--yes", *on)
        assert (code, out.startswith(f"job {name}: stopped by ")) == (0, True)
        assert json.loads((login.metrics / name / "job.json").read_bytes())["status"] == "stopped"
