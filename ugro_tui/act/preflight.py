"""Refuses a plan that cannot work before anything is written or started."""

from __future__ import annotations

import os
import shutil
import subprocess

from ugro_tui.act.errors import LaunchError
from ugro_tui.act.plan import LocalPlan
from ugro_tui.core.errors import BadInput
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.text import visible

_NO_TORCH = 86
_PROBE = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None and {_NO_TORCH})"
_PROBE_SECONDS = 30.0
"""Finding a module takes some 30 ms; a network disk may need seconds."""


def check_plan(plan: LocalPlan) -> None:
    """Refuse what cannot be started.

    Raises:
        BadInput: job id, numbers, script, folder, interpreter, an argument or a variable cannot be used.
    """
    checked_job_id(plan.job_id)
    for name, value in (("number of ranks", plan.nproc), ("attempt", plan.attempt)):
        if value < 1:
            raise BadInput(f"the {name} of job {plan.job_id} cannot be {value}: it is at least 1")
    for text in (*plan.command, str(plan.workdir), *map(str, plan.extra_pythonpath), *plan.env, *plan.env.values()):
        _check_text(text)
    for name in plan.env:
        if not name or "=" in name:
            raise BadInput(f"{_shown(name)!r} cannot name an environment variable: it is empty or holds '='")
    _check_places(plan)


def _check_text(text: str) -> None:
    """What the system cannot pass on as it was given is refused, never changed."""
    if "\0" in text:
        raise BadInput(f"{_shown(text)!r} holds a zero byte, which ends a text for every program: leave it out")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise BadInput(f"{_shown(text)!r} holds a character that cannot be given to a program: leave it out") from None


def _check_places(plan: LocalPlan) -> None:
    if not plan.script_path.is_file():
        raise BadInput(f"there is no training script {_shown(plan.script_path)}: give the path of a Python file")
    if not plan.workdir.is_dir():
        raise BadInput(f"there is no folder {_shown(plan.workdir)} to run in: give another working directory")
    if shutil.which(plan.interpreter) is None:
        raise BadInput(f"there is no Python {_shown(plan.interpreter)} that can be run: give the path of one")


def check_torch(plan: LocalPlan, environment: dict[str, str]) -> None:
    """Ask the plan's interpreter, in the job's environment, whether it can find torch (it is not imported).

    Raises:
        LaunchError: it cannot, or does not run.
    """
    probe = _run_probe(plan, environment)
    if probe.returncode == _NO_TORCH:
        raise LaunchError(
            f"torch is not installed for {_shown(plan.interpreter)}, and without it nothing can train: "
            f"run `{_shown(plan.interpreter)} -m pip install torch`, or give another Python"
        )
    if probe.returncode != 0:
        reason = probe.stderr.strip().splitlines()[-1:] or [f"exit code {probe.returncode}"]
        raise LaunchError(
            f"{_shown(plan.interpreter)} does not run: {_shown(reason[0])}; repair it or give another Python"
        )


def _run_probe(plan: LocalPlan, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [plan.interpreter, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_SECONDS,
            cwd=plan.workdir,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaunchError(
            f"{_shown(plan.interpreter)} does not run: {_shown(error)}; repair it or give another Python"
        ) from error


def _shown(value: object) -> str:
    return visible(str(value), 300)
