"""What a submission to Slurm is made of, from what its login node found: and what of it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ugro_tui.act.clerk import BUNDLED, Survey
from ugro_tui.act.standing import manifest_of
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import RESUME, LaunchPlan, LaunchRequest
from ugro_tui.core.own_options import other_job, other_place
from ugro_tui.core.sbatch import SECRETS, Place
from ugro_tui.core.text import visible

PYTHON = "python3"


def attempt_of(request: LaunchRequest, survey: Survey) -> int:
    """Which attempt of the job it would be. Raises BadInput: it may not be one."""
    name = request.job_id
    if not request.resume and not (survey.exists and survey.blank and survey.manifest.status == "failed"):
        if survey.exists:
            raise BadInput(f"job {name} exists already in {survey.root}: choose another name, or relaunch it")
        return 1
    if not survey.exists:
        raise BadInput(f"there is no job {name} in {survey.root} to start again: use `ugro-tui launch`")
    return survey.manifest.attempt + 1


def check_own(request: LaunchRequest, survey: Survey) -> None:
    """Refuse arguments by which the script would write elsewhere than the plan says. Raises BadInput."""
    other = other_job(request.args, request.job_id) or other_place(request.args, survey.root, survey.workdir)
    if other:
        raise BadInput(other)


def place_of(request: LaunchRequest, survey: Survey, attempt: int) -> Place:
    """Where things lie; what we bring lies in the job's own directory, which all its nodes see."""
    folder = f"{survey.root}/{request.job_id}"
    workdir, script = survey.workdir, survey.script
    if request.sync_code:
        workdir = str(PurePosixPath(folder, code_folder(attempt), request.workdir))
        script = str(PurePosixPath(workdir, request.script))
    if not request.script:
        script = f"{folder}/launch/{BUNDLED}"
    return Place(survey.root, workdir, survey.python, script, f"{folder}/launch")


def code_folder(attempt: int) -> str:
    """Where the code of an attempt lies in the job's directory."""
    return f"code/{attempt}"


def asked_of(request: LaunchRequest) -> dict[str, Any]:
    """What the login node is to look for. What is brought with the code is not there yet."""
    brought = bool(request.sync_code)
    return {
        "workdir": "" if brought else request.workdir,
        "script": "" if brought else request.script,
        "python": request.python or PYTHON,
        "resumes": RESUME in request.words,
    }


def copies_of(request: LaunchRequest, place: Place, login: str) -> Iterator[str]:
    """What is copied to the login node's filesystem, in words."""
    if request.sync_code:
        yield f"the code in {request.sync_code} to {place.workdir} on {login}"
    yield f"the entry wrapper and the emitter to {place.lent} on {login}"
    if request.secrets:
        yield f"the secrets to {place.lent}/{SECRETS} on {login}, which you alone can read, until the job has ended"


def missing(request: LaunchRequest, survey: Survey) -> str:
    """What is not there that must be; empty where all is."""
    if not survey.has_sbatch:
        return "there is no sbatch: is it the login node? Name it with --login"
    if not survey.has_workdir:
        return f"there is no folder {visible(survey.workdir, 200)} to run in: name another one with --workdir"
    if request.script and not request.sync_code and not survey.has_script:
        return f"there is no training script {visible(survey.script, 200)}: give its path on the shared filesystem"
    if not survey.has_python:
        return f"there is no Python {visible(survey.python, 200)}: give the path of one with --python"
    return "" if survey.writable else f"nothing can be written in {survey.root}: name another metrics directory"


def warnings(request: LaunchRequest) -> tuple[str, ...]:
    """What is not wrong, and seldom meant."""
    extra = request.slurm.extra
    if any(option.startswith(("--cpus-per-", "--exclusive", "--cores", "--hint")) for option in extra):
        return ()
    return ("Slurm may give one core a node: add --cpus-per-task=N or --exclusive to the options of sbatch",)


def record_of(plan: LaunchPlan, now: float) -> dict[str, Any]:
    """job.json of a submission; `now`: Unix seconds."""
    own = {"backend": "slurm", "status": "pending", "said": "pending: submitted to Slurm", "token": plan.token}
    return {**manifest_of(plan, now), **own}
