"""The line of one rank beside the curve of its job."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ugro_tui.core.archive import Line, Lines
from ugro_tui.core.curve import Curve, OutlierLine, curve_of


def among(curve: Curve, line: Line) -> Curve:
    """The curve of all ranks with the line of one drawn beside it, and of the marks those of this rank alone.

    Where the others have no curve, it is that of the line.
    """
    own = curve_of(Lines("", (line,), 1))
    if not len(curve.steps) or not len(own.steps):
        return replace(curve, bad=own.bad, outliers=()) if len(curve.steps) else own
    values = np.interp(curve.steps, own.steps, own.median, left=np.nan, right=np.nan)
    return replace(curve, bad=own.bad, outliers=(OutlierLine(line.rank, values),), last=own.last, least=own.least)
