"""Splits the backward pass at the moment the last gradient is ready: what follows is waiting for other ranks.

DistributedDataParallel reduces gradients while they are computed and waits for the rest before `loss.backward()`
returns. The hook used here fires when a gradient has been accumulated locally, before its reduction, so on a rank
that is ahead of the others the time after the last hook is the time it waits for them.

Where the model itself is split over ranks (FSDP, tensor parallelism), they wait for each other throughout forward and
backward. No moment parts own work from waiting there, so none is told.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any, Callable

from .losses import Losses

_SHARDED = ("FullyShardedDataParallel", "FSDPModule", "DTensor")
"""Classes of torch: FSDP's wrapper, a module after FSDP2's `fully_shard`, a parameter that is split over ranks."""


class BackwardWatch:
    """Knows when the newest gradient became ready: host time on a CPU, a CUDA event on a GPU."""

    def __init__(self, perf_counter: Callable[[], float], losses: Losses) -> None:
        self._perf_counter = perf_counter
        self._losses = losses
        self._hooked: dict[int, Callable[[], Any]] = {}
        self._probe: Callable[[], Any] = lambda: None
        self._event: Any = None
        self._expected = 0
        self._fired = 0
        self._sharded = False
        self.ready_at = float("-inf")
        """Host time of the newest gradient; stays as it is where the model is split over ranks."""

    def attach(self, model: Any) -> None:
        """Hook every trainable parameter that is not hooked yet (`model` may be wrapped by DDP, before or later)."""
        if kind := sharding(model):
            self._sharded = True
            self._losses.lose_value("sync_wait", f"the model is split over ranks ({kind}), which wait in all phases")
        for parameter in model.parameters():
            if parameter.requires_grad and self._hooked.get(id(parameter), lambda: None)() is not parameter:
                parameter.register_post_accumulate_grad_hook(self._on_gradient)
                self._hooked[id(parameter)] = self._probe = weakref.ref(parameter)

    @property
    def on_gpu(self) -> bool:
        """Whether an instrumented model lies on a GPU at this moment (it may be moved after `instrument`)."""
        parameter = self._probe()
        return parameter is not None and bool(parameter.is_cuda)

    def begin(self) -> None:
        """A backward pass on a GPU begins."""
        self._event, self._fired = new_event(), 0

    def end(self) -> Any | None:
        """Its end; returns the event behind the last gradient, None where it was not recorded this time."""
        event, fired, expected = self._event, self._fired, self._expected
        self._event, self._expected = None, fired
        return event if fired and fired >= expected else None

    def _on_gradient(self, _parameter: Any) -> None:
        # Runs for every parameter of every step, inside the user's backward pass.
        if self._sharded:
            return
        self.ready_at = self._perf_counter()
        event = self._event
        if event is None:
            return
        self._fired += 1
        # The event is wanted after the last gradient only, which is the one that came last in the pass before.
        if self._fired >= self._expected:
            try:
                event.record()
            except Exception as error:  # noqa: BLE001 - it must not raise into the user's backward pass
                self._losses.fail("CUDA event", error)


def sharding(model: Any) -> str:
    """What splits the model over ranks, by the name of torch's class; empty where nothing does."""
    for part in (*model.modules(), *model.parameters()):
        for base in type(part).__mro__:
            if base.__name__ in _SHARDED and base.__module__.startswith("torch."):
                return base.__name__
    return ""


def new_event() -> Any:
    """A CUDA event that can time. Only called when a model lies on a GPU, so torch is there."""
    return sys.modules["torch"].cuda.Event(enable_timing=True)


def recorded_event() -> Any:
    """A CUDA event at the present end of the current stream."""
    event = new_event()
    event.record()
    return event


class GpuSpan:
    """A phase as the GPU sees it, between two events; read when the GPU has passed the second one."""

    __slots__ = ("_begin", "_end", "_name", "_ready", "children", "host_seconds")

    def __init__(self, name: str) -> None:
        self._name = name
        self._begin = recorded_event()
        self._end: Any = None
        self._ready: Any = None
        self.children: list[GpuSpan] = []
        self.host_seconds = 0.0
        """Phases inside this one that host time was measured for."""

    def close(self, ready: Any | None) -> None:
        """End it here; `ready` is the event behind the last gradient of a backward pass."""
        self._ready = ready
        self._end = recorded_event()

    def passed(self) -> bool:
        """Whether the GPU is through, asked without waiting for it."""
        return self._end is not None and bool(self._end.query())

    def seconds(self) -> float:
        return float(self._begin.elapsed_time(self._end)) / 1e3

    def add_to(self, totals: dict[str, float]) -> None:
        """Add the seconds of this phase and, split off a backward pass, of `sync_wait`."""
        own = self.seconds()
        if self._ready is not None:
            until_ready = float(self._begin.elapsed_time(self._ready)) / 1e3
            totals["sync_wait"] = totals.get("sync_wait", 0.0) + max(0.0, own - until_ready)
            own = until_ready
        own -= self.host_seconds + sum(child.seconds() for child in self.children)
        totals[self._name] = totals.get(self._name, 0.0) + max(0.0, own)
