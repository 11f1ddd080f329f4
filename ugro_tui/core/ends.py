"""What a metric came to over the ranks, and how that is said: in the same words on screens and by commands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ugro_tui.core.numbers import loss_text, plain


@dataclass(frozen=True, slots=True)
class Ends:
    """`last` is the mean of the newest values of `ranks` ranks, `least` the lowest value of all, told by rank `who`.

    NaN where not known. `bad`: the newest value of a rank is no number. `who` is -1 where that is not known.
    """

    last: float = math.nan
    least: float = math.nan
    who: int = -1
    ranks: int = 0
    bad: bool = False

    @property
    def last_text(self) -> str:
        """The newest value: `2.314 (mean)`, without a word of a mean where one rank tells it."""
        known = not self.bad and not math.isnan(self.last)
        return f"{loss_text(self.last, bad=self.bad)}{' (mean)' if known and self.ranks > 1 else ''}"

    @property
    def who_text(self) -> str:
        """Whose the lowest value is: ` (rank 3)`; empty where there is but one rank."""
        return f" (rank {self.who})" if self.ranks > 1 and self.who >= 0 else ""

    @property
    def text(self) -> str:
        """Both values: `last 2.314 (mean)  min 2.301 (rank 3)`."""
        return f"last {self.last_text}  min {plain(self.least)}{self.who_text}"
