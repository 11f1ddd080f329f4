"""What a look at a node tells of ranks that are to begin, and of processes that are to end."""

from __future__ import annotations

import math

from ugro_tui.act.backend import Telling
from ugro_tui.act.errors import LaunchError
from ugro_tui.act.exits import last_words
from ugro_tui.act.sites import Began, Look
from ugro_tui.core.launching import LaunchPlan, NodePlan, NodeProgress, Stage
from ugro_tui.core.numbers import counted

REPORT_SECONDS = 10.0
"""How long a rank that has begun is waited for to write a heartbeat."""

QUIET_SECONDS, SILENT_SECONDS = 2.0, 5.0
"""The same where its script has no emitter, and none will come: long enough to hear of a script that fails at once. The
first where all of them have said something."""


def check_agent(node: NodePlan, look: Look, told: Telling) -> None:
    """See whether torchrun lives, or has ended well.

    Raises:
        LaunchError: it has failed, with what it said last; or was stopped.
    """
    ended = look.exits.get(str(node.node_rank))
    if ended is None or ended.code == 0:
        return
    if look.manifest.get("status") == "stopped":
        raise LaunchError(f"{node.node}: the job was stopped before all of its ranks had begun")
    reasons = [reason for tail in look.said.values() if (reason := last_words(tail))]
    own = last_words(look.tails.get(str(node.node_rank), ""))
    who, said = ("its ranks", reasons[0]) if reasons else ("torchrun", own)
    how = f"signal {ended.signal}" if ended.code is None else f"exit code {ended.code}"
    why = f"{who} ended at once ({how}): {said or 'it said nothing'}"
    told(NodeProgress(node.node, Stage.FAILED, problem=why))
    raise LaunchError(f"{node.node}: {why}")


class Beginning:
    """How far the ranks of one node are, from look to look. `now`: monotonic seconds."""

    def __init__(self, plan: LaunchPlan, node: NodePlan, began: Began) -> None:
        self.node = node
        self.began = began
        self._plan = plan
        self._since = math.inf

    def said(self, look: Look, now: float) -> str:
        """What is to be said when no more is waited for; empty before. Nothing is called well that was not heard of."""
        ranks = counted(self.node.nproc, "rank")
        if self._all(look, look.beating):  # a heartbeat tells that the script is well so far
            return f"{ranks} run{'' if self.node.nproc > 1 else 's'}"
        if not self._all(look, look.fresh):
            return ""
        self._since = min(self._since, now)
        waited = now - self._since
        if self.began.emits:
            return f"{ranks} began, without a heartbeat so far" if waited >= REPORT_SECONDS else ""
        if waited < (QUIET_SECONDS if self._all(look, look.talking) else SILENT_SECONDS):
            return ""
        return f"{ranks} began; the script does not name ugro_emitter, so only logs are shown"

    def _all(self, look: Look, ranks: list[int]) -> bool:
        """Whether these are all ranks of the node, or they have ended well already."""
        node = self.node
        if str(node.node_rank) in look.exits:
            return True
        if self._plan.request.rendezvous == "static":
            return set(range(node.first_rank, node.first_rank + node.nproc)) <= set(ranks)
        return len(ranks) >= node.nproc  # which ranks a node gets is settled among them


def outlived(look: Look) -> str:
    """Which processes did not end; empty: none."""
    pids = ", ".join(map(str, look.left))
    return f"still there after SIGKILL: pid {pids}; look at them with `ps -o pid,stat,wchan`" if pids else ""
