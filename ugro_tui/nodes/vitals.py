"""What a node tells of processes, checked: it is not believed."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from ugro_tui.core.layout import FileKind, classify
from ugro_tui.core.states import ProcessState
from ugro_tui.core.vital import Vital
from ugro_tui.nodes.base import Ask, Examined
from ugro_tui.nodes.helper_vitals import SETTLED

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]

Words: TypeAlias = tuple[str, str, str, Literal["", "alive", "stopped", "zombie", "gone"], _Count, _Count, bool | None]
"""As `helper_vitals.Vital`."""


def process_of(words: Words) -> Examined:
    """What these words tell."""
    job, path, stamp, state, pid, start, oom = words
    vital = Vital(pid, start, ProcessState[state.upper()], oom) if state else None
    return Examined(job, path, stamp[:80], vital)


def is_asked(process: Examined, ask: Ask) -> bool:
    """Whether `ask` was about the heartbeat of this process."""
    file = classify(process.path)
    asked = process.job_id in ask.jobs and FileKind.HEARTBEAT in ask.kinds
    return asked and file is not None and file.kind is FileKind.HEARTBEAT


def still_meant(process: Examined, asked: Ask, ask: Ask) -> bool:
    """Whether what was said in answer to `asked`, which came late, is about the heartbeat that `ask` knows."""
    job, path = process.job_id, process.path
    return is_asked(process, ask) and ask.jobs[job].get(path) == asked.jobs[job].get(path)


def bare(stamp: str) -> str:
    """The stamp of the file alone, whatever was said of its process."""
    return stamp.removesuffix(SETTLED)
