"""How the application that writes the copies finds a node: noted beside them, for those that only read.

A copy alone looks like a rank that fell silent, whether its process died or its node cannot be reached. One small file
for each node, written when something changes: `nodes/{node}.json` in the central directory.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Final

import msgspec

from ugro_tui.collect.below import file_in, folder_below, write_at
from ugro_tui.core.states import NodeState, ProcessState
from ugro_tui.core.text import visible
from ugro_tui.core.vital import Vital
from ugro_tui.nodes.base import Examined

log = logging.getLogger(__name__)

FOLDER: Final = "nodes"
MOST_BYTES: Final = 4 << 20
MOST_PROCESSES: Final = 10_000


class Process(msgspec.Struct, frozen=True):
    """What the node said of the process behind one heartbeat."""

    job_id: str
    path: str
    pid: int
    pid_start: int
    state: int
    oom: bool | None = None

    @property
    def vital(self) -> Vital:
        """As it was said."""
        return Vital(self.pid, self.pid_start, ProcessState(self.state), self.oom)


class Note(msgspec.Struct, frozen=True):
    """The state of a node, as in `Cycle`. `heard`: Unix seconds of its last answer, 0 where there was none."""

    state: str
    brief: str = ""
    error: str = ""
    rule: str = ""
    sure: bool = False
    heard: float = 0.0
    processes: tuple[Process, ...] = ()

    @property
    def node_state(self) -> NodeState:
        """The state; OK where this version does not know it."""
        return NodeState(self.state) if self.state in {state.value for state in NodeState} else NodeState.OK


class NodeNotes:
    """The notes on one node below `central`. One thread at a time writes or reads."""

    def __init__(self, central: Path, node: str) -> None:
        self._central = central
        self._name = f"{node}.json"
        self._processes: dict[tuple[str, str], Process] = {}
        self._written: Note | None = None
        self._read: tuple[tuple[int, int], Note | None] = ((0, 0), None)

    def examined(self, told: tuple[Examined, ...]) -> None:
        """Remember what the node says of processes: it says what is settled only once."""
        for one in told:
            key, vital = (one.job_id, one.path), one.vital
            if vital is None or vital.state is ProcessState.ALIVE:
                self._processes.pop(key, None)
            elif len(self._processes) < MOST_PROCESSES:
                self._processes[key] = Process(*key, vital.pid, vital.pid_start, int(vital.state), vital.oom)

    def write(self, note: Note) -> None:
        """Note this, if anything but the time of the last answer has changed. That it cannot be noted is no trouble."""
        note = msgspec.structs.replace(note, processes=tuple(self._processes.values()))
        if self._written is not None and msgspec.structs.replace(self._written, heard=note.heard) == note:
            return
        try:
            self._store(msgspec.json.encode(note))
            self._written = note
        except OSError as error:
            log.info("the note on %s: %s", self._name, error)

    def _store(self, data: bytes) -> None:
        beside = f".{self._name}.tmp"
        with folder_below(self._central, (FOLDER,), create=True) as folder:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=folder)
            with file_in(folder, beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as (handle, _):
                write_at(handle, data, 0)
            os.rename(beside, self._name, src_dir_fd=folder, dst_dir_fd=folder)

    def read(self) -> Note | None:
        """What the application that writes has noted; None where there is nothing that can be read."""
        try:
            with (
                folder_below(self._central, (FOLDER,)) as folder,
                file_in(folder, self._name, os.O_RDONLY) as (handle, info),
            ):
                mark = (info.st_mtime_ns, info.st_ino)
                if mark != self._read[0]:
                    data = os.pread(handle, MOST_BYTES, 0)
                    self._read = (mark, msgspec.json.decode(data, type=Note))
        except (OSError, ValueError, msgspec.DecodeError) as error:
            if not isinstance(error, FileNotFoundError):
                log.info("the note on %s: %s", self._name, visible(str(error), 200))
            return None
        return self._read[1]
