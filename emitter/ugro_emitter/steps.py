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

_FINE, _ALARM, _DEFERRED = 0, 1, 2
"""What is to be known of captured values, as bits: one is not finite; one is still on a device."""


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
        self._time = clock.time
        self._perf_counter = clock.perf_counter
        self._losses = losses
        self.stepped_at: float | None = None
        """When the newest step was told, by `perf_counter`."""

    def record(self, step: Any, values: tuple[tuple[str, Any], ...], metrics: dict[str, Any]) -> None:
        """Take in one step. Raises TypeError when `step` is no integer."""
        now = self._perf_counter()
        number = step if type(step) is int else operator.index(step)
        due = self._window.advance(number, now)
        self.stepped_at = now
        if self._gpu.curious:
            self._gpu.note(current_cuda_device())
        record: dict[str, Any] = {
            "v": PROTOCOL_VERSION,
            "kind": "step",
            "seq": 0,
            "ts": self._time(),
            "rank": self._rank,
            "step": number,
        }
        found = self._capture(values, record)
        if metrics:
            nested: dict[str, Any] = {}
            found |= self._capture(metrics.items(), nested)
            record["metrics"] = nested
        if due or found & _ALARM:
            self._send(record, now, deferred=bool(found & _DEFERRED))
        elif found & _DEFERRED:
            self._send_if_alarming(record, now)

    def _capture(self, values: Any, into: dict[str, Any]) -> int:
        """Copy what is a number from (name, value) pairs; returns what is to be known of them."""
        found = _FINE
        for name, value in values:
            if value is None:
                continue
            if type(value) is float and -_INFINITY < value < _INFINITY:
                into[name] = value
                continue
            captured = self._captured(name, value)
            if captured is not None:
                into[name] = captured
                if isinstance(captured, str):
                    found |= _ALARM
                elif isinstance(captured, DeferredScalar):
                    found |= _DEFERRED
        return found

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

    def _send(self, record: dict[str, Any], now: float, *, deferred: bool) -> None:
        self._complete(record, now)
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

    def _send_if_alarming(self, record: dict[str, Any], now: float) -> None:
        """Between two records, values on a device are looked at off this thread, for an alarm must not wait."""
        self._complete(record, now)
        unfinished = StepRecord(record, self._losses, only_if_non_finite=True)
        unfinished.add_phases(self._phases.totals(), [], self._window.steps)
        self._writer.put_if_room(unfinished)
