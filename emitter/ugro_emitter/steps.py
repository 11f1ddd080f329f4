"""A call of `emit_step` to a record: made by the thread that trains, in microseconds."""

from __future__ import annotations

import operator
from typing import Any

from .capture import DeferredScalar, defer, is_tensor, plain
from .clock import Clock
from .gpu import GpuSampler, current_cuda_device
from .losses import Losses
from .phases import PhaseTimer
from .records import StepRecord, mean_phases
from .version import PROTOCOL_VERSION
from .window import StepWindow
from .writer import Writer

_INFINITY = float("inf")


class StepRecorder:
    """Decides which steps are written, and hands them to the writer."""

    def __init__(
        self,
        rank: int,
        window: StepWindow,
        phases: PhaseTimer,
        gpu: GpuSampler,
        writer: Writer,
        clock: Clock,
        losses: Losses,
    ) -> None:
        self._rank = rank
        self._window = window
        self._phases = phases
        self._gpu = gpu
        self._writer = writer
        self._clock = clock
        self._losses = losses
        self.stepped_at: float | None = None
        """When the newest step was told, by the monotonic clock."""

    def record(self, step: Any, values: dict[str, Any], metrics: dict[str, Any]) -> None:
        """Take in one step. Raises TypeError when `step` is no integer."""
        clock = self._clock
        now = clock.perf_counter()
        number = step if type(step) is int else operator.index(step)
        due = self._window.advance(number, now)
        self.stepped_at = clock.monotonic()
        if self._gpu.curious:
            self._gpu.note(current_cuda_device())
        record: dict[str, Any] = {"v": PROTOCOL_VERSION, "kind": "step", "seq": 0, "ts": 0.0, "rank": self._rank}
        record["step"] = number
        alarm, deferred = self._capture(values, record)
        if metrics:
            nested: dict[str, Any] = {}
            odd = self._capture(metrics, nested)
            alarm, deferred = alarm or odd[0], deferred or odd[1]
            record["metrics"] = nested
        if not (due or alarm or deferred):
            return
        record["ts"] = clock.time()
        self._complete(record, now)
        if due or alarm:
            self._send(record, now, deferred)
        else:
            self._send_if_alarming(record)

    def _capture(self, values: dict[str, Any], into: dict[str, Any]) -> tuple[bool, bool]:
        """Copy what is a number; returns whether one is not finite, and whether one is still on a device."""
        alarm = deferred = False
        for name, value in values.items():
            if type(value) is float and -_INFINITY < value < _INFINITY:
                into[name] = value
            elif value is not None:
                captured = self._captured(name, value)
                if captured is not None:
                    into[name] = captured
                    alarm = alarm or isinstance(captured, str)
                    deferred = deferred or isinstance(captured, DeferredScalar)
        return alarm, deferred

    def _captured(self, name: str, value: Any) -> Any:
        try:
            return defer(value) if is_tensor(value) else plain(value)
        except Exception as error:  # noqa: BLE001 - any object may have been passed, and do anything when asked
            self._losses.lose_value(name, error)
            return None

    def _complete(self, record: dict[str, Any], now: float) -> None:
        """Add what the emitter itself knows of the step."""
        seconds = self._window.step_time(now)
        if seconds is not None:
            record["step_time"] = seconds
        gpu = self._gpu.newest()
        if gpu is not None:
            record["gpu"] = gpu

    def _send(self, record: dict[str, Any], now: float, deferred: bool) -> None:
        totals, spans = self._phases.take()
        steps = self._window.steps
        self._window.reopen(now)
        if deferred or spans:
            unfinished = StepRecord(record, self._losses, only_if_non_finite=False)
            unfinished.add_phases(totals, spans, steps)
            self._writer.put(unfinished)
            return
        if totals:
            record["phases"] = mean_phases(totals, steps)
        self._writer.put(record)

    def _send_if_alarming(self, record: dict[str, Any]) -> None:
        """Between two records, values on a device are looked at off this thread, for an alarm must not wait."""
        totals = self._phases.totals()
        if totals:
            record["phases"] = mean_phases(totals, self._window.steps)
        self._writer.put_if_room(StepRecord(record, self._losses, only_if_non_finite=True))
