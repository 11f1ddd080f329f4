"""The command about how nodes are: `health`."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ugro_tui import exits
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.config import Config
    from ugro_tui.core.health import GpuHealth, NodeHealth

WATCH_SECONDS = 10.0
"""How often `--watch` asks: as often as the monitor itself asks what somebody watches."""

_TITLES = ("NODE", "SCORE", "REACH", "LATENCY", "CLOCK", "LOAD", "MEM", "DISK", "GPUS", "REASON")


def add_to(app: typer.Typer, configured: Callable[[typer.Context], Config]) -> None:
    """Add the command; `configured` gives the settings in force."""

    @app.command()
    def health(
        context: typer.Context,
        node: Annotated[str | None, typer.Argument(metavar="[NODE]", help="One node, in full; all without it.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch a line for each look.")] = False,
        watch: Annotated[bool, typer.Option("--watch", help="Look every 10 s, until Ctrl-C.")] = False,
    ) -> None:
        """How every node is: reach, clock, load, memory, disks, GPUs, processes of jobs; a score, and what to do.

        The score goes from 0 (does not answer) to 100: 40 less for each critical reason, 15 for each warning; what is
        not known costs nothing. Exit code 1 where a node has less than 70, 3: none answers, 4: some do not answer.
        """
        from ugro_tui.headless import headless

        with headless(configured(context)) as agent:
            while True:
                healths = agent.health(node)
                _print(healths, agent.clock.time(), as_json=as_json, watch=watch, whole=node is not None)
                if not watch:
                    raise typer.Exit(exits.of_health(healths))
                threading.Event().wait(WATCH_SECONDS)


def _print(healths: Sequence[NodeHealth], now: float, *, as_json: bool, watch: bool, whole: bool) -> None:
    """One look: a table, or one node in full; `now`: Unix seconds."""
    if as_json:
        from ugro_tui.plain import health_dict

        print_json({"time": now, **health_dict(healths)}, pretty=not watch)
        return
    lines = whole_lines(healths[0]) if whole else health_lines(healths)
    print_lines([time.strftime("%H:%M:%S", time.localtime(now)), *lines, ""] if watch else lines)


def health_lines(healths: Sequence[NodeHealth]) -> Iterator[str]:
    """A line for each node, with the worst of its reasons."""
    rows = [_TITLES, *map(_row, healths)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def whole_lines(health: NodeHealth) -> Iterator[str]:
    """One node with all that is known of it, and all reasons."""
    from ugro_tui.core.numbers import age, gibibytes

    yield from (f"{title.lower():<10}  {cell}" for title, cell in zip(_TITLES[:-1], _row(health), strict=False))
    yield f"{'told':<10}  {'never' if math.isnan(health.age) else f'{age(health.age)} ago'}"
    for disk in health.disks:
        free, total = (math.nan if size is None else size for size in (disk.free, disk.total))
        yield f"{'disk':<10}  {disk.role}: {gibibytes(free)} of {gibibytes(total)} free at {disk.path}"
    yield from (f"{f'GPU {gpu.label}':<10}  {_gpu(gpu)}" for gpu in health.gpus)
    for one in health.processes:
        rank = "" if one.rank is None else f" rank {one.rank}"
        memory = gibibytes(math.nan if one.rss is None else one.rss)
        yield f"{'process':<10}  {one.job_id}{rank}: pid {one.pid}, {_percent(one.cpu)} CPU, {memory}, {one.state}"
    yield from (f"→ {reason}" for reason in health.reasons)


def _row(health: NodeHealth) -> tuple[str, ...]:
    from ugro_tui.core.health_score import NOT_KNOWN
    from ugro_tui.core.numbers import UNKNOWN, gibibytes

    total, available = health.memory_total, health.memory_available
    used = "" if not total or available is None else f"{100 * (1 - available / total):.0f}% of {gibibytes(total)}"
    load = "" if math.isnan(health.load[0]) else f"{health.load[0]:.1f}/{health.cpus or UNKNOWN}"
    free = [disk.free / disk.total for disk in health.disks if disk.total and disk.free is not None]
    others = sum(not reason.startswith(NOT_KNOWN) for reason in health.reasons[1:])
    more = f" (+{others} more)" if others else ""
    return (
        health.node,
        str(health.score),
        _reach(health),
        UNKNOWN if math.isnan(health.latency) else f"{health.latency * 1000:.0f} ms",
        UNKNOWN if math.isnan(health.clock_offset) else f"{health.clock_offset:+.1f} s",
        load or UNKNOWN,
        used or UNKNOWN,
        f"{math.floor(100 * min(free))}% free" if free else UNKNOWN,
        _gpus(health),
        health.reasons[0] + more if health.reasons else "",
    )


def _reach(health: NodeHealth) -> str:
    """How the node answers, and when it is tried again where it is left alone."""
    from ugro_tui.core.numbers import duration

    word = health.brief or health.state.value
    if health.breaker == "open":
        return f"{word}, retry {duration(health.retry)}" if math.isfinite(health.retry) else word
    return f"{word}, tried now" if health.breaker == "half-open" else word


def _gpus(health: NodeHealth) -> str:
    """How many GPUs answer, how busy they are on average, and how hot the hottest is."""
    from ugro_tui.core.numbers import UNKNOWN

    if not health.gpus:
        return "0" if health.gpus_known else UNKNOWN
    busy = [gpu.util for gpu in health.gpus if not math.isnan(gpu.util)]
    hottest = max((gpu.temp for gpu in health.gpus if not math.isnan(gpu.temp)), default=math.nan)
    there = sum(not gpu.lost for gpu in health.gpus)
    count = str(there) if there == len(health.gpus) else f"{there} of {len(health.gpus)}"
    return f"{count}, {_percent(sum(busy) / len(busy) if busy else math.nan)}, {_degrees(hottest)}"


def _gpu(gpu: GpuHealth) -> str:
    from ugro_tui.core.numbers import UNKNOWN, gibibytes

    if gpu.lost:
        return f"{gpu.name} lost".strip()
    used, total = (gibibytes(math.nan if size is None else size) for size in (gpu.mem_used, gpu.mem_total))
    power = UNKNOWN if math.isnan(gpu.power) else f"{gpu.power:.0f} W"
    limit = "" if math.isnan(gpu.power_limit) else f" of {gpu.power_limit:.0f} W"
    slowed = f", slowed down: {', '.join(gpu.throttle)}" if gpu.throttle else ""
    return f"{gpu.name}: {_percent(gpu.util)}, {used} of {total}, {_degrees(gpu.temp)}, {power}{limit}{slowed}"


def _percent(value: float) -> str:
    from ugro_tui.core.numbers import UNKNOWN

    return UNKNOWN if math.isnan(value) else f"{value:.0f}%"


def _degrees(value: float) -> str:
    from ugro_tui.core.numbers import UNKNOWN

    return UNKNOWN if math.isnan(value) else f"{value:.0f} °C"
