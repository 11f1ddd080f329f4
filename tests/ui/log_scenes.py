"""Logs as a collector would have read them, for pictures and pilot tests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tests.ui.scenes import PLACE, FakeArchive, FakeFeed, crashed, loss_at
from ugro_tui.core.archive import Finding, Inquiry
from ugro_tui.core.log_inquiry import LogError, LogErrors, LogFirstError, LogPage, LogPlace, LogText
from ugro_tui.core.log_lines import LineReader
from ugro_tui.core.log_merge import merged
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.core.states import JobStatus
from ugro_tui.ui.app import UgroApp

JOB = "gpt2-small"


def page(texts: Mapping[int, Iterable[str]], skipped: int = 0, dropped: int = 0, at: int = -1) -> LogPage:
    """The page of what these ranks have printed."""
    begins = tuple(LogPlace(rank, "", skipped) for rank in texts)
    lines = merged({rank: LineReader(rank).read(said) for rank, said in texts.items()})
    return LogPage(tuple(lines), begins, dropped, at)


def steps(first: int, last: int, rank: int = 0, total: int = 500) -> list[str]:
    """What a rank prints while all goes well."""
    return [
        f"2026-05-16 09:{step // 60 % 60:02}:{step % 60:02},{rank:03} - INFO - "
        f"step {step}/{total} loss {loss_at(step):.3f}"
        for step in range(first, last + 1)
    ]


TRACE = [
    "Traceback (most recent call last):",
    '  File "train.py", line 212, in main',
    "    loss.backward()",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 1 has a total capacity of 79.15 GiB",
]


def crash() -> LogPage:
    """Four ranks of which one dies of a lack of memory; with colours, a warning, and what no terminal should obey."""
    begin = [
        "2026-05-16 09:00:00,000 - INFO - \x1b[1;38;5;208mugro\x1b[0m: loading \x1b[32mtokens\x1b[0m from shard 7",
        "/opt/train/data.py:31: UserWarning: this shard is read twice",
    ]
    texts = {rank: [*begin, *steps(1, 30, rank)] for rank in range(4)}
    texts[0].insert(2, "2026-05-16 09:00:00,500 - DEBUG - title \x1b]0;owned\x07 and \x1b[2J stay text")
    texts[1] += ["2026-05-16 09:00:31,000 - ERROR - step 31 failed", *(f"[rank1]: {line}" for line in TRACE)]
    for rank in (0, 2, 3):
        texts[rank] += [
            f"[rank{rank}]:[W516 09:00:32.5 ProcessGroupNCCL.cpp:1496] Warning: watchdog of rank {rank} is ending",
            f"2026-05-16 09:00:33,00{rank} - INFO - leaving",
        ]
    return page(texts)


def first_error(rank: int = 1, offset: int = 0) -> Finding[LogErrors]:
    """It was found there."""
    return Finding(LogErrors(LogError(LogPlace(rank, "", offset), TRACE[-1], math.nan), 3 << 20))


def log_app(archive: FakeArchive) -> UgroApp:
    """The application on a job that crashed, and these logs."""
    return UgroApp(FakeFeed(crashed()), place=PLACE, archive=archive, job=JOB, clock=lambda: 0.0)


def showing(shown: LogPage) -> FakeArchive:
    """An archive that knows this page of all ranks."""
    return FakeArchive({LogText(JOB): Finding(shown), LogFirstError(JOB): first_error()})


def printed(snapshot: Snapshot) -> FakeArchive:
    """An archive that knows what rank 0 of each job has printed lately, and the ranks that alerts name."""
    found: dict[Inquiry[Any], Finding[Any]] = {}
    for job in snapshot.jobs:
        step, total = int(np.nan_to_num(job.summary.step)), job.summary.total_steps or 0
        accused = {alert.rank for alert in job.summary.alerts if alert.rank is not None}
        for rank in {0, *accused}:
            failed = rank in accused and job.summary.status is JobStatus.FAILED
            lines = [*steps(max(1, step - 20), step, rank, total=total), *(TRACE if failed else ())]
            found[LogText(job.job_id, rank)] = Finding(page({rank: lines}))
    return FakeArchive(found)
