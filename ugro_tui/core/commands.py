"""What a front end may ask of the rest: frozen commands in, tickets out, answers in a later snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Refresh:
    """Look at all sources now."""


@dataclass(frozen=True, slots=True)
class Health:
    """Look at how all nodes are now, and often for a while: somebody watches. A node that is left alone still is."""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """Follow this job, however old it is."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Sync:
    """Bring the central copies of event files and logs up to date now: of one job, or of all that are followed."""

    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class OpenTensorBoard:
    """Start TensorBoard on the event files, if it does not run yet; the answer says where."""


@dataclass(frozen=True, slots=True)
class Diagnose:
    """Gather what is known of a job in trouble, from its nodes too; the answer says where the report is."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Tell:
    """What a person says to a question of `Snapshot.questions`. Empty: no answer; ask again when it comes up again."""

    question: str
    text: str = field(repr=False)


Command: TypeAlias = Refresh | Health | OpenJob | Sync | OpenTensorBoard | Diagnose | Tell


@dataclass(frozen=True, slots=True)
class Ticket:
    """The receipt of a command; its answer carries the same number."""

    number: int
    command: Command


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the command with that number. `problem` is empty when it went well, `said` is its result."""

    number: int
    problem: str = ""
    said: str = ""
