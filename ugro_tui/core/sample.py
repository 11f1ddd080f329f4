"""Which ranks stand for all where there are many: always the same ones, as they alone keep long histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ugro_tui.core.rank import Rank

MAX_SAMPLE: Final = 256
"""Ranks that keep a long history where there are many, and enter a curve: of more, the median does not move visibly."""


def in_sample(number: int, ranks: int, most: int) -> bool:
    """Whether the rank of that number is of those, at most `most`, that stand for so many; fewer are some of these."""
    return number % _apart(ranks, most) == 0


def sample(ranks: Sequence[Rank], most: int) -> Sequence[Rank]:
    """At most `most` of these ranks, numbered from 0 on as a rule; any of them where none is in the sample."""
    apart = _apart(len(ranks), most)
    return [rank for rank in ranks if rank.rank % apart == 0][:most] or ranks[::apart]


def _apart(ranks: int, most: int) -> int:
    return 1 << (-(-ranks // most) - 1).bit_length()
