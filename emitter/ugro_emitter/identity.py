"""Who this process is: job, rank, attempt and folder, from the arguments or from the launcher's environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_METRICS_DIR = "~/ugro_data/jobs"

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_JOB_ID_VARIABLES = ("UGRO_JOB_ID", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID")
_RANK_VARIABLES = ("RANK", "SLURM_PROCID")
_WORLD_SIZE_VARIABLES = ("WORLD_SIZE", "SLURM_NTASKS")
_LOCAL_RANK_VARIABLES = ("LOCAL_RANK", "SLURM_LOCALID")


@dataclass(frozen=True)
class Identity:
    """What names this process among all ranks of all attempts of a job."""

    job_id: str
    rank: int
    world_size: int
    local_rank: int
    attempt: int | None
    """What the argument or UGRO_ATTEMPT says; None: to be found out."""
    restarts: int
    """TORCHELASTIC_RESTART_COUNT: restarts under this launch."""


@dataclass(frozen=True)
class JobFiles:
    """Where this rank writes."""

    folder: Path
    rank: int

    @property
    def metrics(self) -> Path:
        """Rank 0 has the plain name: one file a writer, so a shared filesystem is safe."""
        return self.folder / ("metrics.jsonl" if self.rank == 0 else f"metrics.rank-{self.rank}.jsonl")

    @property
    def heartbeat(self) -> Path:
        return self.folder / f"heartbeat.rank-{self.rank}.json"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard" / f"rank_{self.rank}"

    @property
    def stacks(self) -> Path:
        return self.folder / "stacks" / f"rank_{self.rank}.txt"

    @property
    def error(self) -> Path:
        return self.folder / "errors" / f"rank_{self.rank}.json"


def resolve_identity(
    environ: Mapping[str, str],
    *,
    job_id: str | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    local_rank: int | None = None,
    attempt: int | None = None,
) -> Identity:
    """Fill in from `environ` what the arguments leave open.

    Raises ValueError: no valid job id, or a rank, size or attempt that is not a sensible integer.
    """
    own_rank = _integer("rank", rank, environ, _RANK_VARIABLES, least=0, default=0)
    size = _integer("world_size", world_size, environ, _WORLD_SIZE_VARIABLES, least=1, default=1)
    if world_size is not None and own_rank >= size:
        raise ValueError(f"rank {own_rank} does not exist in a world of {size}: ranks run from 0 to {size - 1}")
    declared = _integer("attempt", attempt, environ, ("UGRO_ATTEMPT",), least=1, default=0)
    return Identity(
        job_id=_resolve_job_id(job_id, environ),
        rank=own_rank,
        world_size=max(size, own_rank + 1),
        local_rank=_integer("local_rank", local_rank, environ, _LOCAL_RANK_VARIABLES, least=0, default=0),
        attempt=declared or None,
        restarts=_integer("restarts", None, environ, ("TORCHELASTIC_RESTART_COUNT",), least=0, default=0),
    )


def resolve_folder(metrics_dir: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path:
    """The folder of all jobs: the argument, else UGRO_METRICS_DIR, else ~/ugro_data/jobs."""
    chosen = metrics_dir if metrics_dir is not None else environ.get("UGRO_METRICS_DIR") or DEFAULT_METRICS_DIR
    return Path(os.path.abspath(os.path.expanduser(os.fspath(chosen))))


def check_job_id(job_id: object, source: str) -> str:
    """Return `job_id` if it is one; raise ValueError naming `source` if not."""
    if isinstance(job_id, str) and _JOB_ID.fullmatch(job_id):
        return job_id
    raise ValueError(
        f"job id {job_id!r} (from {source}) is refused: it becomes a folder name on every node, so it must be "
        "1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
    )


def _resolve_job_id(job_id: str | None, environ: Mapping[str, str]) -> str:
    if job_id is not None:
        return check_job_id(job_id, "the job_id argument")
    for variable in _JOB_ID_VARIABLES:
        found = environ.get(variable, "")
        # A static torchrun sets its run id to the word "none".
        if found and not (variable == "TORCHELASTIC_RUN_ID" and found == "none"):
            return check_job_id(found, variable)
    raise ValueError(
        "the run has no job id: pass MetricsEmitter(job_id=...) or set UGRO_JOB_ID "
        "(SLURM_JOB_ID and torchrun's --rdzv-id are used too)"
    )


def _integer(
    name: str, given: int | None, environ: Mapping[str, str], variables: tuple[str, ...], *, least: int, default: int
) -> int:
    if given is not None:
        return check_integer(name, given, least)
    for variable in variables:
        text = environ.get(variable, "").strip()
        if text:
            return _parsed(variable, text, least)
    return default


def _parsed(variable: str, text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"environment variable {variable}={text!r} is not an integer") from None
    return check_integer(f"environment variable {variable}", value, least)


def check_integer(name: str, value: object, least: int) -> int:
    """Return `value` if it is an integer >= `least`; raise ValueError if not."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}")
