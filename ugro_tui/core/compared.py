"""Which runs are compared: jobs by their ids, an attempt of one as `JOB#2`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ugro_tui.core.errors import BadInput
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.text import visible

FEWEST: Final = 2
MOST: Final = 4
"""Runs that are compared at once."""

SIGNS: Final = "ABCD"
"""What the runs are called in titles and charts."""

_ATTEMPT = re.compile(r"[1-9]\d{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RunName:
    """A job, or one attempt of it; without one the newest is meant."""

    job_id: str
    attempt: int | None = None

    @property
    def text(self) -> str:
        """As people type it."""
        return self.job_id if self.attempt is None else f"{self.job_id}#{self.attempt}"


def run_named(text: str) -> RunName:
    """The run that `JOB` or `JOB#ATTEMPT` names.

    Raises:
        BadInput: it names none; the message says why.
    """
    job, mark, attempt = text.partition("#")
    if mark and not _ATTEMPT.fullmatch(attempt):
        raise BadInput(f"{visible(text, 80)!r} names no attempt: write JOB#2 for the second attempt of JOB")
    return RunName(checked_job_id(job), int(attempt) if mark else None)


def runs_named(texts: Sequence[str]) -> tuple[RunName, ...]:
    """The runs of these names, each once.

    Raises:
        BadInput: as `run_named`; or there are fewer than two of them, or more than four.
    """
    runs = tuple(dict.fromkeys(map(run_named, texts)))
    if not FEWEST <= len(runs) <= MOST:
        raise BadInput(f"two to four different runs are compared, not {len(runs)}: compare JOB JOB, or JOB#1 JOB#2")
    return runs
