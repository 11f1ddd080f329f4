"""Jobs of a real Slurm with what they bring along, and what becomes of them when Slurm runs them again, or is away."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from tests.act.slurm_shop import Shop, shop
from tests.leaks import places_of
from tests.slurm_cluster import Cluster, cluster
from tests.writing import wait_until
from ugro_tui.core.errors import UgroError
from ugro_tui.core.launching import SlurmOptions

__all__ = ["cluster", "shop"]

ONE_NODE = SlurmOptions(nodes=1)


def test_secrets_and_code_come_along_and_secrets_are_nowhere_but_with_the_ranks(shop: Shop, tmp_path: Path) -> None:
    key, typed = (f"{word}-{os.urandom(8).hex()}" for word in ("in-a-file", "typed"))
    code = tmp_path / "my code"
    (code / "sub dir" / "__pycache__").mkdir(parents=True)
    (code / "sub dir" / "__pycache__" / "x.pyc").touch()
    (code / "sub dir" / "train.py").write_text("import near\n" + shop.script.read_text())
    (code / "sub dir" / "near.py").touch()
    file = tmp_path / "key"
    file.write_text(f"{key}\n")
    shop.typed["secret TYPED of job job"] = typed
    secrets = {"KEY": str(file), "TYPED": ""}
    plan = shop.launch(
        "tells", script="train.py", workdir="sub dir", sync_code=str(code), secrets=secrets, nproc=2, slurm=ONE_NODE
    )
    shop.ready()
    told, place = json.loads(shop.log("rank_1").splitlines()[2])
    assert told == [hashlib.sha256(word.encode()).hexdigest() for word in (key, typed, "")]
    assert place == str(shop.root / "job" / "code" / "1" / "sub dir")
    assert not list((shop.root / "job").rglob("x.pyc"))

    lent = shop.root / "job" / "launch" / "secrets.json"
    assert lent.stat().st_mode & 0o777 == 0o600
    for word in (key, typed):
        allowed = {str(lent), str(file)} if word == key else {str(lent)}
        assert set(places_of(word, tmp_path, shop.cluster.folder)) == allowed
        assert word not in shop.cluster.says("scontrol", "write", "batch_script", shop.document()["slurm_job_id"], "-")
        assert word not in repr((plan, shop.executed, shop.progress))

    standing = shop.backend.stop("job", 20.0, shop.progress.append)
    assert (standing.status, standing.said[:11]) == ("stopped", "stopped by ")
    assert not lent.exists()


@pytest.mark.acceptance
def test_a_requeue_is_another_attempt_and_no_failure_whoever_asked_for_it(shop: Shop) -> None:
    requeued = SlurmOptions(nodes=1, extra=("--requeue", "--nodelist=n3"))
    shop.launch("waits", nproc=2, slurm=requeued)
    shop.ready()
    number = shop.document()["slurm_job_id"]
    shop.cluster.says("scontrol", "requeue", number)
    wait_until(lambda: shop.document()["status"] == "pending")
    assert (shop.document()["said"], shop.document()["attempt"]) == ("pending: requeued by Slurm", 2)
    wait_until(lambda: "BeginTime" in shop.backend.look("job").said)
    standing = shop.backend.look("job")
    assert (standing.status, standing.attempt) == ("pending", 2)

    wait_until(lambda: "== attempt 2: rank 0 of 2 " in shop.log("rank_0"), 90)
    assert (shop.document()["status"], shop.document()["said"]) == ("running", "")
    (shop.root / "job" / "launch" / "clerk.py").unlink()  # its script can write down nothing any more
    shop.cluster.says("scontrol", "requeue", number)
    wait_until(lambda: "BeginTime" in shop.backend.look("job").said)
    assert (shop.document()["status"], shop.document()["attempt"]) == ("running", 2)
    standing = shop.backend.look("job")
    assert (standing.status, standing.attempt) == ("pending", 3)
    shop.backend.finalize("job", standing)
    shop.backend.finalize("job", standing)  # once more: nothing is counted twice
    assert (shop.document()["status"], shop.document()["attempt"]) == ("pending", 3)
    standing = shop.backend.stop("job", 20.0, shop.progress.append)
    assert (standing.status, shop.document()["status"]) == ("stopped", "stopped")


def test_a_node_that_fails_fails_the_job_with_the_reason(shop: Shop) -> None:
    shop.launch("waits", nproc=2, slurm=SlurmOptions(nodes=1, extra=("--nodelist=n4",)))
    shop.ready()
    shop.cluster.says("scontrol", "update", "NodeName=n4", "State=DOWN", "Reason=test")
    assert shop.until("failed").said == "failed: a node failed"


@pytest.mark.acceptance
def test_the_limit_of_time_is_told_as_the_reason(shop: Shop) -> None:
    shop.launch("waits", nproc=2, slurm=SlurmOptions(nodes=1, time="1"))
    shop.ready()
    shop.cluster.says("scontrol", "update", f"JobId={shop.document()['slurm_job_id']}", "EndTime=now")
    assert shop.until("failed").said == "failed: its time was over"


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--requeue",), "pending", "pending: requeued by Slurm: it was preempted by a job that comes first"),
        pytest.param((), "failed", "failed: it was preempted by a job that comes first", marks=pytest.mark.acceptance),
    ],
)
def test_a_job_that_makes_room_for_another_is_told_so(
    shop: Shop, options: tuple[str, ...], status: str, said: str
) -> None:
    shop.launch("waits", nproc=2, slurm=SlurmOptions(nodes=1, extra=("--exclusive", "--nodelist=n2", *options)))
    shop.ready()
    shop.cluster.says("sbatch", "-p", "urgent", "--exclusive", "--nodelist=n2", "-o", "/dev/null", "--wrap", "sleep 1")
    wait_until(lambda: shop.document()["status"] != "running")
    found = shop.document()
    assert (found["status"], found["said"], found["attempt"]) == (status, said, 2 if options else 1)


@pytest.mark.acceptance
def test_a_job_that_takes_more_memory_than_it_asked_for_ran_out_of_it(shop: Shop) -> None:
    shop.script.write_text("import signal\nheld = bytearray(600 << 20)\nsignal.alarm(40)\nsignal.pause()\n")
    shop.launch(nproc=1, slurm=SlurmOptions(nodes=1, extra=("--mem=200",)))
    assert shop.until("failed").said.startswith("failed: out of memory: ")


@pytest.mark.acceptance
def test_while_slurmctld_is_away_a_job_is_unknown_and_has_not_failed(shop: Shop, cluster: Cluster) -> None:
    shop.launch("waits", nproc=2, slurm=ONE_NODE)
    shop.ready()
    cluster.stop_controller()
    try:
        standing = shop.backend.look("job")
        assert standing.status == "unknown"
        assert "squeue does not answer: " in standing.said
        assert "Unable to contact slurm controller" in standing.said
        shop.backend.finalize("job", standing)
        assert shop.document()["status"] == "running"
        with pytest.raises(UgroError, match="is slurmctld up"):
            shop.backend.stop("job", 20.0, shop.progress.append)
    finally:
        cluster.start_controller()
    wait_until(lambda: shop.backend.look("job").status == "running")
    assert shop.backend.stop("job", 20.0, shop.progress.append).status == "stopped"


TRAINS = """
import torch, torch.distributed as dist
from ugro_emitter import MetricsEmitter
dist.init_process_group("gloo")
emitter = MetricsEmitter()
for step in range(3):
    x = torch.ones(1)
    dist.all_reduce(x)
    emitter.emit_step(step, loss=float(x))
emitter.close()
dist.destroy_process_group()
"""


@pytest.mark.acceptance
@pytest.mark.parametrize("rendezvous", ["static", "c10d"])
def test_a_real_torchrun_meets_on_two_nodes_whose_names_nobody_resolves(shop: Shop, rendezvous: str) -> None:
    shop.script.write_text(TRAINS)
    shop.launch(rendezvous=rendezvous, nproc=1, python=sys.executable, slurm=SlurmOptions(nodes=2))
    assert shop.until("finished").exit_code == 0
    lines = [json.loads(line) for path in (shop.root / "job").glob("metrics*1*") for line in path.open()]
    assert [line["loss"] for line in lines if line.get("step") == 2] == [2.0]
