"""Which ranks a diagnosis looks at closely."""

from __future__ import annotations

from ugro_tui.core.alerts import Severity
from ugro_tui.core.snapshot import JobView
from ugro_tui.core.states import RankState

MOST_SUSPECTS = 8

_BAD = (RankState.DEAD, RankState.STALLED, RankState.HUNG, RankState.SLOW, RankState.UNREACHABLE)


def suspects(view: JobView, most: int = MOST_SUSPECTS) -> tuple[int, ...]:
    """The ranks that are not well: those that alerts name first, the worst alert's before all; else the lowest rank.

    Empty for a job of which no rank is known.
    """
    known = view.ranks.rank.tolist()
    alerts = sorted(view.summary.alerts, key=lambda alert: -alert.severity)
    named = [alert.rank for alert in alerts if alert.severity > Severity.INFO and alert.rank is not None]
    bad = [rank for state in _BAD for rank, one in zip(known, view.ranks.state.tolist(), strict=True) if one == state]
    chosen = [rank for rank in dict.fromkeys([*named, *bad]) if rank in known]
    return tuple((chosen or known[:1])[:most])
