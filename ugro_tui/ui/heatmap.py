"""The phases of a step, rank by rank: where it glows, a rank takes longer than the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from ugro_tui.core.numbers import phase_time
from ugro_tui.core.phase_heat import PhaseHeat, phase_heat
from ugro_tui.core.snapshot import RankColumns

SHADES: Final = ((1.25, " ", ""), (1.6, "░", "$foreground 60%"), (2.5, "▒", "$warning"), (5.0, "▓", "$error 80%"))
"""Up to how many times the usual, which glyph and colour; beyond the last, `HOTTEST`."""

HOTTEST: Final = ("█", "$error")

_WITH_NUMBERS: Final = 11
"""Cells of a phase from which on its milliseconds stand beside the shade."""

_SHADE: Final = 3
"""Cells of the shade beside a number."""

_WITH_DIGITS: Final = 5
"""Cells of a phase from which on its milliseconds, without the unit, stand behind one cell of the shade."""

_SHORT: Final = {"forward": "forw", "backward": "back", "sync_wait": "wait", "optimizer": "opt"}
"""What phases are called where room is short, much as in the table of ranks."""

_AROUND: Final = 2
"""Lines for the names of the phases and for the worst."""


def shade_of(times: float) -> tuple[str, str]:
    """Glyph and colour for so many times the usual; a dot where that is not known."""
    if np.isnan(times):
        return "·", "$text-muted"
    return next(((glyph, style) for most, glyph, style in SHADES if times <= most), HOTTEST)


def digits(seconds: float) -> str:
    """The milliseconds of a phase in four cells: `0.14`, `4.1`, `412`, `12s`; a dot where they are not known."""
    ms = seconds * 1000
    if np.isnan(ms):
        return "·"
    if ms >= 9999.5:
        return f"{seconds:.0f}s" if seconds < 999.5 else ">16m"
    return f"{ms:.0f}" if ms >= 99.95 else f"{ms:.1f}" if ms >= 0.995 else f"{ms:.2f}"


def heat_lines(heat: PhaseHeat, width: int, height: int) -> Content:
    """The heatmap in `width` x `height` cells."""
    names = [_group_name(*group) for group in heat.groups]
    label = max(len(name) for name in names) + 1
    cell = max(1, min(24, (width - label) // len(heat.phases)))
    head = Content.styled(" " * label + "".join(_head(phase, cell) for phase in heat.phases), "$text-muted")
    rows = [_row(name, heat, place, label, cell) for place, name in enumerate(names)]
    lines = [head, *rows, Content(heat.worst)] if height >= len(rows) + _AROUND else [*rows, Content(heat.worst)]
    return Content("\n").join(lines[-height:])


def _head(phase: str, cell: int) -> str:
    """The name of a phase over its numbers, or over its shade where there are none."""
    if _WITH_DIGITS <= cell < _WITH_NUMBERS:
        return f"{_SHORT.get(phase, phase)[:_WITH_DIGITS]:>{_WITH_DIGITS}}".ljust(cell)
    short = phase if len(phase) < cell else _SHORT.get(phase, phase)
    return f"{short[: cell - 1]:<{cell}}" if cell < _WITH_NUMBERS else f"{phase:>{_SHADE + _value(cell)}}".ljust(cell)


def _value(cell: int) -> int:
    """Cells for the number of a phase."""
    return min(9, cell - _SHADE - 1)


def _group_name(first: int, last: int) -> str:
    return f"rank {first}" if first == last else f"ranks {first}-{last}"


def _row(name: str, heat: PhaseHeat, place: int, label: int, cell: int) -> Content:
    return Content.assemble((f"{name:<{label}}", "$text-muted"), *_cells(heat, place, cell))


def _cells(heat: PhaseHeat, place: int, cell: int) -> Iterator[tuple[str, str] | str]:
    for times, seconds in zip(heat.times[place].tolist(), heat.seconds[place].tolist(), strict=True):
        glyph, style = shade_of(times)
        if _WITH_DIGITS <= cell < _WITH_NUMBERS:
            yield (f"{glyph if glyph != '·' else ' '}{digits(seconds):>4}".ljust(cell), style)
        elif cell < _WITH_NUMBERS:
            wide = max(1, cell - 1)
            yield (glyph * wide, style)
            yield " " * (cell - wide)
        else:
            text = phase_time(seconds)
            yield (glyph * _SHADE, style)
            yield f"{text[: _value(cell)]:>{_value(cell)}}".ljust(cell - _SHADE)


class PhaseHeatmap(Widget):
    """The phases of a job's ranks; many ranks are shown in groups, each by its slowest."""

    DEFAULT_CSS = "PhaseHeatmap { background: $surface; width: 1fr; height: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._ranks: RankColumns | None = None

    def show(self, ranks: RankColumns | None) -> None:
        """Show these ranks from now on."""
        if ranks is not self._ranks:
            self._ranks = ranks
            self.refresh()

    def render(self) -> RenderResult:
        """As many lines as there is room for."""
        width, height = self.size
        heat = None if self._ranks is None else phase_heat(self._ranks, max(1, height - _AROUND))
        if heat is None or not heat.phases:
            return Content.styled("no phases recorded: the emitter times what runs in its phase blocks", "$text-muted")
        return heat_lines(heat, width, height)
