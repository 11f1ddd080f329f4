"""Slurm as a backend: a script for sbatch, submitted on the login node (or here), and what Slurm says of the job.

The script writes its beginning and its end into job.json itself, so that they are known when Slurm has forgotten the
job. Where it could not (a node died, it was killed), Slurm is asked, and whoever watches writes it down.
"""

from __future__ import annotations

from collections.abc import Mapping

from ugro_tui.act.backend import JobStanding, Telling
from ugro_tui.act.brought import Typed
from ugro_tui.act.clerk import Clerk
from ugro_tui.act.cluster import Cluster
from ugro_tui.act.scheduler import QUEUE_SECONDS
from ugro_tui.act.sites import Site
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.launching import LaunchPlan, LaunchRequest
from ugro_tui.core.ports import Clock
from ugro_tui.core.sbatch import check_request
from ugro_tui.core.text import visible
from ugro_tui.nodes.inventory import LOCAL


class SlurmBackend:
    """The `Backend` for jobs of Slurm. `sites` by name are those that may be login nodes, this machine among them.

    `typed`: what a person has typed as a secret, by its key. `pace`: as `QUEUE_SECONDS`.
    """

    def __init__(
        self,
        sites: Mapping[str, Site],
        clock: Clock,
        typed: Typed = lambda _: None,
        pace: float = QUEUE_SECONDS,
    ) -> None:
        """Nothing is asked yet."""
        self._clusters = {name: Cluster(Clerk(site), clock, typed, pace) for name, site in sites.items()}
        self._homes: dict[str, Cluster] = {}

    def plan(self, request: LaunchRequest, token: str) -> LaunchPlan:
        """See `Backend.plan`; the node that submits is told in the plan."""
        check_request(request)
        return self._clusters[self._login(request.slurm.login)].plan(request, token)

    def preflight(self, plan: LaunchPlan, told: Telling) -> tuple[str, ...]:
        """See `Backend.preflight`."""
        return self._clusters[plan.nodes[0].node].preflight(plan, told)

    def start(self, plan: LaunchPlan, told: Telling) -> None:
        """See `Backend.start`; a job that waits in the queue is started."""
        self._clusters[plan.nodes[0].node].start(plan, told)

    def look(self, job_id: str, *, brief: bool = False) -> JobStanding:  # noqa: ARG002
        """See `Backend.look`."""
        return self._home(job_id).look(job_id)

    def finalize(self, job_id: str, standing: JobStanding) -> None:
        """See `Backend.finalize`."""
        self._home(job_id).finalize(job_id, standing)

    def stop(self, job_id: str, grace: float, told: Telling) -> JobStanding:
        """See `Backend.stop`."""
        return self._home(job_id).stop(job_id, grace, told)

    def _login(self, wanted: str) -> str:
        """The name of the node that submits: the only one, if none is named. Raises BadInput."""
        others = [name for name in self._clusters if name != LOCAL] or [LOCAL]
        if wanted in self._clusters or (not wanted and len(others) == 1):
            return wanted or others[0]
        if wanted:
            raise BadInput(
                f"--login: no node {visible(wanted, 80)!r} is known: add it to --nodes ({', '.join(others)})"
            )
        raise BadInput(f"--login: name the one of {', '.join(others)} that submits to Slurm")

    def _home(self, job_id: str) -> Cluster:
        """The cluster that has the job. Raises BadInput, UgroError."""
        if job_id in self._homes:
            return self._homes[job_id]
        silent = []
        for cluster in self._clusters.values():
            try:
                known = cluster.knows(job_id)
            except UgroError as error:
                silent.append(error)
                continue
            if known:
                return self._homes.setdefault(job_id, cluster)
        if silent:
            raise silent[0]
        raise BadInput(f"there is no job {visible(job_id, 80)} of Slurm on {', '.join(self._clusters)}")
