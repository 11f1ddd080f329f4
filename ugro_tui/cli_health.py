"""The command about how nodes are: `health`."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ugro_tui import exits
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.config import Config
    from ugro_tui.core.health import NodeHealth

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
    from ugro_tui.core.health_words import gpu_line, percent
    from ugro_tui.core.numbers import age, gibibytes

    yield from (f"{title.lower():<10}  {cell}" for title, cell in zip(_TITLES[:-1], _row(health), strict=False))
    yield f"{'told':<10}  {'never' if math.isnan(health.age) else f'{age(health.age)} ago'}"
    for disk in health.disks:
        free, total = (math.nan if size is None else size for size in (disk.free, disk.total))
        yield f"{'disk':<10}  {disk.role}: {gibibytes(free)} of {gibibytes(total)} free at {disk.path}"
    yield from (f"{f'GPU {gpu.label}':<10}  {gpu_line(gpu)}" for gpu in health.gpus)
    for one in health.processes:
        rank = "" if one.rank is None else f" rank {one.rank}"
        memory = gibibytes(math.nan if one.rss is None else one.rss)
        yield f"{'process':<10}  {one.job_id}{rank}: pid {one.pid}, {percent(one.cpu)} CPU, {memory}, {one.state}"
    yield from (f"→ {reason}" for reason in health.reasons)


def _row(health: NodeHealth) -> tuple[str, ...]:
    from ugro_tui.core import health_words as words
    from ugro_tui.core.rank import LOCAL
    from ugro_tui.core.snapshot import labelled

    return (
        labelled(health.node, socket.gethostname() if health.node == LOCAL else ""),
        words.score(health),
        words.reach(health),
        words.latency(health),
        words.clock_offset(health),
        words.load(health),
        words.memory(health),
        words.disk(health),
        words.gpus(health),
        words.reason(health),
    )
