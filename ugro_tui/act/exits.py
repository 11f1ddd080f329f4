"""What became of each rank, as torchrun tells it at the end of its own output."""

from __future__ import annotations

import re
from pathlib import Path

_TAIL = 1 << 20
"""Bytes read of the end: 200 a rank, and what Python says of torchrun's own exception."""

_FAILURE = re.compile(
    rb"^\[\d+\]:\n  time +: .*\n  host +: .*\n  rank +: (\d{1,6}) \(local_rank: \d+\)\n  exitcode +: (-?\d{1,9}) ", re.M
)


def exit_codes(log: Path) -> dict[int, int]:
    """The exit codes of the ranks that failed in the last attempt, minus the signal's number where one ended them.

    Empty where torchrun says nothing of that, or in other words.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            text = file.read()
    except OSError:
        return {}
    return codes_in(text)


def codes_in(text: bytes) -> dict[int, int]:
    """The same, of what torchrun has said."""
    last = text.rpartition(b"\n== attempt ")[2]
    return {int(rank): int(code) for rank, code in _FAILURE.findall(last)}
