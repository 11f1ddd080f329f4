"""The states a rank and a job can be in."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final


class RankState(IntEnum):
    """What a rank is doing, as far as its files tell. Stored as int8 in columns."""

    UNKNOWN = 0
    RUNNING = 1
    SLOW = 2
    STALLED = 3
    HUNG = 4
    DEAD = 5
    UNREACHABLE = 6
    FINISHED = 7
    STOPPED = 8
    """Ended by a person, or with the others: neither well nor a failure of its own."""

    @property
    def word(self) -> str:
        """The state as users read and type it."""
        return self.name.lower()


STEPPING: Final = (RankState.RUNNING, RankState.SLOW)
"""Who is in another state makes no steps: how fast it does is not to be told of it."""


class ProcessState(IntEnum):
    """What a node's system says of the process of a rank. Stored as int8 in columns."""

    UNKNOWN = 0
    """Not looked at, as the heartbeat is fresh; or it cannot be: the process is of another machine or container."""
    ALIVE = 1
    STOPPED = 2
    """Held by a signal (SIGSTOP) or a debugger."""
    ZOMBIE = 3
    """Ended, and not yet taken leave of by its parent."""
    GONE = 4

    @property
    def over(self) -> bool:
        """Whether the process has ended, for certain."""
        return self in (ProcessState.ZOMBIE, ProcessState.GONE)


class JobStatus(Enum):
    """What a job as a whole is doing."""

    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"

    @property
    def over(self) -> bool:
        """Whether the job has ended."""
        return self in (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED)


STALLED, HUNG = RankState.STALLED.word, RankState.HUNG.word
"""What is said of a job that runs, by its status, but of which nothing steps: its one rank, or all of them."""


class NodeState(Enum):
    """How a node can be read."""

    CONNECTING = "connecting"
    """Nothing is known yet."""
    OK = "ok"
    """The last question was answered. (That may be with an error of the metrics directory.)"""
    SILENT = "silent"
    """The last question was not answered; it is asked again as usual."""
    WAITING = "waiting"
    """It failed several times in a row: the next try comes after a while, `NodeView.retry`."""
    PERSON = "person"
    """A person has to mend it; nothing is tried until one asks for it (refresh)."""

    @property
    def reached(self) -> bool:
        """Whether the last question was answered."""
        return self is NodeState.OK


class Ended(IntEnum):
    """How a rank's `end` record said it ended; NO before there is one."""

    NO = 0
    COMPLETED = 1
    FAILED = 2
    STOPPED = 3


ENDED_WORDS = {"completed": Ended.COMPLETED, "failed": Ended.FAILED, "stopped": Ended.STOPPED}
