"""What starts and stops the ranks of a job: torchrun over SSH or on this machine, or Slurm. One contract for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from ugro_tui.core.launching import LaunchPlan, LaunchRequest, NodeProgress

Telling: TypeAlias = Callable[[NodeProgress], None]
"""Takes how far one node is; called from any thread, and never slow."""


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """What one node (or Slurm of a node) says of a job. `problem`: why it says nothing; then nothing else counts.

    `alive`: processes of the job that live there; None: not known. `exit_code` and `signal` are the agent's, None while
    it runs or where nobody wrote them down.
    """

    node: str
    problem: str = ""
    alive: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class JobStanding:
    """Where a job stands. `status`: pending, running, finished, failed, stopped or unknown, as in job.json.

    `said`: what a person may want to know besides, such as why it waits and its place in the queue.
    """

    status: str
    attempt: int = 1
    said: str = ""
    nodes: tuple[NodeStanding, ...] = ()
    exits: Mapping[int, int] = field(default_factory=dict)
    """Exit codes of ranks that failed, minus a signal's number, where they are known."""
    exit_code: int | None = None
    """Of the agent that failed first, as `signal`; one of them is None."""
    signal: int | None = None
    ended: float | None = None
    """Unix seconds, by the clock of the node that ended last."""
    backend: str = ""
    """What has launched it, as in job.json; empty: not known."""
    request: LaunchRequest | None = None
    """What was asked for, where it was launched by us."""
    placed: tuple[str, ...] = ()
    """The nodes of its newest attempt in the order of their ranks, where all of them can be asked from here."""

    @property
    def over(self) -> bool:
        """Whether it runs no more and will not."""
        return self.status in ("finished", "failed", "stopped")


class Backend(Protocol):
    """One way to run a job. Each call may take its time, up to a deadline of its own; several may run at once."""

    def plan(self, request: LaunchRequest, token: str) -> LaunchPlan:
        """What would be done; nothing is changed. `token` (32 hexadecimal digits) marks this launch and no other.

        Raises:
            BadInput: what is asked for cannot be started by anyone.
            UgroError: a node that must be asked does not answer.
        """
        ...

    def preflight(self, plan: LaunchPlan, told: Telling) -> tuple[str, ...]:
        """Look, on all nodes at once, whether the plan can work; the warnings. Nothing is changed.

        Raises:
            BadInput, LaunchError: it cannot: where, why and what to do.
        """
        ...

    def start(self, plan: LaunchPlan, told: Telling) -> None:
        """Bring what is to be copied, and start all: detached, so that it outlives us. All or nothing.

        A launch that is repeated with the token of one that was started finds it and starts nothing.

        Raises:
            LaunchError: it was not started, and nothing of it runs.
        """
        ...

    def look(self, job_id: str, *, brief: bool = False) -> JobStanding:
        """Where the job stands now, whoever started it. `brief`: processes need not be counted.

        Raises:
            BadInput: there is no such job.
            UgroError: nobody who could know it answers.
        """
        ...

    def finalize(self, job_id: str, standing: JobStanding) -> None:
        """Write into job.json how a job ended, where that is not there yet."""
        ...

    def stop(self, job_id: str, grace: float, told: Telling) -> JobStanding:
        """End all its processes everywhere: SIGTERM, and SIGKILL after `grace` seconds; cancel what waits.

        "stopped" is recorded, unless it was over before.

        Raises:
            BadInput: there is no such job.
            StopError: something may run on; where, why and what to do.
        """
        ...
