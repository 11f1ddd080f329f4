"""Slurm as a backend: a script for sbatch, submitted on the login node (or here), and what Slurm says of the job.

The script writes its beginning and its end into job.json itself, so that they are known when Slurm has forgotten the
job. Where it could not (a node died, it was killed), Slurm is asked, and whoever watches writes it down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ugro_tui.act.backend import JobStanding, NodeStanding, Telling
from ugro_tui.act.clerk import BUNDLED, Clerk, Manifest, Survey, Told, brought
from ugro_tui.act.errors import LaunchError, StopError
from ugro_tui.act.manifest import MANIFEST_VERSION, LaunchRecord, this_user
from ugro_tui.act.scheduler import Scheduler
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.launching import LaunchPlan, LaunchRequest, NodePlan, NodeProgress, Stage
from ugro_tui.core.ports import Clock
from ugro_tui.core.sbatch import MARK, Place, Run, agent_command, check_request, script_of
from ugro_tui.core.slurm import SlurmJob, sentence
from ugro_tui.core.states import JobStatus
from ugro_tui.core.text import visible
from ugro_tui.nodes.nodelist import expand, split

PYTHON = "python3"

_POLL_SECONDS = 0.5
_KILL_SECONDS = 5.0
"""How long after SIGKILL the script has to write down its end."""
_CANCEL_SECONDS = 90.0
"""Slurm kills what it cancels after KillWait, 30 s unless the site has changed it."""


class SlurmBackend:
    """Jobs of the cluster that `clerk`'s node submits to. See `Backend`; calls from several threads take turns."""

    def __init__(self, clerk: Clerk, clock: Clock) -> None:
        """Nothing is asked yet."""
        self._clerk = clerk
        self._slurm = Scheduler(clerk)
        self._clock = clock
        self._pause = threading.Event()

    def plan(self, request: LaunchRequest, token: str) -> LaunchPlan:
        """What would be submitted; see `Backend.plan`.

        Raises:
            BadInput: Slurm cannot be asked for this, the name is taken, or there is nothing to resume.
            UgroError: the login node does not answer.
        """
        check_request(request)
        survey = self._survey(request)
        run = Run(_attempt(request, survey), token, request.nproc or request.slurm.gpus_per_node or 1)
        place = _place(request, survey)
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
        if problem := _missing(request, survey):
            raise LaunchError(f"{name}: {problem}")
        told(NodeProgress(name, Stage.PREFLIGHT, "asking Slurm"))
        self._slurm.test(plan.script)
        return tuple(_warnings(request))

    def start(self, plan: LaunchPlan, told: Telling) -> None:
        """Submit, once however often it is asked for with the plan's token; see `Backend.start`."""
        name, job_id = self._clerk.name, plan.request.job_id
        if plan.attempt > 1:
            self.finalize(job_id, self.look(job_id))
        told(NodeProgress(name, Stage.COPYING, "the entry wrapper and the emitter"))
        record = self._record(plan)
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
        """Write down how a job ended, where its script could not; see `Backend.finalize`."""
        manifest = self._manifest(job_id)
        if not standing.over or _over(manifest) or standing.attempt != manifest.attempt:
            return
        first = next(iter(standing.nodes), None)
        code = {"exit_code": first.exit_code, "signal": first.signal} if first else {}
        self._note(job_id, manifest.token, status=standing.status, ended=self._clock.time(), **code)

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
        if _over(manifest):
            return _written(manifest)
        number = manifest.slurm_job_id or self._slurm.find(job_id, MARK + manifest.token)
        job = self._slurm.look(number) if number else None
        if job is None:
            # It may have ended, and said so, since we read what it says.
            again = self._manifest(job_id)
            return _written(again) if _over(again) else _forgotten(manifest, number)
        place = self._slurm.place(job) if job.status is JobStatus.PENDING else None
        if job.status.over and _over(again := self._manifest(job_id)):
            return _written(again, sentence(job))
        return _told(manifest, job, place)

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

    def _record(self, plan: LaunchPlan) -> dict[str, Any]:
        record = LaunchRecord(
            job_id=plan.request.job_id,
            attempt=plan.attempt,
            world_size=plan.world_size,
            command=plan.nodes[0].command,
            workdir=plan.nodes[0].workdir,
            host=self._clerk.name,
            user=this_user(),
            token=plan.token,
            started=self._clock.time(),
            backend="slurm",
            status="pending",
        )
        return {"v": MANIFEST_VERSION, **asdict(record)}


def _attempt(request: LaunchRequest, survey: Survey) -> int:
    name = request.job_id
    if not request.resume:
        if survey.exists:
            raise BadInput(f"job {name} exists already in {survey.root}: choose another name, or relaunch it")
        return 1
    if not survey.exists:
        raise BadInput(f"there is no job {name} in {survey.root} to launch again: launch it without --resume")
    return survey.manifest.attempt + 1


def _place(request: LaunchRequest, survey: Survey) -> Place:
    lent = f"{survey.root}/{request.job_id}/launch"
    script = survey.script if request.script else f"{lent}/{BUNDLED}"
    return Place(survey.root, survey.workdir, survey.python, script, lent)


def _missing(request: LaunchRequest, survey: Survey) -> str:
    """What is not there that must be; empty where all is."""
    if not survey.has_sbatch:
        return "there is no sbatch: is it the login node? Name it with --login"
    if not survey.has_workdir:
        return f"there is no folder {visible(survey.workdir, 200)} to run in: name another one with --workdir"
    if request.script and not survey.has_script:
        return f"there is no training script {visible(survey.script, 200)}: give its path on the shared filesystem"
    if not survey.has_python:
        return f"there is no Python {visible(survey.python, 200)}: give the path of one with --python"
    return "" if survey.writable else f"nothing can be written in {survey.root}: name another metrics directory"


def _warnings(request: LaunchRequest) -> list[str]:
    """What is not wrong, and seldom meant."""
    extra = request.slurm.extra
    if any(option.startswith(("--cpus-per-", "--exclusive", "--cores", "--hint")) for option in extra):
        return []
    return ["Slurm may give one core a node: add --cpus-per-task=N or --exclusive to the options of sbatch"]


def _over(manifest: Manifest) -> bool:
    return manifest.status in ("finished", "failed", "stopped")


def _written(manifest: Manifest, said: str = "") -> JobStanding:
    """As job.json has it. A shell tells of a signal by 128 and its number."""
    code = manifest.exit_code
    if not said and manifest.status == "failed" and code is not None:
        said = f"failed: exit code {code}"
    nodes = _nodes(manifest.slurm_nodes, code, None)
    return JobStanding(manifest.status, manifest.attempt, said, nodes, manifest.exits)


def _forgotten(manifest: Manifest, number: str | None) -> JobStanding:
    """Slurm knows of no such job: whatever it was, it does not run."""
    if number is None:
        return JobStanding("failed", manifest.attempt, "failed: it was never submitted")
    said = f"failed: Slurm has forgotten job {number}, and nobody has written down how it ended"
    return JobStanding("failed", manifest.attempt, said)


def _told(manifest: Manifest, job: SlurmJob, place: int | None) -> JobStanding:
    nodes = _nodes(job.nodes, job.exit_code, job.signal)
    return JobStanding(job.status.value, manifest.attempt, sentence(job, place), nodes)


def _nodes(listed: str, code: int | None, signal: int | None) -> tuple[NodeStanding, ...]:
    """The nodes of a list as Slurm writes it; the exit code is the script's, which runs on the first."""
    try:
        names = [name for piece in split(listed, "Slurm") for name in expand(piece, "Slurm")]
    except BadInput:
        names = [listed]
    return tuple(
        NodeStanding(name, exit_code=code, signal=signal) if number == 0 else NodeStanding(name)
        for number, name in enumerate(names)
    )
