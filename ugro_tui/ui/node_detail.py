"""One node in full: what is wrong with it, its machine, its disks, and its GPUs with bars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from textual.content import Content

from ugro_tui.core import health_words as words
from ugro_tui.core.health import DiskHealth, GpuHealth, JobProcess, NodeHealth
from ugro_tui.core.log_lines import ranks_text
from ugro_tui.core.numbers import UNKNOWN, gibibytes
from ugro_tui.ui.wording import shortened

_NAME = 26
"""Cells of the name of a GPU or of the path of a disk, the longest."""

_BARS = (8, 16)
"""Cells of a bar: where room is short, and where it is not."""

_WIDE = 110
"""Cells from which bars are the longer ones."""

_OTHERS: Final[Mapping[bool | None, str]] = {
    None: "  (not watched here)",
    True: "  (a job of this name is over here: it outlived it, or is not watched here)",
}
"""What is said of processes that no job explains which runs, by whether one of that name is over; None: there is none.
"""

FULL = 0.9
"""The share of a disk from which its bar warns."""


def machine_lines(health: NodeHealth, width: int, jobs: Mapping[str, bool]) -> list[Content]:
    """What `health` tells of a machine in `width` cells: reasons first, then load and memory, GPUs, disks, ranks.

    `jobs`: those that are watched, and whether each is over.
    """
    reasons = [Content.assemble(("→ ", "$warning"), reason) for reason in health.reasons]
    wide = width >= _WIDE
    gpus = _gpus(health.gpus, wide=wide)
    return [*reasons, *_machine(health), *gpus, *_disks(health.disks, _BARS[wide]), *_runs(health.processes, jobs)]


def _machine(health: NodeHealth) -> Iterator[Content]:
    if math.isnan(health.age):
        return
    told = {
        "load": words.load(health),
        "memory": words.memory(health),
        "round trip": words.latency(health),
        "clock": words.clock_offset(health),
    }
    known = [Content.assemble((f"{name} ", "$text-muted"), value) for name, value in told.items() if value != UNKNOWN]
    if known:
        yield Content("   ").join(known)


def _gpus(gpus: Sequence[GpuHealth], *, wide: bool) -> Iterator[Content]:
    """A line for each, its numbers below each other's; the name where there is room, for all alike before them."""
    kinds = {gpu.name for gpu in gpus}
    if len(kinds) == 1 and len(gpus) > 1:
        yield Content.assemble(("GPUs ", "$text-muted"), f"{len(gpus)} × {kinds.pop()}")
    names = min(_NAME, max(map(len, kinds))) if kinds and wide else 0
    for gpu in gpus:
        head = f"GPU {gpu.label:<2} " + (f"{shortened(gpu.name, names):<{names}}  " if names else "")
        yield Content.assemble(head, *_gpu(gpu, wide=wide))


Part = str | tuple[str, str]


def _gpu(gpu: GpuHealth, *, wide: bool) -> Iterator[Part]:
    """How busy and how full it is, as bars too; then heat, power, and what slows it down, bad or usual."""
    if gpu.lost:
        yield ("✖ lost", "bold $error")
        return
    used, total = (math.nan if size is None else size for size in (gpu.mem_used, gpu.mem_total))
    yield from _bar(gpu.util / 100, _BARS[wide], "$success")
    yield f" {words.percent(gpu.util):>4}  "
    yield from _bar(used / total if total else math.nan, _BARS[wide], "$primary")
    yield f" {gibibytes(used).removesuffix('G'):>5}/{gibibytes(total):<6}  {words.degrees(gpu.temp):>6}  {_power(gpu)}"
    if gpu.throttle and wide:
        yield (f"  {', '.join(gpu.throttle)}", "$text-muted")


def _power(gpu: GpuHealth) -> str:
    limit = "" if math.isnan(gpu.power_limit) else f"/{gpu.power_limit:.0f}"
    return UNKNOWN if math.isnan(gpu.power) else f"{gpu.power:.0f}{limit} W"


def _disks(disks: Sequence[DiskHealth], bar: int) -> Iterator[Content]:
    paths = min(_NAME, max((len(disk.path) for disk in disks), default=0))
    for disk in disks:
        free, total = (math.nan if size is None else float(size) for size in (disk.free, disk.total))
        used = 1 - free / total if total else math.nan
        yield Content.assemble(
            f"disk {disk.role:<8} {shortened(disk.path, paths):<{paths}}  ",
            *_bar(used, bar, "$warning" if used >= FULL else "$primary"),
            f"  {gibibytes(free)} of {gibibytes(total)} free",
        )


def _runs(processes: Sequence[JobProcess], watched: Mapping[str, bool]) -> Iterator[Content]:
    """Which ranks of which jobs have a process there: also of jobs that other people, or other directories, have."""
    jobs: dict[str, set[int]] = {}
    for process in processes:
        if process.rank is not None:
            jobs.setdefault(process.job_id, set()).add(process.rank)
    for job, ranks in jobs.items():
        noun = "rank" if len(ranks) == 1 else "ranks"
        said = f"{job} {noun} {ranks_text(sorted(ranks))}"
        yield Content.assemble(("runs ", "$text-muted"), said, (_OTHERS.get(watched.get(job), ""), "$text-muted"))


def _bar(share: float, width: int, style: str) -> Iterator[Part]:
    """`share` of `width` cells filled; an empty one where it is not known."""
    filled = 0 if math.isnan(share) else round(width * min(1.0, max(0.0, share)))
    yield ("█" * filled, style)
    yield ("░" * (width - filled), "$text-muted")
