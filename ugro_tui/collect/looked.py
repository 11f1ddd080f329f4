"""What one look at a node came to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ugro_tui.core.snapshot import Question
from ugro_tui.nodes.base import NeedsPassphrase, NodeError, Reaction, Reply


@dataclass(frozen=True, slots=True)
class Looked:
    """The answer, or why there is none. `took`: seconds; `offset`: by how many seconds the node's clock is ahead."""

    reply: Reply | None = None
    error: str = ""
    failure: NodeError | None = None
    took: float = math.nan
    offset: float = math.nan

    @property
    def reached(self) -> bool:
        """Whether the node answered, be it that there is nothing to read."""
        return self.failure is None or self.failure.reaction is Reaction.WAIT

    @property
    def question(self) -> Question | None:
        """What only a person can answer, where that is why there is no answer."""
        if not isinstance(self.failure, NeedsPassphrase):
            return None
        return Question(self.failure.key, f"Passphrase of the key {self.failure.key}")
