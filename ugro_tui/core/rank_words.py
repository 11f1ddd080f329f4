"""A rank in words, the same on the screen and on the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np

from ugro_tui.core.beside import Beside, milliseconds
from ugro_tui.core.numbers import UNKNOWN, compact, count, counted, duration, gibibytes, plain
from ugro_tui.core.rank_view import Begun, RankView

Facts = list[tuple[str, str]]
"""Names and values."""


class Compared(NamedTuple):
    """A line of a table: a number of the rank, the others' median, and the least of all."""

    title: str
    own: str
    median: str
    least: str = ""


def facts(view: RankView) -> Facts:
    """Who it is, how fresh what is known of it is, how its process does, and what got lost."""
    return [fact for fact in (*_who(view), *_how(view)) if fact[1]]


def freshness(view: RankView) -> str:
    """The three ages."""
    ages = view.ages
    parts = (("step", ages.step), ("write", ages.write), ("node heard", ages.poll))
    return f"{', '.join(f'{name} {duration(seconds)}' for name, seconds in parts)} ago"


def _who(view: RankView) -> Iterator[tuple[str, str]]:
    who = view.identity
    named = f" ({who.host})" if who.host and who.host != who.node else ""
    local = "" if who.local_rank is None else f", local rank {who.local_rank}"
    yield "node", f"{who.node or UNKNOWN}{named}{local}"
    index = "" if who.gpu_index is None else str(who.gpu_index)
    yield "gpu", "  ".join(part for part in (index, who.gpu_name, who.gpu_uuid) if part)
    pid = UNKNOWN if who.pid is None else who.pid
    yield "process", f"pid {pid}, run {who.run_id or UNKNOWN}, attempt {who.attempt}"
    yield "freshness", freshness(view)


def _how(view: RankView) -> Iterator[tuple[str, str]]:
    pulse = view.pulse
    if pulse is None:
        yield "heartbeat", "none" if view.seen else ""
    else:
        phase = f", in {pulse.phase}" if pulse.phase else ""
        process = f", its process is {pulse.process}" if pulse.process else ""
        yield "heartbeat", f"{pulse.state or UNKNOWN}{phase}{process}"
        yield "memory", "" if math.isnan(pulse.rss) else f"{gibibytes(pulse.rss)}{_of(pulse.ram)}"
        yield "disk", "" if math.isnan(pulse.disk_free) else f"{gibibytes(pulse.disk_free)} free{_of(pulse.disk_total)}"
        yield "throttled", ", ".join(pulse.throttle)
    counts = view.counts
    yield "records", count(counts.records)
    missing = (("lost", counts.lost), ("dropped", counts.dropped), ("unreadable", counts.skipped))
    yield "missing", ", ".join(f"{count(many)} {name}" for name, many in missing if many)
    yield "not finite", counted(counts.non_finite, "record") if counts.non_finite else ""
    yield "skipped", f"{count(counts.skipped_steps)} steps by loss scaling" if counts.skipped_steps > 0 else ""


def _of(size: float) -> str:
    return "" if math.isnan(size) else f" of {gibibytes(size)}"


def starts_lines(view: RankView) -> list[str]:
    """Its starts, the newest first."""
    return [_begun(start) for start in reversed(view.starts)]


def _begun(start: Begun) -> str:
    after = "" if math.isnan(start.step) else f" after step {count(start.step)}"
    return f"{moment(start.at)}{after}: {start.ended or 'goes on'}"


_YEAR_10_000: Final = 253_402_300_800


def moment(at: float) -> str:
    """Unix seconds as a time in UTC, for people."""
    if not 0 <= at < _YEAR_10_000:
        return UNKNOWN
    return str(np.datetime64(int(at), "s")).replace("T", " ") + " UTC"


_TITLES: Final[dict[str, tuple[str, Callable[[float], str]]]] = {
    "step": ("step", count),
    "loss": ("loss", plain),
    "grad_norm": ("grad norm", plain),
    "lr": ("lr", plain),
    "throughput": ("tok/s", compact),
    "tokens": ("tokens", compact),
    "gpu_util": ("GPU %", count),
    "gpu_mem_used": ("GPU mem", gibibytes),
    "gpu_temp": ("GPU °C", count),
    "gpu_power": ("GPU W", count),
    "gpu_ecc": ("GPU ECC", count),
}
"""The numbers that are shown, in this order, and how each reads."""


def number_rows(view: RankView) -> list[Compared]:
    """The newest numbers beside the others' median; what neither tells is left out."""
    by_name = {one.name: one for one in view.numbers}
    rows = []
    for name, (title, shown) in _TITLES.items():
        one = by_name.get(name)
        bad = name == "loss" and view.loss_bad
        if one is not None and (bad or not (math.isnan(one.own) and math.isnan(one.median))):
            own = "NaN" if bad else shown(one.own)
            rows.append(Compared(title, own, shown(one.median)))
    return rows


def phase_rows(view: RankView) -> list[Compared]:
    """The phases of a step beside the others' median, and the least of all."""
    told = [phase for phase in view.phases if not (math.isnan(phase.own) and math.isnan(phase.median))]
    return [Compared(phase.name, milliseconds(phase.own), milliseconds(phase.median), _least(phase)) for phase in told]


def _least(phase: Beside) -> str:
    return "" if phase.least_rank is None else f"{milliseconds(phase.least)} (rank {phase.least_rank})"
