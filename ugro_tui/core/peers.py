"""Errors that only say that another process has gone away: they follow from its end, whatever came first."""

from __future__ import annotations

import re

_PEER_LOST = re.compile(
    r"connection (was )?(reset|closed|refused|aborted)|by peer|broken pipe|remote process|timed? ?out|watchdog", re.I
)
"""What gloo, NCCL and the rendezvous store say when another process has gone away."""


def only_lost_a_peer(message: str) -> bool:
    """Whether the error says no more than that."""
    return _PEER_LOST.search(message) is not None
