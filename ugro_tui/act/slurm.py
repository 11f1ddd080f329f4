"""Slurm as a backend: a script for sbatch, submitted on the login node (or here), and what Slurm says of the job.

The script writes its beginning and its end into job.json itself, so that they are known when Slurm has forgotten the
job. Where it could not (a node died, it was killed), Slurm is asked, and whoever watches writes it down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ugro_tui.act import slurm_standing
from ugro_tui.act.backend import JobStanding, Telling
from ugro_tui.act.clerk import Clerk, Manifest, Survey, Told, brought
from ugro_tui.act.errors import LaunchError, StopError
from ugro_tui.act.scheduler import Scheduler
from ugro_tui.act.sites import Site
from ugro_tui.act.standing import news_of
from ugro_tui.act.submission import attempt_of, missing, place_of, record_of, warnings
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.launching import LaunchPlan, LaunchRequest, NodePlan, NodeProgress, Stage
from ugro_tui.core.ports import Clock
from ugro_tui.core.sbatch import MARK, Run, agent_command, check_request, script_of
from ugro_tui.core.slurm import sentence
from ugro_tui.core.states import JobStatus
from ugro_tui.core.text import visible
from ugro_tui.nodes.inventory import LOCAL

PYTHON = "python3"

_POLL_SECONDS = 0.5
_KILL_SECONDS = 5.0
"""How long after SIGKILL the script has to write down its end."""
_CANCEL_SECONDS = 90.0
"""Slurm kills what it cancels after KillWait, 30 s unless the site has changed it."""


class SlurmBackend:
    """The `Backend` for jobs of Slurm. `sites` by name are those that may be login nodes, this machine among them."""

    def __init__(self, sites: Mapping[str, Site], clock: Clock) -> None:
        """Nothing is asked yet."""
        self._clusters = {name: Cluster(Clerk(site), clock) for name, site in sites.items()}
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


class Cluster:
    """A Slurm, by one of its login nodes. Calls from several threads take turns."""

    def __init__(self, clerk: Clerk, clock: Clock) -> None:
        """Nothing is asked yet."""
        self._clerk = clerk
        self._slurm = Scheduler(clerk)
        self._clock = clock
        self._pause = threading.Event()

    def knows(self, job_id: str) -> bool:
        """Whether there is such a job of Slurm. Raises UgroError: it cannot be asked."""
        told = self._clerk.ask("tell", job_id, Told)
        return told.exists and told.manifest.backend == "slurm"

    def plan(self, request: LaunchRequest, token: str) -> LaunchPlan:
        """What would be submitted; see `Backend.plan`.

        Raises:
            BadInput: Slurm cannot be asked for this, the name is taken, or there is nothing to resume.
            UgroError: the login node does not answer.
        """
        survey = self._survey(request)
        run = Run(attempt_of(request, survey), token, request.nproc or request.slurm.gpus_per_node or 1)
        place = place_of(request, survey)
        script = script_of(request, place, run)
        slurm = NodePlan(
            node=self._clerk.name,
            node_rank=0,
            nproc=run.nproc,
            first_rank=0,
            command=agent_command(request, place, run),
            workdir=place.workdir,
            environment=request.environment,
        )
        copies = (f"the entry wrapper and the emitter to {place.lent} on {self._clerk.name}",)
        return LaunchPlan(request, run.attempt, run.nproc * request.slurm.nodes, token, (slurm,), copies, script)

    def preflight(self, plan: LaunchPlan, told: Telling) -> tuple[str, ...]:
        """Whether everything is there, and Slurm would take the script; see `Backend.preflight`."""
        name, request = self._clerk.name, plan.request
        told(NodeProgress(name, Stage.PREFLIGHT, "looking at the shared filesystem"))
        survey = self._survey(request)
        if problem := missing(request, survey):
            raise LaunchError(f"{name}: {problem}")
        told(NodeProgress(name, Stage.PREFLIGHT, "asking Slurm"))
        self._slurm.test(plan.script)
        return warnings(request)

    def start(self, plan: LaunchPlan, told: Telling) -> None:
        """Submit, once however often it is asked for with the plan's token; see `Backend.start`."""
        name, job_id = self._clerk.name, plan.request.job_id
        if plan.attempt > 1:
            self.finalize(job_id, self.look(job_id))
        told(NodeProgress(name, Stage.COPYING, "the entry wrapper and the emitter"))
        record = record_of(plan, self._clock.time())
        claimed = self._clerk.ask("claim", job_id, Told, token=plan.token, record=record, files=brought())
        number = claimed.manifest.slurm_job_id
        if claimed.found and not number:
            number = self._slurm.find(job_id, MARK + plan.token) or ""
        if not number:
            told(NodeProgress(name, Stage.STARTING, "submitting"))
            number = self._submit(plan)
        self._note(job_id, plan.token, slurm_job_id=number)
        told(NodeProgress(name, Stage.VERIFYING, f"submitted: job {number} of Slurm"))

    def look(self, job_id: str) -> JobStanding:
        """Where the job stands; see `Backend.look`.

        Raises:
            BadInput: there is no such job, or it is none of Slurm.
            UgroError: neither the login node nor Slurm answers.
        """
        return self._standing(self._manifest(job_id), job_id)

    def finalize(self, job_id: str, standing: JobStanding) -> None:
        """Write down how a job ended, where its script could not, or why it waits; see `Backend.finalize`."""
        manifest = self._manifest(job_id)
        if manifest.over or standing.attempt != manifest.attempt:
            return
        if standing.status == "pending" == manifest.status and standing.said != manifest.said:
            self._note(job_id, manifest.token, said=standing.said)
        if standing.over:
            self._note(job_id, manifest.token, **news_of(standing, self._clock.time()))

    def stop(self, job_id: str, grace: float, told: Telling) -> JobStanding:
        """Cancel what waits; end what runs: SIGTERM, SIGKILL after `grace` seconds; see `Backend.stop`.

        Raises:
            BadInput: there is no such job, or it is none of Slurm.
            StopError: Slurm does not end it.
            UgroError: neither the login node nor Slurm answers.
        """
        manifest = self._manifest(job_id)
        standing = self._standing(manifest, job_id)
        number = manifest.slurm_job_id or self._slurm.find(job_id, MARK + manifest.token)
        if standing.over or not number:
            return standing
        self._note(job_id, manifest.token, stop_asked=True)
        if standing.status == "pending":
            told(NodeProgress(self._clerk.name, Stage.STOPPING, "scancel"))
            self._slurm.cancel(number)
        else:
            told(NodeProgress(self._clerk.name, Stage.STOPPING, "SIGTERM"))
            self._slurm.signal(number, "TERM")
        standing = self._ended(job_id, number, grace, told)
        self.finalize(job_id, standing)
        told(NodeProgress(self._clerk.name, Stage.DONE, standing.said or standing.status))
        return standing

    def _ended(self, job_id: str, number: str, grace: float, told: Telling) -> JobStanding:
        """Wait for the end, less and less patiently."""
        steps: list[tuple[float, str, Callable[[], None]]] = [
            (grace, "SIGKILL", lambda: self._slurm.signal(f"{number}.0", "KILL")),
            (grace + _KILL_SECONDS, "scancel", lambda: self._slurm.cancel(number)),
        ]
        began = self._clock.monotonic()
        while not (standing := self.look(job_id)).over:
            waited = self._clock.monotonic() - began
            if steps and waited >= steps[0][0]:
                _, said, act = steps.pop(0)
                told(NodeProgress(self._clerk.name, Stage.STOPPING, said))
                act()
            if waited > grace + _CANCEL_SECONDS:
                raise StopError(
                    f"{self._clerk.name}: job {number} of Slurm does not end: {standing.said}; look at it with "
                    f"`scontrol show job {number}`"
                )
            self._pause.wait(_POLL_SECONDS)
        return standing

    def _submit(self, plan: LaunchPlan) -> str:
        """The number that Slurm gave it; where it took nothing, nothing is left of the launch."""
        job_id = plan.request.job_id
        try:
            return self._slurm.submit(plan.script)
        except UgroError as error:
            # A submission whose answer was lost may have come about.
            found = None if isinstance(error, LaunchError) else self._slurm.find(job_id, MARK + plan.token)
            if found is not None:
                return found
            self._clerk.ask("withdraw", job_id, dict[str, Any], token=plan.token)
            raise LaunchError(f"job {job_id} was not submitted: {error}") from error

    def _standing(self, manifest: Manifest, job_id: str) -> JobStanding:
        if manifest.over:
            return slurm_standing.written(manifest)
        number = manifest.slurm_job_id or self._slurm.find(job_id, MARK + manifest.token)
        job = self._slurm.look(number) if number else None
        if job is None:
            # It may have ended, and said so, since we read what it says.
            again = self._manifest(job_id)
            return slurm_standing.written(again) if again.over else slurm_standing.forgotten(manifest, number)
        place = self._slurm.place(job) if job.status is JobStatus.PENDING else None
        if job.status.over and (again := self._manifest(job_id)).over:
            return slurm_standing.written(again, sentence(job))
        return slurm_standing.told(manifest, job, place)

    def _manifest(self, job_id: str) -> Manifest:
        told = self._clerk.ask("tell", job_id, Told)
        if not told.exists:
            raise BadInput(f"there is no job {visible(job_id, 80)} on {self._clerk.name}")
        if told.manifest.backend != "slurm":
            raise BadInput(f"job {visible(job_id, 80)} on {self._clerk.name} was not launched by Slurm for us")
        return told.manifest

    def _note(self, job_id: str, token: str, **news: Any) -> None:
        self._clerk.ask("note", job_id, Told, token=token, news=news)

    def _survey(self, request: LaunchRequest) -> Survey:
        words = {"workdir": request.workdir, "script": request.script, "python": request.python or PYTHON}
        return self._clerk.ask("survey", request.job_id, Survey, **words)
