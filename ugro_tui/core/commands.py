"""What a front end may ask of the rest: frozen commands in, tickets out, answers in a later snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Refresh:
    """Look at all sources now."""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """Follow this job, however old it is."""

    job_id: str


Command: TypeAlias = Refresh | OpenJob


@dataclass(frozen=True, slots=True)
class Ticket:
    """The receipt of a command; its answer carries the same number."""

    number: int
    command: Command


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the command with that ticket number. `problem` is empty when it went well."""

    number: int
    problem: str = ""
