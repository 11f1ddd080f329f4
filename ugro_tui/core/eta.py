"""How fast a run steps, and when it will be done."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ugro_tui.core.columns import Column
from ugro_tui.core.records import Matrix

WARM_UP_STEPS: Final = 5
"""Iterations left out: compilation, autotuning and cold caches make the first ones many times longer (alerts.md)."""

RECENT_ROWS: Final = 200


def seconds_per_step(rows: Matrix, recent: int = RECENT_ROWS) -> float:
    """Mean wall time per step over the `recent` rows (0: all) without the warm-up; evaluation, checkpoints included.

    `rows` are one rank's rows of one attempt, shape `[n, WIDTH]`. NaN where there are too few that carry a time.
    """
    rows = rows[np.isfinite(rows[:, Column.TS])]
    if len(rows) < 2:
        return math.nan
    warm = rows[0, Column.STEP] + WARM_UP_STEPS
    counted = rows[rows[:, Column.STEP] >= warm][-recent:]
    if len(counted) < 2:
        return math.nan
    steps = counted[-1, Column.STEP] - counted[0, Column.STEP]
    seconds = counted[-1, Column.TS] - counted[0, Column.TS]
    return float(seconds / steps) if steps > 0 and seconds > 0 else math.nan


def remaining_seconds(step: float, total_steps: int | None, per_step: float) -> float:
    """Seconds until `total_steps` at `per_step` seconds a step; NaN where either is unknown."""
    if total_steps is None or math.isnan(per_step) or math.isnan(step):
        return math.nan
    return max(0.0, (total_steps - step) * per_step)
