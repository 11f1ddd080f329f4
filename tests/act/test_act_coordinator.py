"""`LaunchCoordinator`: what it asks of a backend, what screens are told meanwhile, and who collects."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ugro_tui.act.backend import JobStanding, Telling
from ugro_tui.act.coordinator import LaunchCoordinator
from ugro_tui.act.errors import LaunchError
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import Backend, LaunchPlan, LaunchRequest, LaunchView, NodePlan, NodeProgress, Stage


class FakeBackend:
    """Says what it is asked for; `wrong` is raised by `start`."""

    def __init__(self, standing: JobStanding, wrong: LaunchError | None = None) -> None:
        self.asked: list[str] = []
        self.standing = standing
        self._wrong = wrong

    def plan(self, request: LaunchRequest, token: str) -> LaunchPlan:
        self.asked.append("plan")
        return LaunchPlan(request, 1, 1, token, (NodePlan("n1", 0, 1, 0, ("python",), "/"),))

    def preflight(self, plan: LaunchPlan, told: Telling) -> tuple[str, ...]:
        self.asked.append("preflight")
        told(NodeProgress(plan.nodes[0].node, Stage.PREFLIGHT))
        return ("n1: its clock is 90 s ahead",)

    def start(self, plan: LaunchPlan, told: Telling) -> None:
        self.asked.append("start")
        told(NodeProgress(plan.nodes[0].node, Stage.VERIFYING))
        if self._wrong is not None:
            raise self._wrong
        told(NodeProgress(plan.nodes[0].node, Stage.RUNNING))

    def look(self, job_id: str, *, brief: bool = False) -> JobStanding:
        self.asked.append(f"look {job_id}{' in brief' if brief else ''}")
        return self.standing

    def finalize(self, job_id: str, standing: JobStanding) -> None:
        self.asked.append(f"finalize {job_id} {standing.status}")

    def stop(self, job_id: str, grace: float, told: Telling) -> JobStanding:
        self.asked.append(f"stop {job_id} {grace:.0f}")
        told(NodeProgress("n1", Stage.DONE))
        return replace(self.standing, status="stopped")


class Collected:
    """Notes what is collected."""

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def start_collection(self, job_id: str) -> None:
        self.jobs.append(job_id)

    def stop_collection(self, job_id: str) -> None:
        self.jobs.remove(job_id)


REQUEST = LaunchRequest("job", "train.py", ("--steps", "5"))


def test_a_launch_is_looked_at_started_and_collected_and_told_step_by_step() -> None:
    backend, collected, views = FakeBackend(JobStanding("running")), Collected(), list[LaunchView]()
    coordinator = LaunchCoordinator({Backend.SSH: backend}, collected, views.append)
    plan = coordinator.launch(REQUEST)
    assert backend.asked == ["plan", "preflight", "start"]
    assert collected.jobs == ["job"]
    stages = list(dict.fromkeys(view.stage for view in views))
    assert stages == [Stage.PREFLIGHT, Stage.STARTING, Stage.VERIFYING, Stage.RUNNING]
    assert (views[-1].plan, views[-1].warnings) == (plan, ("n1: its clock is 90 s ahead",))
    assert views[-1].nodes == (NodeProgress("n1", Stage.RUNNING),)
    assert len(plan.token) == 32
    assert coordinator.plan(REQUEST).token != plan.token


def test_a_launch_that_fails_is_told_and_not_collected() -> None:
    backend, collected, views = (
        FakeBackend(JobStanding("running"), LaunchError("n1: no")),
        Collected(),
        list[LaunchView](),
    )
    coordinator = LaunchCoordinator({Backend.SSH: backend}, collected, views.append)
    with pytest.raises(LaunchError, match="n1: no"):
        coordinator.launch(REQUEST)
    assert (views[-1].stage, views[-1].problem) == (Stage.FAILED, "n1: no")
    assert collected.jobs == []
    with pytest.raises(BadInput, match="--backend slurm cannot be used here"):
        coordinator.launch(replace(REQUEST, backend=Backend.SLURM))


def test_who_started_a_job_ends_it_and_writes_down_how_it_ended() -> None:
    ssh, slurm = (
        FakeBackend(JobStanding("running", backend="slurm")),
        FakeBackend(JobStanding("failed", backend="slurm")),
    )
    coordinator = LaunchCoordinator({Backend.SSH: ssh, Backend.SLURM: slurm}, Collected(), lambda _: None)
    assert coordinator.finalize("job").status == "failed"
    assert slurm.asked == ["look job", "finalize job failed"]
    coordinator.stop("job", 3)
    assert slurm.asked[2:] == ["stop job 3"]
    assert not any(word.startswith("stop") for word in ssh.asked)


def test_a_job_is_started_again_by_its_own_plan() -> None:
    backend = FakeBackend(JobStanding("failed", request=REQUEST))
    coordinator = LaunchCoordinator({Backend.SSH: backend}, Collected(), lambda _: None)
    assert coordinator.relaunch("job", resume=False) == replace(REQUEST, resume=True)
    backend.standing = JobStanding("failed", request=REQUEST, placed=("gpu2", "gpu1"))
    assert coordinator.relaunch("job", resume=False).nodes == ("gpu2", "gpu1"), "whatever nodes are named now"
    backend.standing = JobStanding("failed", request=REQUEST)
    again = coordinator.relaunch("job", resume=True)
    assert again.words == ("--steps", "5", "--resume")
    backend.standing = JobStanding("failed", request=again)
    assert coordinator.relaunch("job", resume=True).words == ("--steps", "5", "--resume")
    assert coordinator.relaunch("job", resume=False).words == ("--steps", "5")  # anew is anew
    backend.standing = JobStanding("unknown")
    with pytest.raises(BadInput, match="was not launched by ugro-tui"):
        coordinator.relaunch("job", resume=False)
