"""What one look at a node came to, and what that says of the node."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ugro_tui.collect.messages import Cycle
from ugro_tui.collect.node_notes import Note
from ugro_tui.core.alerts import UNHEARD
from ugro_tui.core.snapshot import Question
from ugro_tui.core.states import NodeState
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import NeedsPassphrase, NodeError, Reaction, Reply


@dataclass(frozen=True, slots=True)
class Looked:
    """The answer, or why there is none; `error` without `failure` is an error of ours.

    `took`: seconds; `offset`: by how many seconds the node's clock is ahead.
    """

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
        """What only a person can answer."""
        if not isinstance(self.failure, NeedsPassphrase):
            return None
        return Question(self.failure.key, f"Passphrase of the key {self.failure.key}")

    def judged(self, now: float, wait: float) -> tuple[NodeState, str, float]:
        """The state of the node, in words too, and when it is asked again, where it is left alone for `wait` seconds.

        Times are monotonic seconds, NaN where it is not left alone.
        """
        if self.failure is None:
            return NodeState.OK, "error" if self.error else "", math.nan
        brief = self.failure.brief
        if self.failure.reaction is Reaction.WAIT:
            return NodeState.OK, brief, math.nan
        if self.failure.reaction is Reaction.PERSON:
            return NodeState.PERSON, brief, math.nan
        return (NodeState.WAITING, brief, now + wait) if wait > 0 else (NodeState.SILENT, brief, math.nan)


def as_noted(cycle: Cycle, note: Note | None, now: float) -> Cycle:
    """What a look at the copies of a node came to, as another application notes the node. `now`: Unix seconds."""
    if note is None or note.node_state.reached:
        return cycle
    return replace(
        cycle,
        state=note.node_state,
        brief=visible(note.brief, 80),
        error=visible(note.error, 1_000),
        rule=note.rule if note.rule in UNHEARD else "node_unreachable",
        sure=note.sure,
        heard_at=cycle.at - max(0.0, now - note.heard) if note.heard else math.nan,
    )
