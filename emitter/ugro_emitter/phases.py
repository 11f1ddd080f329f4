"""Where a step's time goes: seconds by phase, each second counted once also when phases are nested."""

from __future__ import annotations

import threading
from typing import Callable

from .backward import BackwardWatch, GpuSpan
from .losses import Losses

STEP_PHASES = ("data", "forward", "backward", "optimizer")
"""Accumulate into the next `step` record, with `sync_wait`, which is split off the backward pass."""
DECLARED_PHASES = ("eval", "checkpoint")
"""Belong to no step and write `phase` records of their own: stall rules pause in them."""

_GPU_PHASES = ("forward", "backward", "optimizer")
_MOST_SPANS = 4096
"""GPU phases that may wait for a record, for scripts that time phases and hardly ever emit."""


class Frame:
    """A phase that the training thread is in."""

    __slots__ = ("began", "inner", "name", "span")

    def __init__(self, name: str, began: float, span: GpuSpan | None) -> None:
        self.name = name
        self.began = began
        self.inner = 0.0
        self.span = span


class PhaseTimer:
    """The stack of phases of the one thread that trains; phases of other threads are not on its clock."""

    def __init__(self, perf_counter: Callable[[], float], watch: BackwardWatch, losses: Losses) -> None:
        self._perf_counter = perf_counter
        self._watch = watch
        self._losses = losses
        self._thread: int | None = None
        self._stack: list[Frame] = []
        self._totals: dict[str, float] = {}
        self._spans: list[GpuSpan] = []
        self.current: str | None = None
        """The innermost phase the training thread is in."""
        self.declared: str | None = None
        """`eval` or `checkpoint` while it is in one."""

    def enter(self, name: str) -> Frame | None:
        """Begin a phase; None in a thread that does not train."""
        here = threading.get_ident()
        if self._thread is None:
            self._thread = here
        if self._thread != here:
            return None
        frame = Frame(name, self._perf_counter(), self._open_span(name))
        self._stack.append(frame)
        self.current = name
        if name in DECLARED_PHASES and self.declared is None:
            self.declared = name
        return frame

    def leave(self, frame: Frame) -> float:
        """End a phase, and those inside it that were left open; returns the seconds that belong to no step."""
        if frame not in self._stack:
            return 0.0
        now = self._perf_counter()
        while self._stack.pop() is not frame:
            pass
        parent = self._stack[-1] if self._stack else None
        self.current = parent.name if parent else None
        if self.declared is not None:
            return self._leave_declared(frame, now)
        self._account(frame, now)
        if parent is not None:
            self._account_inside(parent, frame, now)
        return 0.0

    def totals(self) -> dict[str, float]:
        """Seconds by phase since the last `take`, of those that host time is measured for."""
        return dict(self._totals)

    def take(self) -> tuple[dict[str, float], list[GpuSpan]]:
        """Seconds by phase since the last `take`, and the GPU phases whose seconds are not known yet."""
        taken = self._totals, self._spans
        self._totals, self._spans = {}, []
        return taken

    def _leave_declared(self, frame: Frame, now: float) -> float:
        """What happens inside eval or a checkpoint is part of no step's phases."""
        if any(outer.name in DECLARED_PHASES for outer in self._stack) or frame.name not in DECLARED_PHASES:
            return 0.0
        self.declared = None
        if self._stack:
            self._account_inside(self._stack[-1], frame, now)
        return now - frame.began

    def _account(self, frame: Frame, now: float) -> None:
        if frame.span is not None:
            self._close_span(frame, frame.span)
            return
        elapsed = now - frame.began
        ready_at = self._watch.ready_at
        if frame.name == "backward" and frame.began < ready_at <= now:
            self._add("sync_wait", now - ready_at)
            elapsed = ready_at - frame.began
        self._add(frame.name, max(0.0, elapsed - frame.inner))

    def _account_inside(self, parent: Frame, frame: Frame, now: float) -> None:
        parent.inner += now - frame.began
        if parent.span is None:
            return
        if frame.span is not None:
            parent.span.children.append(frame.span)
        else:
            parent.span.host_seconds += now - frame.began

    def _add(self, name: str, seconds: float) -> None:
        self._totals[name] = self._totals.get(name, 0.0) + seconds

    def _open_span(self, name: str) -> GpuSpan | None:
        if name not in _GPU_PHASES or self.declared is not None or not self._watch.on_gpu:
            return None
        if name == "backward":
            self._watch.begin()
        return GpuSpan(name)

    def _close_span(self, frame: Frame, span: GpuSpan) -> None:
        span.close(self._watch.end() if frame.name == "backward" else None)
        if len(self._spans) >= _MOST_SPANS:
            self._spans.pop(0)
            self._losses.lose_value("phases", "no record was emitted for thousands of phases")
        self._spans.append(span)
