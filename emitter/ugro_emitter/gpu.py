"""GPU statistics from a thread of their own: NVML may hang, and nobody may hang with it."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from .clock import Clock
from .losses import Losses
from .nvml import FIELDS, CudaDevice, Nvml

_STALE_AFTER = 10.0
"""Seconds after which a sample is no longer said to be the GPU's state: NVML hangs, or takes that long."""
_FIRST_WAIT = 1.0
"""Seconds that the very first question may wait for the first sample."""


class GpuSampler:
    """Samples this rank's GPU every `interval` seconds; everybody else only reads the newest sample."""

    def __init__(self, interval: float, clock: Clock, losses: Losses) -> None:
        self._interval = interval
        self._clock = clock
        self._losses = losses
        self._device: CudaDevice | None = None
        self._description: dict[str, Any] | None = None
        self._sample: dict[str, Any] | None = None
        self._sampled_at = 0.0
        self._answered = threading.Event()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="ugro-gpu", daemon=True)
        self.curious = True
        """Whether it would help to know which device the training thread uses."""

    def start(self) -> None:
        self.note(current_cuda_device())
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def note(self, device: CudaDevice | None) -> None:
        """Learn which device the training thread uses; called by that thread, since the device is its own."""
        if device is not None:
            self._device, self.curious = device, False
            self._wake.set()

    def newest(self) -> dict[str, Any] | None:
        """The newest sample (keys: FIELDS), None where there is no GPU or NVML has stopped answering."""
        sample = self._sample
        if sample is None or self._clock.monotonic() - self._sampled_at > _STALE_AFTER:
            return None
        return sample

    def first(self) -> dict[str, Any]:
        """The newest sample, waited for once, and then never again; nulls where there is none."""
        self._answered.wait(_FIRST_WAIT)
        self._answered.set()
        return {**dict.fromkeys(FIELDS), **(self.newest() or {})}

    def describe(self, timeout: float, closing: threading.Event) -> dict[str, Any] | None:
        """Index, uuid, name and memory_total, waited for at most `timeout` seconds; None: no GPU, or not known."""
        waited = 0.0
        while waited < timeout and not self._answered.is_set() and not closing.is_set():
            self._answered.wait(0.05)
            waited += 0.05
        return self._description

    def beat(self) -> dict[str, Any] | None:
        """What the heartbeat says: which GPU, and its newest sample."""
        sample, description = self.newest(), self._description
        if sample is None or description is None:
            return None
        return {"index": description["index"], "uuid": description["uuid"], **sample}

    def _run(self) -> None:
        try:
            self._poll(Nvml())
        except ImportError:
            pass  # no pynvml: this machine says nothing of its GPUs, which is no failure
        except Exception as error:  # noqa: BLE001 - outer edge of the thread; no driver is the common case
            if type(error).__name__ != "NVMLError_LibraryNotFound":
                self._losses.fail("NVML", error)
        self.curious = False
        self._answered.set()

    def _poll(self, nvml: Nvml) -> None:
        handle: Any = None
        known: CudaDevice | None = None
        while not self._stopping:
            self._wake.clear()
            device = self._device
            if handle is None or device != known:
                handle, known = nvml.find(device, os.environ), device
                self._description = None if handle is None else nvml.describe(handle)
            if handle is not None:
                self._sample = nvml.sample(handle)
                self._sampled_at = self._clock.monotonic()
            self._answered.set()
            if not self._stopping:
                self._wake.wait(self._interval)


def current_cuda_device() -> CudaDevice | None:
    """The device of the calling thread, None while torch has not initialised CUDA; initialises nothing."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not hasattr(cuda, "is_initialized") or not cuda.is_initialized():
        return None
    ordinal = int(cuda.current_device())
    uuid = getattr(cuda.get_device_properties(ordinal), "uuid", None)
    return CudaDevice(ordinal, None if uuid is None else str(uuid))
