"""The attempts of a job as its records tell them: each of its starts, from the first to the newest."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ugro_tui.core.archive import Inquiry, Lines
from ugro_tui.core.columns import MAX_COUNT, Column
from ugro_tui.core.decode import decode
from ugro_tui.core.events import parse
from ugro_tui.core.fields import positive
from ugro_tui.core.records import End, Item, Matrix, Start, Steps
from ugro_tui.core.run_config import NOTHING, Config, RunConfig, config_of
from ugro_tui.core.states import JobStatus

MOST_ATTEMPTS: Final = 64
"""Attempts told of a job, the newest ones."""

_START = re.compile(rb'"kind"\s*:\s*"start"')


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt in numbers, NaN where not known: `duration` in seconds, `throughput` the mean tokens/s of all ranks
    over their steps.

    `step` is the one that all ranks read have made, `tokens` the most that one of them has told, `begun` the time of
    the first record, Unix seconds by the node's clock.
    """

    number: int
    status: JobStatus
    world_size: int
    gpu: str
    step: float
    tokens: float
    duration: float
    throughput: float
    config: Config
    begun: float = math.nan

    def as_of(self, loss: Lines | None) -> Attempt:
        """Its numbers at the newest record of these lines: of a run that goes on both are read in turn, and one of them
        is a record ahead. `throughput` stays the mean of what was read."""
        lines = [line for line in loss.lines if len(line.step)] if loss is not None else []
        if not lines or math.isnan(self.step):
            return self
        steps, tokens, times = zip(*((line.step[-1], line.tokens[-1], line.time[-1]) for line in lines), strict=True)
        took = _greatest(times) - self.begun
        return replace(
            self, step=float(min(steps)), tokens=_greatest(tokens), duration=self.duration if math.isnan(took) else took
        )


@dataclass(frozen=True, slots=True)
class Attempts(Inquiry[tuple[Attempt, ...]]):
    """What the records of a job tell of its attempts, the earlier first; of many ranks some are read."""


def starts_in(lines: bytes) -> Iterator[dict[str, Any]]:
    """The `start` records of whole lines, as they are."""
    if _START.search(lines):
        found = [line for line in lines.split(b"\n") if _START.search(line)]
        yield from (record for record in parse(b"\n".join(found))[0] if record.get("kind") == "start")


def attempt_of(start: Mapping[str, Any]) -> int:
    """The attempt that a `start` record begins."""
    return positive(start.get("attempt")) or 1


def before_attempt(lines: bytes, attempt: int) -> tuple[bytes, bool]:
    """The whole lines before the first `start` of a later attempt than this one, and whether there is one."""
    for found in _START.finditer(lines):
        begin = lines.rfind(b"\n", 0, found.start()) + 1
        end = lines.find(b"\n", found.end())
        if any(attempt_of(start) > attempt for start in starts_in(lines[begin:end])):
            return lines[:begin], True
    return lines, False


@dataclass(slots=True)
class Part:
    """What one file of a rank tells of one attempt. Times are Unix seconds by the node's clock."""

    config: RunConfig = NOTHING
    size: int | None = None
    gpu: str = ""
    first: float = math.nan
    last: float = math.nan
    step: float = math.nan
    tokens: float = math.nan
    pace: float = 0.0
    """What a token took, in seconds, summed over the `paced` records."""
    paced: int = 0
    ended: str = ""

    def take(self, item: Item) -> None:
        """Take what follows in the file."""
        if isinstance(item, Steps):
            self._steps(item.rows)
        else:
            self._heard(np.array([item.ts]))
        if isinstance(item, Start):
            self.gpu, self.size, self.ended = item.gpu_name, item.world_size, ""
        elif isinstance(item, End):
            self.ended = item.status

    def _steps(self, rows: Matrix) -> None:
        self._heard(rows[:, Column.TS])
        self.step = float(rows[-1, Column.STEP])
        self.tokens = _last(rows[:, Column.TOKENS], self.tokens)
        told = rows[:, Column.THROUGHPUT]
        rates = told[(told > 1 / MAX_COUNT) & (told < MAX_COUNT)]
        self.pace, self.paced = self.pace + float((1 / rates).sum()), self.paced + len(rates)

    def _heard(self, times: Matrix) -> None:
        self.last = _last(times, self.last)
        self.first = _last(times[::-1], math.nan) if math.isnan(self.first) else self.first


def _last(values: Matrix, otherwise: float) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else otherwise


class AttemptLog:
    """The attempts in one metrics file, by number."""

    def __init__(self) -> None:
        self.parts: dict[int, Part] = {}
        self._now = 1

    def take(self, lines: bytes) -> None:
        """Take whole lines that follow in the file. Never raises on what they may hold."""
        for item in decode(lines).items:
            if isinstance(item, Start):
                self._now = item.attempt
            self.parts.setdefault(self._now, Part()).take(item)
        for start in starts_in(lines):
            self.parts.setdefault(attempt_of(start), Part()).config = config_of(start)
        for number in sorted(self.parts)[:-MOST_ATTEMPTS]:
            del self.parts[number]


def attempts_of(
    logs: Mapping[int, Sequence[AttemptLog]], ranks: int, command: Sequence[str] = (), launched: int = 0
) -> tuple[Attempt, ...]:
    """The attempts that the files of these ranks tell, by rank, of `ranks` that there are.

    `command` is how the launcher has started the attempt `launched`.
    """
    numbers = sorted({number for files in logs.values() for log in files for number in log.parts})
    found = []
    for number in numbers[-MOST_ATTEMPTS:]:
        parts = [log.parts[number] for files in logs.values() for log in files if number in log.parts]
        found.append(_attempt(number, parts, ranks, command if number == launched else ()))
    return tuple(found)


def _attempt(number: int, parts: Sequence[Part], ranks: int, command: Sequence[str]) -> Attempt:
    size = next((part.size for part in parts if part.size), len(parts))
    rates = [round(part.paced / part.pace, 6) for part in parts if part.paced]
    return Attempt(
        number=number,
        status=_status([part.ended for part in parts]),
        world_size=size,
        gpu=next((part.gpu for part in parts if part.gpu), ""),
        step=min((part.step for part in parts if not math.isnan(part.step)), default=math.nan),
        tokens=_greatest([part.tokens for part in parts]),
        duration=_greatest([part.last - part.first for part in parts]),
        throughput=sum(rates) / len(rates) * max(len(rates), min(size, ranks)) if rates else math.nan,
        config=next((part.config for part in parts if part.config is not NOTHING), NOTHING).merged(command),
        begun=min((part.first for part in parts if not math.isnan(part.first)), default=math.nan),
    )


def _status(ends: Sequence[str]) -> JobStatus:
    if "failed" in ends:
        return JobStatus.FAILED
    if "stopped" in ends:
        return JobStatus.STOPPED
    return JobStatus.FINISHED if set(ends) == {"completed"} else JobStatus.UNKNOWN


def _greatest(values: Sequence[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=math.nan)
