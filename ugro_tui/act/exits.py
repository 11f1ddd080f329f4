"""What became of each rank, as torchrun tells it at the end of its own output."""

from __future__ import annotations

import re

_FAILURE = re.compile(
    rb"^\[\d+\]:\n  time +: .*\n  host +: .*\n  rank +: (\d{1,6}) \(local_rank: \d+\)\n  exitcode +: (-?\d{1,9}) ", re.M
)


def codes_in(text: bytes) -> dict[int, int]:
    """The exit codes of the ranks that failed in the last attempt, minus the signal's number where one ended them.

    `text` is what torchrun has said; empty where it says nothing of that, or in other words.
    """
    last = text.rpartition(b"\n== attempt ")[2]
    return {int(rank): int(code) for rank, code in _FAILURE.findall(last)}
