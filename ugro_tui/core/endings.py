"""How ranks end: which end came first, which ones follow from it, and what a launcher's word makes of them."""

from __future__ import annotations

import signal
from typing import Final

import numpy as np

from ugro_tui.core.peers import only_lost_a_peer
from ugro_tui.core.rank import Rank
from ugro_tui.core.states import JobStatus, RankState

MADE_OF: Final = {
    JobStatus.FINISHED: RankState.FINISHED,
    JobStatus.FAILED: RankState.DEAD,
    JobStatus.STOPPED: RankState.STOPPED,
}
"""What a launcher's word on the end of a job makes of a rank that says nothing itself."""

_ASKED_TO_END: Final = frozenset(f"SystemExit: {128 + number}" for number in (signal.SIGTERM, signal.SIGINT))
"""How scripts leave that handle the signal of a stop."""


def lost_peer(rank: Rank) -> bool:
    """Whether all that a rank that failed says is that another one has gone away."""
    return (rank.end is not None or rank.error is not None) and lateness(rank, None) == 2


def only_stopped(rank: Rank) -> bool:
    """Of a rank that failed in a job that was stopped: whether it did as it was told, or lost peers that did."""
    error = "" if rank.end is None else f"{rank.end.error_type}: {rank.end.error_message}"
    return error in _ASKED_TO_END or lost_peer(rank)


def lateness(rank: Rank, exit_code: int | None) -> int:
    """0: an error of its own, 1: gone without a word, 2: an end that another rank's end explains.

    A launcher ends the ranks that are left with SIGTERM.
    """
    if rank.end is None and rank.error is None:
        return 2 if exit_code == -signal.SIGTERM else 1
    message = rank.end.error_message if rank.end is not None else rank.error.message if rank.error else ""
    return 2 if only_lost_a_peer(message) else 0


def failed_at(rank: Rank) -> float:
    """When the rank failed, Unix seconds by its node's clock; infinite where that is not known."""
    told = rank.end or rank.error
    return told.ts if told is not None and np.isfinite(told.ts) else np.inf
