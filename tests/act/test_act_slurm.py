"""Jobs of a real Slurm: real daemons and commands, an agent and ranks that need no torch."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.act.slurm_shop import Shop, shop
from tests.nodes.following import Follower
from tests.slurm_cluster import cluster
from tests.writing import wait_until
from ugro_tui.act.errors import LaunchError
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import LaunchPlan, NodeProgress, SlurmOptions, Stage
from ugro_tui.nodes import helper_batch
from ugro_tui.nodes.helper_processes import of_launch
from ugro_tui.nodes.local import LocalNode

__all__ = ["cluster", "shop"]

AWKWARD = (
    "--", "-m", "a b", "", "'q' \"qq\" \\", ";$(touch x)`y` && $HOME", "two\nlines\n#SBATCH --nodes=900", "ä→", "*", "~"
)  # fmt: skip


def nothing_lives(plan: LaunchPlan) -> bool:
    return of_launch(plan.request.job_id, plan.token, ()) == {}


def test_a_job_runs_on_two_nodes_as_it_was_shown_and_all_arrives_as_it_was_given(shop: Shop) -> None:
    environment = {"MINE": "a 'b' $(c)\n%j"}
    plan = shop.launch("well", *AWKWARD, environment=environment)
    number = shop.document()["slurm_job_id"]
    shop.backend.start(plan, shop.progress.append)  # once more: it is found
    assert shop.document()["slurm_job_id"] == number
    assert shop.cluster.says("squeue", "-h", "-t", "all", "-o", "%k").count(plan.token) == 1
    assert shop.cluster.says("scontrol", "write", "batch_script", number, "-").strip() == plan.script.strip()

    standing = shop.until("finished")
    assert [node.node for node in standing.nodes] == ["n1", "n2"]
    assert [node.exit_code for node in standing.nodes] == [0, None]
    manifest = shop.document()
    assert (manifest["backend"], manifest["status"], manifest["exit_code"]) == ("slurm", "finished", 0)
    assert (plan.world_size, manifest["world_size"], manifest["slurm_nodes"]) == (4, 4, "n[1-2]")
    follower = Follower(LocalNode(shop.root, time.time))
    follower.look()
    for rank, told in enumerate(follower.texts()[name] for name in sorted(follower.texts())):
        start = json.loads(told.splitlines()[0])
        assert (start["rank"], start["attempt"], start["job_id"]) == (rank, 1, "job")
        header, arguments = shop.log(f"rank_{rank}").splitlines()
        assert header.startswith(f"== attempt 1: rank {rank} of 4 on ")
        assert json.loads(arguments) == list(AWKWARD)
    assert rank == 3
    with pytest.raises(BadInput, match="job job exists already"):
        shop.launch()


ONE_NODE = SlurmOptions(nodes=1)


def test_a_rank_that_fails_fails_the_job_with_its_code_and_the_next_attempt_is_another_job_of_slurm(shop: Shop) -> None:
    shop.launch("fails", nproc=2, slurm=ONE_NODE)
    standing = shop.until("failed")
    assert (standing.said, standing.exits) == ("failed: rank 1 ended with exit code 7", {1: 7})
    first = shop.document()
    number = first["slurm_job_id"]
    assert shop.cluster.says("squeue", "-h", "-t", "all", "-j", number, "-o", "%T %r") == "FAILED NonZeroExitCode\n"
    assert (first["status"], first["exit_code"], first["exits"]) == ("failed", 1, {"1": 7})
    (shop.root / "job" / "errors" / "rank_9.json").write_text("{}")

    assert standing.request == shop.request("fails", nproc=2, slurm=ONE_NODE)
    plan = shop.launch("well", resume=True, slurm=ONE_NODE)
    assert (plan.attempt, plan.world_size, shop.until("finished").attempt) == (2, 1, 2)
    assert shop.document()["slurm_job_id"] != number
    assert not (shop.root / "job" / "errors" / "rank_9.json").exists()
    assert "== attempt 2: rank 0 of 1 on " in shop.log("rank_0")


def test_a_job_waits_with_its_reason_and_place_and_cancelled_it_never_runs(shop: Shop) -> None:
    first = shop.launch("waits", nproc=2, slurm=SlurmOptions(nodes=1, extra=("--exclusive", "--nodelist=n2")))
    plan = shop.launch(job_id="next", slurm=SlurmOptions(nodes=4))
    held = shop.launch(job_id="held", slurm=SlurmOptions(extra=("--hold",)))
    wait_until(lambda: "Resources" in shop.backend.look("next").said)
    standing = shop.backend.look("next")
    assert standing.status == "pending"
    assert standing.said.startswith("pending: Resources (no nodes are free that fit), 1st in the queue")
    shop.backend.finalize("next", standing)
    assert shop.document("next")["said"] == standing.said
    assert shop.backend.look("held").said.startswith("pending: JobHeldUser (held: `scontrol release` lets it go), ")
    folder, standing = str(shop.root / "held"), shop.backend.look("held")
    helper_batch.change(folder, held.token, {"status": "running", "said": ""})  # it begins after it was looked at
    shop.backend.finalize("held", standing)
    assert (shop.document("held")["status"], shop.document("held")["attempt"]) == ("running", 1)
    helper_batch.change(folder, held.token, {"status": "pending"})
    shop.ready()
    standing = shop.backend.look("job")
    assert (standing.status, standing.said) == ("running", "running, on n2")
    with pytest.raises(LaunchError, match="attempt 1 of it has not ended: stop it first"):
        shop.launch(resume=True)

    for job_id in ("next", "held", "job"):
        assert shop.backend.stop(job_id, 20.0, shop.progress.append).status == "stopped"
        assert shop.document(job_id)["status"] == "stopped"
    assert all(nothing_lives(one) for one in (first, plan, held))
    assert not list((shop.root / "next").glob("metrics*"))
    assert Stage.STOPPING in {one.stage for one in shop.progress}
    assert "SIGKILL" not in {one.said for one in shop.progress}


def test_ranks_that_ignore_sigterm_are_killed_after_the_grace(shop: Shop) -> None:
    plan = shop.launch("stubborn", nproc=2, slurm=ONE_NODE)
    shop.ready()
    assert not nothing_lives(plan)
    assert shop.backend.stop("job", 0.5, shop.progress.append).status == "stopped"
    assert "SIGKILL" in {one.said for one in shop.progress}
    wait_until(lambda: nothing_lives(plan))


def test_what_others_do_with_scancel_is_told_too(shop: Shop) -> None:
    shop.launch("waits", nproc=2, slurm=ONE_NODE)
    shop.ready()
    shop.cluster.says("scancel", shop.document()["slurm_job_id"])
    assert shop.until("stopped").said == "stopped: cancelled by scancel, not by ugro-tui"

    shop.launch("waits", nproc=2, slurm=ONE_NODE, resume=True)
    wait_until(lambda: shop.document()["status"] == "running")
    number = shop.document()["slurm_job_id"]
    shop.cluster.says("scancel", "--signal=KILL", "--batch", number)  # its script can write down nothing
    wait_until(lambda: not shop.cluster.says("squeue", "-h", "-j", number, "-o", "%i"))
    assert shop.document()["status"] == "running"
    standing = shop.backend.look("job")
    assert (standing.status, standing.nodes[0].signal) == ("failed", 9)
    shop.backend.finalize("job", standing)
    assert (shop.document()["status"], shop.document()["signal"]) == ("failed", 9)


def test_what_slurm_refuses_is_told_in_its_own_words_and_leaves_nothing(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nope = SlurmOptions(partition="nope")
    with pytest.raises(LaunchError, match=r"^local: Slurm does not take the job: .*partition.* nope"):
        shop.launch(slurm=nope)
    plan = shop.backend.plan(shop.request(slurm=nope), "0" * 32)
    with pytest.raises(LaunchError, match=r"^job job was not submitted: local: Slurm does not .*partition.* nope"):
        shop.backend.start(plan, shop.progress.append)
    assert not (shop.root / "job").exists()
    with pytest.raises(BadInput, match=r"there is no job job in .* to start again"):
        shop.launch(resume=True)
    with pytest.raises(LaunchError, match=r"there is no training script .*/none\.py"):
        shop.launch(script="none.py")

    def interrupted(progress: NodeProgress) -> None:
        if progress.stage is Stage.VERIFYING:
            raise KeyboardInterrupt

    plan = shop.backend.plan(shop.request("waits", slurm=SlurmOptions(extra=("--hold",))), "1" * 32)
    with pytest.raises(KeyboardInterrupt):
        shop.backend.start(plan, interrupted)  # submitted, and taken back
    assert not (shop.root / "job").exists()
    assert not shop.cluster.says("squeue", "-h", "-o", "%i")

    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "python3"):
        (tools / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(LaunchError, match="local: there is no sbatch: is it the login node"):
        shop.launch()
