"""What the screen of one rank says: who and why, the facts, the phases beside the others', what is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content

from ugro_tui.core.alerts import Alert
from ugro_tui.core.beside import MEAN_OF, STEP, Beside, milliseconds
from ugro_tui.core.numbers import plain
from ugro_tui.core.rank_view import RankView
from ugro_tui.core.rank_words import Compared, Facts, facts, number_rows, starts_lines
from ugro_tui.core.records import ErrorReport
from ugro_tui.core.states import RankState
from ugro_tui.ui.marks import RANK_GLYPHS, RANK_STYLES, SEVERITY_GLYPHS, SEVERITY_STYLES
from ugro_tui.ui.wording import phrased, shortened

MOST_STARTS = 4
"""Starts that are listed: the newest."""

MOST_TRACE = 24
"""Lines of a traceback that are shown: its end says what was raised."""

_NAME = 12
"""Cells of the name of a fact."""

_PHASE, _NUMBER = 16, 8
"""Cells of the name of a phase, and of a number."""

_CELL = 28
"""Cells of a number with its median."""

_LEAST_BAR, _MOST_BAR = 8, 40
"""Cells of a bar."""

_LONGEST_NAME = 40
"""Cells of a name at the head of a line that says more."""

_LEAST_NAME = 8
"""Cells below which a name would be scraps: then it is left out."""


def head(job_id: str, rank: int, size: int, node: str, state: RankState, why: str, width: int) -> Content:
    """Which rank of `size`, how it is, and why. In `width` cells names are shortened, so that its state stands beside
    it on the first line."""
    number, how = f"rank {rank}/{size}", (f"{RANK_GLYPHS[state]} {state.word}", f"bold {RANK_STYLES[state]}")
    room = width - len(number) - len(how[0]) - len("   on    ")
    where = _name(node, min(room // 2, _LONGEST_NAME))
    name = _name(job_id, min(room - len(where), _LONGEST_NAME))
    return Content.assemble(
        (f" {name} " if name else "", "bold"),
        f" {number}{f' on {where}' if where else ''}  ",
        how,
        f"  {why}" if why else "",
    )


def _name(name: str, room: int) -> str:
    return shortened(name, room) if room >= min(_LEAST_NAME, cell_len(name)) else ""


def facts_text(view: RankView, width: int) -> Content:
    """The facts and its starts in `width` cells; of a rank that nothing is known of, where to look."""
    if not view.seen:
        return Content("nothing is known of it: look at what its launcher printed, and whether its node can be reached")
    starts = starts_lines(view)
    more = len(starts) - MOST_STARTS
    starts = [*starts[:MOST_STARTS], f"… and {more} before"] if more > 0 else starts
    own = [f"{name} {plain(value)}" for name, value in sorted((view.metrics or {}).items())]
    told = [*facts(view), *_listed("starts", starts), *_listed("its own", own)]
    return Content("\n").join(line for name, value in told for line in _fact(name, value, width))


def _listed(name: str, values: Sequence[str]) -> Facts:
    return [("" if place else name, value) for place, value in enumerate(values)]


def _fact(name: str, value: str, width: int) -> list[Content]:
    """A fact, its value below itself where it is long."""
    first, *others = phrased(value, max(16, width - _NAME))
    return [
        Content.assemble((name.ljust(_NAME), "$text-muted"), first),
        *(Content(" " * _NAME + one) for one in others),
    ]


def beside_text(view: RankView, width: int) -> Content:
    """What stands out, the phases with bars, and the newest numbers, in `width` cells."""
    parts = [_stands_out(view), *_phases(view, width), *_numbers(number_rows(view), width)]
    return Content("\n").join(part for part in parts if part is not None)


def hint(view: RankView) -> str:
    """What to do about the worst, or what stands out: for a screen that has no room for more."""
    return next((f"→ {alert.next_step}" for alert in view.alerts), view.stands_out)


def _stands_out(view: RankView) -> Content | None:
    return Content.styled(f"⚠ {view.stands_out}", "bold $warning") if view.stands_out else None


def _phases(view: RankView, width: int) -> list[Content]:
    told = [phase for phase in view.phases if not (math.isnan(phase.own) and math.isnan(phase.median))]
    if not told:
        return [
            Content.styled("no phases timed: emitter.phase and emitter.instrument tell them", "$text-muted"),
            _BLANK,
        ]
    bars = min(_MOST_BAR, width - _PHASE - 2 * (_NUMBER + 1) - 2)
    lengths = [value for one in told if one.name != STEP for value in (one.own, one.median) if value == value]
    most = max(lengths, default=0.0)
    title = f"{f'phase, {MEAN_OF}':<{_PHASE}} {'own':>{_NUMBER}} {'others':>{_NUMBER}}"
    lines = [Content.styled(title + (_SCALE if bars >= len(_SCALE) - 2 else ""), "$text-muted")]
    lines += [_phase(one, most, bars, outstanding=view.stands_out.startswith(f"{one.name} ")) for one in told]
    return [*lines, _BLANK]


_BLANK = Content("")

_SCALE = "  █ own  │ others"


def _phase(one: Beside, most: float, bars: int, *, outstanding: bool) -> Content:
    numbers = f"{milliseconds(one.own):>{_NUMBER}} {milliseconds(one.median):>{_NUMBER}}"
    line = Content.assemble((f"{one.name:<{_PHASE}} ", "bold" if outstanding else ""), numbers)
    if bars < _LEAST_BAR or one.name == STEP or not most > 0:
        return line
    return Content.assemble(line, "  ", _bar(one, most, bars, "bold $warning" if outstanding else "$primary"))


def _bar(one: Beside, most: float, width: int, style: str) -> Content:
    """Its own length, and a mark where the others' median ends."""
    own, median = (0 if math.isnan(value) else round(width * value / most) for value in (one.own, one.median))
    cells = ("█" * own).ljust(width)
    if math.isnan(one.median):
        return Content.styled(cells, style)
    place = max(0, median - 1)
    return Content.assemble((cells[:place], style), ("│", "bold $foreground"), (cells[place + 1 :], style))


def _numbers(rows: Sequence[Compared], width: int) -> list[Content]:
    """Own values with the others' median behind them; beside each other where two fit."""
    if not rows:
        return []
    beside = max(1, width // _CELL)
    cell = width // beside
    cells = [f"{row.title:<10}{row.own:>9} ({'=' if row.own == row.median else row.median})" for row in rows]
    lines = [cells[place : place + beside] for place in range(0, len(cells), beside)]
    title = Content.styled("newest numbers (others' median; =: the same)", "$text-muted")
    return [title, *(Content("".join(text.ljust(cell) for text in line).rstrip()) for line in lines)]


def trouble_title(alerts: Sequence[Alert], error: ErrorReport | None) -> Content:
    """How many alerts, and whether there is an error report."""
    return Content(f"Alerts {len(alerts)}{' · error report' if error is not None else ''} · end of its log")


def trouble_text(alerts: Sequence[Alert], error: ErrorReport | None) -> Content:
    """Alerts and the error report."""
    lines = [line for alert in alerts for line in _alert(alert)]
    if not alerts and error is None:
        lines.append(Content.styled("nothing is wrong with it, as far as the records tell", "$text-muted"))
    return Content("\n").join([*lines, *([] if error is None else _report(error))])


def _report(error: ErrorReport) -> list[Content]:
    """A traceback, which mostly ends in the message."""
    *trace, last = error.traceback.splitlines()[-MOST_TRACE:] or [""]
    said = [] if error.message and error.message in last else [Content.styled(f"✖ {error.message}", "bold $error")]
    return [*said, *map(Content, trace), *([Content.styled(last, "bold $error")] if last else [])]


def _alert(alert: Alert) -> list[Content]:
    since = (f"  {alert.since}" if alert.since else "", "$text-muted")
    name = (f"{SEVERITY_GLYPHS[alert.severity]} {alert.name}", f"bold {SEVERITY_STYLES[alert.severity]}")
    return [Content.assemble(name, f"  {alert.what}", since), Content.assemble(("  → ", "$accent"), alert.next_step)]
