"""One Slurm, by one of its login nodes: jobs are planned, submitted, looked at and ended there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ugro_tui.act import slurm_standing
from ugro_tui.act.backend import JobStanding, Telling
from ugro_tui.act.brought import Typed, check_code, check_files, secrets_of
from ugro_tui.act.clerk import Clerk, Manifest, Survey, Told, brought
from ugro_tui.act.errors import LaunchError, StopError
from ugro_tui.act.judgement import without_checkpoint
from ugro_tui.act.lent import code, pack
from ugro_tui.act.manifest import this_host, this_user
from ugro_tui.act.scheduler import QUEUE_SECONDS, Scheduler, SlurmError
from ugro_tui.act.standing import news_of
from ugro_tui.act.submission import (
    asked_of,
    attempt_of,
    check_own,
    code_folder,
    copies_of,
    missing,
    place_of,
    record_of,
    warnings,
)
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.launching import LaunchPlan, LaunchRequest, NodePlan, NodeProgress, Stage
from ugro_tui.core.ports import Clock
from ugro_tui.core.sbatch import MARK, Run, agent_command, script_of
from ugro_tui.core.slurm import SlurmJob, sentence
from ugro_tui.core.states import JobStatus
from ugro_tui.core.text import visible

_POLL_SECONDS, _ASK_SECONDS = 0.5, 1.0
"""How often it is looked whether a job that is stopped has ended: in job.json, and by asking Slurm."""
_KILL_SECONDS = 5.0
"""How long after SIGKILL the script has to write down its end."""
_CANCEL_SECONDS = 90.0
"""Slurm kills what it cancels after KillWait, 30 s unless the site has changed it."""


class Cluster:
    """A Slurm, by one of its login nodes. Calls from several threads take turns. See `SlurmBackend`."""

    def __init__(self, clerk: Clerk, clock: Clock, typed: Typed, pace: float = QUEUE_SECONDS) -> None:
        """Nothing is asked yet."""
        self._clerk = clerk
        self._slurm = Scheduler(clerk, clock, pace)
        self._clock = clock
        self._typed = typed
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
        check_code(request)
        survey = self._survey(request)
        check_own(request, survey)
        run = Run(attempt_of(request, survey), token, request.nproc or request.slurm.gpus_per_node or 1)
        place = place_of(request, survey, run.attempt)
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
        copies = tuple(copies_of(request, place, self._clerk.name))
        plan = LaunchPlan(request, run.attempt, run.nproc * request.slurm.nodes, token, (slurm,), copies, script)
        return replace(plan, warnings=(*warnings(request), *without_checkpoint(plan, {survey.saved})))

    def preflight(self, plan: LaunchPlan, told: Telling) -> tuple[str, ...]:
        """Whether everything is there, and Slurm would take the script; see `Backend.preflight`."""
        name, request = self._clerk.name, plan.request
        told(NodeProgress(name, Stage.PREFLIGHT, "looking at the shared filesystem"))
        check_files(request, self._typed)
        survey = self._survey(request)
        if problem := missing(request, survey):
            raise LaunchError(f"{name}: {problem}")
        told(NodeProgress(name, Stage.PREFLIGHT, "asking Slurm"))
        self._slurm.test(plan.script)
        return plan.warnings

    def start(self, plan: LaunchPlan, told: Telling) -> None:
        """Submit, once however often it is asked for with the plan's token; see `Backend.start`."""
        try:
            self._start(plan, told)
        except UgroError:
            raise
        except BaseException:  # somebody interrupts us
            self._take_back(plan)
            raise

    def _start(self, plan: LaunchPlan, told: Telling) -> None:
        name, request = self._clerk.name, plan.request
        if plan.attempt > 1:
            self.finalize(request.job_id, self._looked(request.job_id, 0.0))
        told(NodeProgress(name, Stage.COPYING, "the entry wrapper and the emitter"))
        words: dict[str, Any] = {"token": plan.token, "record": record_of(plan, self._clock.time()), "files": brought()}
        hidden = secrets_of(request, self._typed)
        claimed = self._clerk.ask("claim", request.job_id, Told, b"", **words, secrets=hidden)
        number = claimed.manifest.slurm_job_id
        if claimed.found and not number:
            number = self._slurm.find(request.job_id, MARK + plan.token) or ""
        if not number:
            number = self._submit(plan, told)
        self._note(request.job_id, plan.token, {"slurm_job_id": number})
        told(NodeProgress(name, Stage.VERIFYING, f"submitted: job {number} of Slurm"))

    def look(self, job_id: str) -> JobStanding:
        """Where the job stands; unknown while Slurm does not answer. See `Backend.look`.

        Raises:
            BadInput: there is no such job, or it is none of Slurm.
            UgroError: the login node does not answer.
        """
        return self._looked(job_id, None)

    def _looked(self, job_id: str, age: float | None) -> JobStanding:
        manifest = self._manifest(job_id)
        try:
            return self._standing(manifest, job_id, age)
        except SlurmError as error:
            return slurm_standing.silent(manifest, str(error))

    def finalize(self, job_id: str, standing: JobStanding) -> None:
        """Write down how a job ended, where its script could not, or why it waits; see `Backend.finalize`."""
        manifest = self._manifest(job_id)
        if manifest.over or not 0 <= standing.attempt - manifest.attempt <= 1:
            return
        if standing.over:
            news = {**news_of(standing, self._clock.time()), "said": standing.said}
            self._note(job_id, manifest.token, news, attempt=manifest.attempt)
        elif standing.status == "pending" and standing.said != manifest.said:
            # What is the next attempt was requeued, and its script could not say so.
            was = "pending" if standing.attempt == manifest.attempt else "running"
            news = {"status": "pending", "said": standing.said, "attempt": standing.attempt}
            self._note(job_id, manifest.token, news, attempt=manifest.attempt, status=was)

    def stop(self, job_id: str, grace: float, told: Telling) -> JobStanding:
        """Cancel what waits; end what runs: SIGTERM, SIGKILL after `grace` seconds; see `Backend.stop`.

        Raises:
            BadInput: there is no such job, or it is none of Slurm.
            StopError: Slurm does not end it.
            UgroError: the login node or Slurm does not answer.
        """
        manifest = self._manifest(job_id)
        standing = self._standing(manifest, job_id, 0.0)
        number = manifest.slurm_job_id or self._slurm.find(job_id, MARK + manifest.token)
        if standing.over or not number:
            return standing
        self._note(job_id, manifest.token, {"stop_asked": f"{this_user()} on {this_host()}"})
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
        while not (standing := self._looked(job_id, _ASK_SECONDS)).over:
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

    def _submit(self, plan: LaunchPlan, told: Telling) -> str:
        """The number that Slurm gave it; where it took nothing, nothing is left of the launch."""
        job_id = plan.request.job_id
        try:
            self._bring(plan, told)
            told(NodeProgress(self._clerk.name, Stage.STARTING, "submitting"))
            return self._slurm.submit(plan.script)
        except UgroError as error:
            # A submission whose answer was lost may have come about.
            found = None if isinstance(error, LaunchError) else self._slurm.find(job_id, MARK + plan.token)
            if found is not None:
                return found
            self._clerk.ask("withdraw", job_id, dict[str, Any], token=plan.token)
            raise LaunchError(f"job {job_id} was not submitted: {error}") from error

    def _take_back(self, plan: LaunchPlan) -> None:
        job_id = plan.request.job_id
        with suppress(UgroError):
            if number := self._slurm.find(job_id, MARK + plan.token):
                self._slurm.cancel(number)
        with suppress(UgroError):
            self._clerk.ask("withdraw", job_id, dict[str, Any], token=plan.token)

    def _bring(self, plan: LaunchPlan, told: Telling) -> None:
        request = plan.request
        if request.sync_code:
            told(NodeProgress(self._clerk.name, Stage.COPYING, f"the code in {request.sync_code}"))
            packed, words = pack(code(Path(request.sync_code))), {"folder": code_folder(plan.attempt)}
            self._clerk.ask("code", request.job_id, dict[str, Any], packed, token=plan.token, **words)

    def _standing(self, manifest: Manifest, job_id: str, age: float | None) -> JobStanding:
        """`age`: how old what Slurm said may be; see `Scheduler.queue`."""
        if manifest.over:
            return slurm_standing.written(manifest)
        number = manifest.slurm_job_id or self._slurm.find(job_id, MARK + manifest.token)
        job = self._job(manifest, number, age) if number else None
        if job is None:
            # It may have ended, and said so, since we read what it says.
            again = self._manifest(job_id)
            return slurm_standing.written(again) if again.over else slurm_standing.forgotten(manifest, number)
        place = self._slurm.place(job) if job.status is JobStatus.PENDING else None
        if job.status.over and (again := self._manifest(job_id)).over:
            return slurm_standing.written(again, sentence(job))
        return slurm_standing.told(manifest, job, place)

    def _job(self, manifest: Manifest, number: str, age: float | None) -> SlurmJob | None:
        job = self._slurm.look(number, age)
        if job is not None and job.status is JobStatus.PENDING and manifest.status == "running":
            return self._slurm.look(number, 0.0)  # what was said may be of before it began
        return job

    def _manifest(self, job_id: str) -> Manifest:
        told = self._clerk.ask("tell", job_id, Told)
        if not told.exists:
            raise BadInput(f"there is no job {visible(job_id, 80)} on {self._clerk.name}")
        if told.manifest.backend != "slurm":
            raise BadInput(f"job {visible(job_id, 80)} on {self._clerk.name} was not launched by Slurm for us")
        return told.manifest

    def _note(self, job_id: str, token: str, news: Mapping[str, Any], **only: Any) -> None:
        self._clerk.ask("note", job_id, Told, b"", token=token, news=news, only=only)

    def _survey(self, request: LaunchRequest) -> Survey:
        return self._clerk.ask("survey", request.job_id, Survey, b"", **asked_of(request))
