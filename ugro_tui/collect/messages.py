"""What the pollers tell the keeper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ugro_tui.collect.reader import Delivery
from ugro_tui.core.commands import Answer


@dataclass(frozen=True, slots=True)
class Cycle:
    """A poller has looked at all it follows. `error` is empty when the node answered; `at` is monotonic seconds."""

    node: str
    at: float
    error: str = ""
    listed: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Forget:
    """A job is no longer followed: what was learned of it up to this epoch goes."""

    job_id: str
    epoch: int


Message: TypeAlias = Delivery | Cycle | Forget
