"""One run of one rank: the parts that live from the emitter's making to its closing."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from typing import Any

from .backward import BackwardWatch
from .cgroup import memory_cgroup, oom_kills
from .clock import Clock
from .exits import EXITS
from .gpu import GpuSampler
from .heartbeat import Heartbeat
from .identity import Identity, JobFiles
from .losses import Losses
from .phases import DECLARED_PHASES, Frame, PhaseTimer
from .process import boot_id, disk_space, memory_total, pid_namespace, pid_start, resident_bytes
from .records import EndRecord, StartRecord
from .sink import AppendFile
from .stacks import StackDump
from .steps import StepRecorder
from .tensorboard import TensorBoardWriter
from .version import PROTOCOL_VERSION
from .window import StepWindow
from .writer import Writer

CLOSE_LIMIT = 2.0
"""Seconds that closing may take in all."""
_LEAST_JOIN = 0.2
"""Seconds of these that the last heartbeat and TensorBoard are left when the metrics file took the rest."""


@dataclass(frozen=True)
class Settings:
    """What a run was asked to be; all checked."""

    identity: Identity
    files: JobFiles
    emit_every: int
    total_steps: int | None
    heartbeat_interval: float
    stack_signal: int | None = None
    config: dict[str, Any] | None = None


class Run:
    """Threads, files and counters of one run. Used by the process that made it, and by no child of it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.run_id = os.urandom(16).hex()
        self.pid = os.getpid()
        self.losses = Losses()
        self.closed = False
        self._clock = clock
        self._made_at = clock.perf_counter()
        self._process = {
            "pid": self.pid,
            "pid_start": pid_start(),
            "boot_id": boot_id(),
            "pid_ns": pid_namespace(),
        }
        self._cgroup = memory_cgroup()
        self._mem_total = memory_total()
        files, interval = settings.files, settings.heartbeat_interval
        self._writer = Writer(AppendFile(files.metrics, self.losses), self.losses)
        self._heartbeat = Heartbeat(files.heartbeat, interval, self._state, self.losses)
        self._stacks = StackDump(files.stacks, settings.stack_signal, self.losses)
        self.gpu = GpuSampler(interval, clock, self.losses)
        self.tensorboard = TensorBoardWriter(files.tensorboard, self.losses)
        self.watch = BackwardWatch(clock.perf_counter, self.losses)
        self._phases = PhaseTimer(clock.perf_counter, self.watch, self.losses)
        self._window = StepWindow(settings.emit_every)
        self.steps = StepRecorder(
            settings.identity.rank, self._window, self._phases, self.gpu, self._writer, clock, self.losses
        )

    @property
    def dropped(self) -> int:
        """Records lost so far."""
        return self.losses.records + self._writer.undecided()

    def open(self) -> None:
        """Start the threads. Raises RuntimeError when the system gives none."""
        self.gpu.start()
        self._writer.start(self._start_record())
        self._heartbeat.start()
        EXITS.watch(self.close_on_exit)

    def enter(self, name: str) -> Frame | None:
        """The training thread enters a phase."""
        outermost = self._phases.declared is None
        frame = self._phases.enter(name)
        if frame is not None and outermost and name in DECLARED_PHASES:
            self._declare(name, "begin")
        return frame

    def leave(self, frame: Frame) -> None:
        """The training thread leaves a phase."""
        declared = self._phases.declared
        self._window.pause(self._phases.leave(frame))
        if declared is not None and self._phases.declared is None:
            self._declare(declared, "end")

    def close_on_exit(self, error: BaseException | None) -> None:
        """Close because the process ends; in a forked child the run is not ours to end."""
        if os.getpid() == self.pid:
            self.close(error)

    def close(self, error: BaseException | None) -> None:
        """Write the end and the last heartbeat, waiting at most CLOSE_LIMIT seconds."""
        if self.closed:
            return
        self.closed = True
        deadline = time.monotonic() + CLOSE_LIMIT
        EXITS.forget(self.close_on_exit)
        self.tensorboard.close()
        self.gpu.stop()
        self._writer.finish(EndRecord(self._record("end"), error, self.settings.files.error, self.losses))
        self._writer.join(CLOSE_LIMIT - _LEAST_JOIN)
        # Last, so that the last heartbeat tells everything that was lost.
        self._heartbeat.stop()
        self._heartbeat.join(max(0.0, deadline - time.monotonic()))
        self.tensorboard.join(max(0.0, deadline - time.monotonic()))

    def _record(self, kind: str) -> dict[str, Any]:
        rank = self.settings.identity.rank
        return {"v": PROTOCOL_VERSION, "kind": kind, "seq": 0, "ts": self._clock.time(), "rank": rank}

    def _start_record(self) -> StartRecord:
        settings, who = self.settings, self.settings.identity
        record = {
            **self._record("start"),
            "run_id": self.run_id,
            "job_id": who.job_id,
            "attempt": who.attempt,
            "local_rank": who.local_rank,
            "world_size": who.world_size,
            "host": platform.node(),
            **self._process,
            "gpu": None,
            "total_steps": settings.total_steps,
            "emit_every": settings.emit_every,
            "versions": {},
        }
        if settings.config is not None:
            record["config"] = settings.config
        return StartRecord(record, settings.files.metrics, who.restarts, self.gpu.describe)

    def _declare(self, name: str, state: str) -> None:
        self._writer.put({**self._record("phase"), "name": name, "state": state})

    def _state(self) -> dict[str, Any]:
        """The heartbeat; called on its thread."""
        self._writer.look()  # also where few records are written, a deleted file is noticed with the next of them
        now = self._clock.perf_counter()
        stepped_at = self.steps.stepped_at
        free, total = disk_space(self.settings.files.folder)
        return {
            "v": PROTOCOL_VERSION,
            "ts": self._clock.time(),
            "run_id": self.run_id,
            **self._process,
            "step": self._window.step,
            "step_age": now - (self._made_at if stepped_at is None else stepped_at),
            "state": self._state_name(),
            "phase": self._phases.current,
            "gpu": self.gpu.beat(),
            "rss": resident_bytes(),
            "mem_total": self._mem_total,
            "cgroup": self._cgroup,
            "oom_kills": oom_kills(self._cgroup),
            "disk_free": free,
            "disk_total": total,
            "dropped": self.dropped,
            "dropped_values": self.losses.values,
            "errors": self.losses.errors,
            "stack_signal": self._stacks.told(),
        }

    def _state_name(self) -> str:
        if self.closed:
            return "ended"
        if self._phases.declared is not None:
            return self._phases.declared
        return "starting" if self._window.step is None else "running"
