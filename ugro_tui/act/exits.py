"""What became of each rank, as torchrun tells it at the end of its own output, and why, by what was said last."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ugro_tui.act.sites import Exit, Look
from ugro_tui.core.text import visible
from ugro_tui.nodes import helper_batch

_FAILURE = re.compile(
    rb"^\[\d+\]:\n  time +: .*\n  host +: .*\n  rank +: (\d{1,6}) \(local_rank: \d+\)\n  exitcode +: (-?\d{1,9}) ", re.M
)


def codes_in(text: bytes) -> dict[int, int]:
    """The exit codes of the ranks that failed in the last attempt, minus the signal's number where one ended them.

    `text` is what torchrun has said; empty where it says nothing of that, or in other words.
    """
    last = text.rpartition(b"\n== attempt ")[2]
    return {int(rank): int(code) for rank, code in _FAILURE.findall(last)}


def last_words(tail: str) -> str:
    """What the newest attempt has said last, of an error if it named one."""
    return visible(helper_batch.last_words(tail))


def why_failed(look: Look, node_rank: str, end: Exit, codes: Mapping[int, int]) -> str:
    """Why the agent of a node failed: by the last words of the rank that failed first, where it names one."""
    rank, tail = next(iter(look.said.items()), ("", ""))
    code = codes.get(int(rank)) if rank else None
    if code is not None:
        who, words = f"rank {rank}", last_words(tail) if code > 0 else ""
    else:
        who, words = "torchrun", "" if codes else last_words(look.tails.get(node_rank, ""))
        code = end.code if end.signal is None else -end.signal
    how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
    return f"{who} ended {how}{f': {words}' if words else ''}"
