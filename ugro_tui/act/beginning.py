"""What a look at a node tells of ranks that are to begin, and of processes that are to end."""

from __future__ import annotations

from ugro_tui.act.backend import Telling
from ugro_tui.act.errors import LaunchError
from ugro_tui.act.sites import Look
from ugro_tui.core.launching import LaunchPlan, NodePlan, NodeProgress, Stage
from ugro_tui.core.text import visible


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
    reasons = [reason for tail in look.said.values() if (reason := _reason(tail))]
    who, said = ("its ranks", reasons[0]) if reasons else ("torchrun", _reason(look.tails.get(str(node.node_rank), "")))
    how = f"signal {ended.signal}" if ended.code is None else f"exit code {ended.code}"
    why = f"{who} ended at once ({how}): {visible(said, 300) or 'it said nothing'}"
    told(NodeProgress(node.node, Stage.FAILED, problem=why))
    raise LaunchError(f"{node.node}: {why}")


def _reason(tail: str) -> str:
    """The last line of an output that names an error; the last one where none does."""
    lines = [line.strip() for line in tail.splitlines() if line.strip() and not line.startswith("== attempt ")]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")


def has_begun(plan: LaunchPlan, node: NodePlan, look: Look) -> bool:
    """Whether all ranks of the node have begun, or have ended well already."""
    return _all_of(plan, node, look, look.fresh)


def has_reported(plan: LaunchPlan, node: NodePlan, look: Look) -> bool:
    """Whether all of them have written a heartbeat, which tells that the script is well so far; or have ended well."""
    return _all_of(plan, node, look, look.beating)


def _all_of(plan: LaunchPlan, node: NodePlan, look: Look, ranks: list[int]) -> bool:
    if str(node.node_rank) in look.exits:
        return True
    if plan.request.rendezvous == "static":
        return set(range(node.first_rank, node.first_rank + node.nproc)) <= set(ranks)
    return len(ranks) >= node.nproc  # which ranks a node gets is settled among them


def outlived(look: Look) -> str:
    """Which processes did not end; empty: none."""
    pids = ", ".join(map(str, look.left))
    return f"still there after SIGKILL: pid {pids}; look at them with `ps -o pid,stat,wchan`" if pids else ""
