"""What the sources tell the keeper."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from ugro_tui.collect.reader import Delivery
from ugro_tui.core.commands import Answer, Ticket
from ugro_tui.core.entries import Saved
from ugro_tui.core.launching import LaunchView
from ugro_tui.core.snapshot import Question
from ugro_tui.core.states import NodeState


@dataclass(frozen=True, slots=True)
class Cycle:
    """A node was asked. `at`: monotonic seconds; `error`: why it did not tell all it was asked, empty when it did.

    `complete`: nothing more is to be read at once. `answers`: this node's part of the answers to commands. `retry_at`:
    monotonic seconds before which it is not asked again. Other times are seconds, NaN where not known.
    """

    node: str
    at: float
    error: str = ""
    listed: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    complete: bool = True
    state: NodeState = NodeState.OK
    brief: str = ""
    rule: str = ""
    """The alert's key that says why the node does not answer."""
    retry_at: float = math.nan
    sure: bool = False
    via: str = ""
    round_trip: float = math.nan
    clock_offset: float = math.nan
    question: Question | None = None
    troubles: tuple[str, ...] = ()
    """What keeps this application from writing its copy of the node."""
    reading: str = ""
    heard_at: float = math.nan
    """Monotonic seconds of the node's last answer to another application, where that one tells."""


@dataclass(frozen=True, slots=True)
class Forget:
    """A job is no longer followed: what was learned of it up to this epoch goes."""

    job_id: str
    epoch: int


Message: TypeAlias = Delivery | Cycle | Forget | Answer | Ticket | Saved | LaunchView
"""An `Answer` on its own is the whole answer to a command that no node is asked about, a `Ticket` one about alerts;
`Saved` is the book of alerts that another application keeps; `LaunchView` is told as it is."""
