"""What a node says of the process of a rank. Apart from the records, for who asks nodes needs no numpy."""

from __future__ import annotations

from dataclasses import dataclass

from ugro_tui.core.states import ProcessState


@dataclass(frozen=True, slots=True)
class Vital:
    """What a node's system says of the process behind a heartbeat that has not been replaced for seconds.

    `pid` and `pid_start` name the process. `oom`: whether the kernel has killed one of its memory cgroup for want of
    memory since the heartbeat was written; None where that is not known.
    """

    pid: int
    pid_start: int
    state: ProcessState
    oom: bool | None = None
