"""Episodes of non-finite losses: when one began, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.records import Matrix

CLEAR_AFTER: Final = 10
"""Finite losses in a row that clear a non-finite one (alerts.md: latched until 10 finite)."""


@dataclass(slots=True)
class BadLoss:
    """The first non-finite record of an episode: made at `ts` (Unix seconds by the node's clock, NaN where it does not
    say so), and known by `at` (the collector's monotonic seconds).

    `finite` counts the records since the last bad one that show a finite loss or gradient norm. `of_loss`: whether
    a loss was not finite, and not only a gradient norm; `masked`: whether a loss of exactly 0 stood beside one.
    """

    step: float
    ts: float
    at: float
    value: float
    finite: int = 0
    of_loss: bool = False
    masked: bool = False


def followed(episode: BadLoss | None, rows: Matrix, at: float) -> BadLoss | None:
    """The episode that is open after `rows` (in file order, shape `[n, WIDTH]`, written `at`), or None.

    The answer does not depend on how the rows were cut into calls.
    """
    if episode is None and not (rows[:, Column.BAD] > 0).any():
        return None
    good = np.isfinite(rows[:, [Column.LOSS, Column.GRAD_NORM]]).any(axis=1) & (rows[:, Column.BAD] == 0)
    passed = np.cumsum(good) + (episode.finite if episode else 0)
    bad = np.flatnonzero(rows[:, Column.BAD] > 0)
    if len(bad):
        clear = np.flatnonzero(np.diff(passed[bad], prepend=0) >= CLEAR_AFTER)
        if episode is None or len(clear):
            first = rows[bad[clear[-1] if len(clear) else 0]]
            episode = BadLoss(float(first[Column.STEP]), float(first[Column.TS]), at, float(first[Column.LOSS]))
        episode.finite = int(passed[-1] - passed[bad[-1]])
        of_it = rows[bad[clear[-1] if len(clear) else 0 :]]
        episode.of_loss |= bool((of_it[:, Column.BAD] > 1).any())
        episode.masked |= bool((of_it[:, Column.LOSS] == 0).any())
    elif episode is not None:
        episode.finite = int(passed[-1])
    return None if episode is None or episode.finite >= CLEAR_AFTER else episode
